import { nearest } from "./spec";

const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/**
 * Reads the values of one object of raw configuration and collects every error on the way, so that they can be reported
 * together: each names its key, what is wrong and what is allowed. Values are shown only where they are numbers or
 * words of a fixed list and their key is no secret; a free text might be a password in the wrong place. Knows nothing
 * of the keys themselves (config.ts does).
 */
export class ConfigReader {
  readonly #asked = new Set<string>();
  readonly #wrong = new Set<string>();

  /**
   * @param path how the object is called in errors
   * @param separator what stands between it and a key of it
   * @param errors gets every error
   * @param secret whether the value at a path must not be shown
   */
  constructor(
    private readonly path: string,
    private readonly separator: string,
    private readonly values: Record<string, unknown>,
    private readonly errors: string[],
    private readonly secret: (path: string) => boolean,
  ) {}

  /** Adds an error about a key. */
  error(key: string, text: string): void {
    this.#wrong.add(key);
    this.errors.push(`${this.#name(key)} ${text}`);
  }

  /** True if an error about that key was found. */
  wrong(key: string): boolean {
    return this.#wrong.has(key);
  }

  /** One word of a list; true and false count as words. */
  oneOf<T extends string>(key: string, allowed: readonly T[], required = false): T | undefined {
    const expected = `one of ${allowed.join(", ")}`;
    const value = this.#value(key, required, expected);
    if (value === undefined) return undefined;
    const said = typeof value === "boolean" ? String(value) : value;
    const word = allowed.find((candidate) => candidate === said);
    if (word === undefined) this.error(key, `${this.#shown(key, value)}: it must be ${expected}`);
    return word;
  }

  /** A text that fits the pattern; it is never shown. */
  text(key: string, pattern: RegExp, expected: string, required = false): string | undefined {
    const value = this.#value(key, required, expected);
    if (value === undefined) return undefined;
    if (typeof value === "string" && pattern.test(value)) return value;
    this.error(key, `does not fit: it must be ${expected}`);
    return undefined;
  }

  /** A number, also one written as text, from min to max inclusive. */
  number(key: string, min: number, max: number, whole = false): number | undefined {
    const expected = `a ${whole ? "whole " : ""}number from ${min} to ${max}`;
    const value = this.#value(key, false, expected);
    if (value === undefined) return undefined;
    const numeric = typeof value === "number" || (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value.trim()));
    const number = numeric ? Number(value) : NaN;
    if (number >= min && number <= max && (!whole || Number.isInteger(number))) return number;
    this.error(key, `${numeric ? this.#shown(key, value) : "is no number"}: it must be ${expected}`);
    return undefined;
  }

  /** A uuid, in lower case. */
  uuid(key: string): string | undefined {
    return this.text(key, uuid, "a uuid")?.toLowerCase();
  }

  /** A list of uuids, in lower case, each once. */
  uuids(key: string): string[] | undefined {
    const value = this.#value(key, false, "a list of uuids");
    if (value === undefined) return undefined;
    const list: unknown[] = Array.isArray(value) ? value : [undefined];
    const bad = list.findIndex((item) => typeof item !== "string" || !uuid.test(item));
    if (bad < 0) return [...new Set(list.map((item) => String(item).toLowerCase()))];
    const where = Array.isArray(value) ? `has something else at [${bad}]` : "does not fit";
    this.error(key, `${where}: it must be a list of uuids`);
    return undefined;
  }

  /** An object, or undefined if it is absent or empty. Its own end() must be called. */
  object(key: string): ConfigReader | undefined {
    const value = parsed(this.#value(key, false, "an object"));
    if (value === undefined) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.error(key, "is no object: set its keys one by one, pulumi config set --path");
      return undefined;
    }
    const values = value as Record<string, unknown>;
    if (Object.keys(values).length === 0) return undefined;
    return new ConfigReader(this.#name(key), ".", values, this.errors, this.secret);
  }

  /**
   * To be called last: every key that was not asked for is an error that names the nearest one that is known.
   * @param hints what to say of particular keys instead
   */
  end(hints: Record<string, string> = {}): void {
    for (const key of Object.keys(this.values).filter((candidate) => !this.#asked.has(candidate))) {
      const hint = Object.hasOwn(hints, key) ? hints[key] : undefined;
      this.error(key, `is not known: ${hint ?? `the nearest known key is ${this.#name(nearest(key, this.#asked))}`}`);
    }
  }

  #name(key: string): string {
    return `${this.path}${this.separator}${key}`;
  }

  /** The value, or undefined where it is absent or empty. */
  #value(key: string, required: boolean, expected: string): unknown {
    this.#asked.add(key);
    const value = Object.hasOwn(this.values, key) ? this.values[key] : undefined;
    if (value !== undefined && value !== null && value !== "") return value;
    if (required) this.error(key, `is missing: it must be ${expected}`);
    return undefined;
  }

  #shown(key: string, value: unknown): string {
    if (this.secret(this.#name(key))) return "is not allowed (a secret, not shown)";
    return `is ${JSON.stringify(value).slice(0, 40)}`;
  }
}

/** Pulumi hands objects of the top level over as JSON. */
function parsed(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
