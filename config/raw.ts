import { check, edits, pulumiCommand, type Property } from "../spec";

/** Configuration as Pulumi hands it over: `namespace:key` → string, objects as JSON. */
export type Raw = Readonly<Record<string, string>>;

/** What came of it: the configuration, or undefined and all errors. */
export interface Checked<T> {
  config: T | undefined;
  /** Which key, what is wrong with it, what is allowed. */
  errors: string[];
}

/**
 * Checks the keys of one namespace; those of others are others' business, unless they are all but this one by a slip of the pen.
 * @param root `guardian:`
 * @param secretKeys keys whose values must not be shown
 */
export function checkRaw<T>(root: string, property: Property<T>, raw: Raw, secretKeys: readonly string[]): Checked<T> {
  const own = Object.entries(raw).filter(([key]) => key.startsWith(root));
  const given = Object.fromEntries(own.map(([key, value]) => [key.slice(root.length), value]));
  const { value, faults } = check(property, given, {
    root,
    reads: meant,
    hides: (path) => secretKeys.some((key) => root + path === key || (root + path).startsWith(`${key}.`)),
    objects: `set its keys one by one, ${pulumiCommand("config set --path")}`,
  });
  const slips = Object.keys(raw).flatMap((key) => slipOf(key, root));
  if (slips.length > 0) return { config: undefined, errors: [...faults.map((fault) => fault.text), ...slips] };
  const absent = Object.fromEntries(Object.keys(property.fields ?? {}).map((key) => [key, undefined]));
  return { config: value && { ...absent, ...value }, errors: faults.map((fault) => fault.text) };
}

/** @returns what is wrong with a key whose namespace is this one with one or two letters wrong, missing or too many */
function slipOf(key: string, root: string): string[] {
  const [namespace = "", ...rest] = key.split(":");
  const own = root.slice(0, -1);
  if (namespace === own || edits(namespace.toLowerCase(), own) > 2) return [];
  return [`${key} is nobody's: ${root}${rest.join(":")} is meant, it seems`];
}

/**
 * A value as its type means it: a number or a truth value may be written as text, an object or a list of the top level as JSON. An empty
 * text or object is absent, since a key that Pulumi.yaml declares must have a default.
 */
export function meant(value: unknown, { type }: Property): unknown {
  if (value === "") return undefined;
  if (type === "object") return full(typeof value === "string" ? parsed(value) : value);
  if (typeof value !== "string") return value;
  if (type === "array") return parsed(value);
  if (type === "boolean") return value === "true" || (value !== "false" && value);
  const numeric = (type === "number" || type === "integer") && /^-?\d+(\.\d+)?$/.test(value.trim());
  return numeric ? Number(value) : value;
}

function full(object: unknown): unknown {
  const empty = typeof object === "object" && object !== null && Object.keys(object).length === 0;
  return empty && !Array.isArray(object) ? undefined : object;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) ?? text;
  } catch {
    return text;
  }
}
