import { hasUnknown, type Value, type Values } from "../provider/wire";

/** The ids of ledger and session are unknown in every first preview, and nothing is computed from them or planned by them. */
const immaterial: ReadonlySet<string> = new Set(["ledgerId", "sessionId"]);

export function dependsOnUnknown(inputs: Values): boolean {
  return Object.entries(inputs).some(([key, value]) => !immaterial.has(key) && hasUnknown(value));
}

/** @returns one value for all keys */
export function all(keys: readonly string[], value: Value): Values {
  return Object.fromEntries(keys.map((key) => [key, value]));
}

/** @returns the values of these keys; null where there is none */
export function pick(values: Values, keys: readonly string[]): Values {
  return Object.fromEntries(keys.map((key) => [key, values[key] ?? null]));
}
