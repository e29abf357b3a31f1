import { hash } from "../base/hash";
import type { Inventory } from "./inventory";

/** How an object differs from what the ledger recorded when it was made. */
export interface Drift {
  object: string;
  kind: "missing" | "changed" | "unexpected";
  /** What differs, as lines of the catalogue's description: "was …" and "is …"; empty for what is missing or unexpected. */
  lines: string[];
}

/** Lines of a description that are in one and not in the other; a description holds no row values. */
function differing(recorded: string, now: string): string[] {
  const [was, is] = [recorded.split("\n"), now.split("\n")];
  const lost = was.filter((line) => !is.includes(line)).map((line) => `was ${line.trim()}`);
  const found = is.filter((line) => !was.includes(line)).map((line) => `is ${line.trim()}`);
  return [...lost, ...found];
}

/**
 * Compares the catalogue with what was recorded. Unexpected are triggers, policies and indexes that somebody hung on a
 * table of the module.
 */
export function findDrift(recorded: Inventory, now: Inventory): Drift[] {
  const drift: Drift[] = [];
  for (const [object, definition] of recorded) {
    const found = now.get(object);
    if (found === undefined) drift.push({ object, kind: "missing", lines: [] });
    else if (found !== definition) drift.push({ object, kind: "changed", lines: differing(definition, found) });
  }
  const tables = [...recorded.keys()].filter((object) => object.startsWith("table ")).map((object) => object.slice(6));
  for (const [object] of now) {
    const table = /^(?:trigger|policy) .+ on (.+)$/.exec(object)?.[1];
    if (table !== undefined && tables.includes(table) && !recorded.has(object))
      drift.push({ object, kind: "unexpected", lines: [] });
  }
  return drift;
}

/** Object → a short fingerprint of its definition: what the state holds, so that a refresh shows what changed. */
export function fingerprints(inventory: Inventory, objects: Iterable<string>): Record<string, string> {
  const entries = [...objects].sort().map((object) => {
    const definition = inventory.get(object);
    return [object, definition === undefined ? "missing" : hash(definition).slice(0, 12)] as const;
  });
  return Object.fromEntries(entries);
}
