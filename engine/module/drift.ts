import { hash } from "./meaning";
import type { Inventory } from "./inventory";

/** How an object differs from what the ledger recorded when it was made. */
export interface Drift {
  object: string;
  kind: "missing" | "changed" | "unexpected";
  /** The recorded definition, by which it can be put back. */
  recorded?: string;
}

/**
 * Compares the catalogue with what was recorded. Unexpected are triggers, policies and indexes that somebody hung on a
 * table of the module.
 */
export function findDrift(recorded: Inventory, now: Inventory): Drift[] {
  const drift: Drift[] = [];
  for (const [object, definition] of recorded) {
    const found = now.get(object);
    if (found === undefined) drift.push({ object, kind: "missing", recorded: definition });
    else if (found !== definition) drift.push({ object, kind: "changed", recorded: definition });
  }
  const tables = [...recorded.keys()].filter((object) => object.startsWith("table ")).map((object) => object.slice(6));
  for (const [object] of now) {
    const table = /^(?:trigger|policy) .+ on (.+)$/.exec(object)?.[1];
    if (table !== undefined && tables.includes(table) && !recorded.has(object))
      drift.push({ object, kind: "unexpected" });
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
