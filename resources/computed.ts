import { hasUnknown, type Value, type Values } from "../provider/wire";

/** The ledger's id is unknown in every first preview, and nothing is computed from it. */
export function dependsOnUnknown(inputs: Values): boolean {
  return Object.entries(inputs).some(([key, value]) => key !== "ledgerId" && hasUnknown(value));
}

/** @returns one value for all keys */
export function all(keys: readonly string[], value: Value): Values {
  return Object.fromEntries(keys.map((key) => [key, value]));
}

/** @returns the values of these keys; null where there is none */
export function pick(values: Values, keys: readonly string[]): Values {
  return Object.fromEntries(keys.map((key) => [key, values[key] ?? null]));
}
