import { nearest } from "./nearest";
import type { Path, Property, Shape } from "./shape";

/** One thing that is wrong with the values that were given. */
export interface Fault {
  readonly path: Path;
  /** `type`: a value of another type than belongs there; `wrong`: of the right type, and yet not one of those meant. */
  readonly kind: "missing" | "unknown" | "type" | "wrong";
  /** What belongs there; for a key that is not known, the object that it stands in. */
  readonly property: Property;
  /** The key and what is wrong, in a sentence. It quotes only numbers and words where words of a fixed list belong. */
  readonly text: string;
}

/** How values are written, and how errors call them. */
export interface Manner {
  /** Stands before every key: `guardian:`. */
  readonly root?: string;
  /** What a written value stands for; undefined and null are nothing. */
  readonly reads?: (value: unknown, property: Property) => unknown;
  /** A value that fits wherever it stands. */
  readonly passes?: (value: unknown) => boolean;
  /** A key that need not be known. */
  readonly ignores?: (key: string) => boolean;
  /** True if the value at a path is never to be shown. */
  readonly hides?: (path: string) => boolean;
  /** What to do where an object belongs and something else stands. */
  readonly objects?: string;
}

/**
 * Checks a value, fills in what stands where nothing is given, and turns it into what it stands for.
 * @returns the value, undefined if there are faults; and all faults: of each object those of its keys in their order, then
 *   the keys that are not known, then what does not go together
 */
export function check<T>(
  property: Property<T>,
  given: unknown,
  manner: Manner = {},
): { value: T | undefined; faults: Fault[] } {
  const checking = new Checking(manner);
  const value = checking.value(property, given, []) as T;
  return { value: checking.faults.length === 0 ? value : undefined, faults: checking.faults };
}

/** @returns a path as one writes it: `a.b[0].c` */
export function pathText(path: Path): string {
  return path.map((key, i) => (typeof key === "number" ? `[${key}]` : i > 0 ? `.${key}` : key)).join("");
}

class Checking {
  readonly faults: Fault[] = [];

  constructor(private readonly manner: Manner) {}

  /** @returns what the value stands for, undefined if it is wrong; of an object, the fields that are not */
  value(property: Property, given: unknown, path: Path, list?: Property): unknown {
    if (this.manner.passes?.(given)) return given;
    const value = path.length > 0 ? this.#meant(property, given) : given;
    if (!hasType(property, value)) return this.#wrong("type", property, given, path, list);
    const before = this.faults.length;
    const inner = this.#inner(property, value, path);
    if (this.faults.length > before) return property.fields ? inner : undefined;
    if (property.fits && !property.fits(inner)) return this.#wrong("wrong", property, given, path, list);
    return property.reads ? property.reads(inner) : inner;
  }

  #inner(property: Property, value: unknown, path: Path): unknown {
    const { items, fields, values } = property;
    if (Array.isArray(value)) {
      return items ? value.map((item, i) => this.value(items, item, [...path, i], property)) : value;
    }
    if (fields) return this.#fields(property, fields, value as Record<string, unknown>, path);
    if (!values) return value;
    const entries = Object.entries(value as Record<string, unknown>);
    const found = Object.fromEntries(entries.map(([key, item]) => [key, this.value(values, item, [...path, key])]));
    this.#rule(property, found, path);
    return found;
  }

  #fields(property: Property, fields: Shape, given: Record<string, unknown>, path: Path): unknown {
    const found: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(fields)) {
      const written = Object.hasOwn(given, key) ? given[key] : undefined;
      const meant = this.#meant(field, written);
      if (meant !== undefined && meant !== null) found[key] = this.value(field, written, [...path, key]);
      else if (field.default !== undefined) found[key] = new Checking({}).value(field, field.default, []);
      else if (!field.optional) {
        this.#fault([...path, key], "missing", field, `is missing: it must be ${field.expected}`);
      }
    }
    for (const key of Object.keys(given)) {
      if (Object.hasOwn(fields, key) || this.manner.ignores?.(key)) continue;
      const hints = property.hints ?? {};
      const near = this.#name([...path, nearest(key, Object.keys(fields))]);
      const hint = Object.hasOwn(hints, key)
        ? hints[key]
        : `the nearest known key is ${near}${property.unknown ? `; ${property.unknown}` : ""}`;
      this.#fault([...path, key], "unknown", property, `is not known: ${hint ?? ""}`);
    }
    this.#rule(property, found, path);
    return found;
  }

  #rule(property: Property, found: Record<string, unknown>, path: Path): void {
    for (const { path: to, text } of property.rule?.(found) ?? []) {
      this.#fault([...path, ...to], "wrong", property, text);
    }
  }

  #meant(property: Property, given: unknown): unknown {
    return this.manner.reads ? this.manner.reads(given, property) : given;
  }

  #name(path: Path): string {
    return (this.manner.root ?? "") + pathText(path);
  }

  #fault(path: Path, kind: Fault["kind"], property: Property, text: string, named = path): void {
    this.faults.push({ path, kind, property, text: `${this.#name(named) || "the whole"} ${text}` });
  }

  #wrong(kind: Fault["kind"], property: Property, given: unknown, path: Path, list?: Property): unknown {
    if (list) {
      const text = `has something else at [${path.at(-1) ?? 0}]: it must be ${list.expected}`;
      this.#fault(path, kind, property, text, path.slice(0, -1));
    } else {
      const wanted = (property.type === "object" && this.manner.objects) || `it must be ${property.expected}`;
      const besides = property.exposed === undefined ? "" : `; ${property.exposed}`;
      this.#fault(path, kind, property, `${this.#is(property, given, path)}: ${wanted}${besides}`);
    }
    return undefined;
  }

  /** What stands there, shown only where it can be no password. */
  #is(property: Property, given: unknown, path: Path): string {
    if (property.type === "object") return "is no object";
    const numeric = property.type === "number" || property.type === "integer";
    if (numeric && typeof this.#meant(property, given) !== "number") return "is no number";
    if (!numeric && property.type !== "boolean" && !property.choices) return "does not fit";
    if (property.secret || this.manner.hides?.(pathText(path))) return "is not allowed (a secret, not shown)";
    return `is ${JSON.stringify(given).slice(0, 40)}`;
  }
}

function hasType(property: Property, value: unknown): boolean {
  switch (property.type) {
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "any":
      return true;
    case "integer":
      return Number.isSafeInteger(value);
    default:
      return typeof value === property.type;
  }
}
