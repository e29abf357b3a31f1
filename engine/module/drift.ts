import { hash } from "../base/hash";
import type { RecordedObject } from "../ledger/objects";
import type { Inventory } from "./inventory";

/** How an object differs from what the ledger recorded when it was made. */
export interface Drift {
  object: string;
  kind: "missing" | "changed" | "unexpected";
  /** What differs, as lines of the catalogue's description: "was: …" and "now: …"; empty for what is missing or unexpected. */
  lines: string[];
}

/** URN of a module → its objects as they were when they were made, by their names. */
export type Records = ReadonlyMap<string, ReadonlyMap<string, RecordedObject>>;

/** @returns what the ledger recorded, by module */
export function byModule(objects: readonly RecordedObject[]): Records {
  const modules = new Map<string, Map<string, RecordedObject>>();
  for (const row of objects) {
    const module = modules.get(row.urn) ?? new Map<string, RecordedObject>();
    modules.set(row.urn, module.set(row.object, row));
  }
  return modules;
}

/** @returns the names of all objects that the ledger has recorded, whosever they are */
export const recordedNames = (records: Records): Set<string> =>
  new Set([...records.values()].flatMap((module) => [...module.keys()]));

/** @returns the versions of the inventory by which a module's objects were described */
export function versionsOf(records: Records, urn: string): number[] {
  return [...new Set([...(records.get(urn)?.values() ?? [])].map(({ facts }) => facts))];
}

/** @returns lines of a description that are in it and not in another one; it holds no row values */
export function linesBeside(description: string, other: string): string[] {
  const known = other.split("\n");
  return description.split("\n").filter((line) => !known.includes(line));
}

/**
 * Lines that tell of a table what stands elsewhere: a role that passes its row security, a view that shows its rows past it. That
 * such a thing is over was asked for by a gate, and is no change of the table.
 */
const breach = /^(?:row security is passed by|shown to) /;

function isMended(recorded: string, now: string): boolean {
  const stand = now.split("\n");
  const left = recorded.split("\n").filter((line) => !breach.test(line) || stand.includes(line));
  return left.join("\n") === now;
}

function differing(recorded: string, now: string): string[] {
  const lost = linesBeside(recorded, now).map((line) => `was: ${line.trim()}`);
  return [...lost, ...linesBeside(now, recorded).map((line) => `now: ${line.trim()}`)];
}

/**
 * Compares the catalogue with what was recorded of a module. Unexpected are triggers, policies and indexes that refuse rows,
 * if somebody hung them on a table or view of the module: what another module hung there is recorded with that one.
 * @param now what the catalogue has, told by each of the versions of the inventory that `versionsOf` gives
 */
export function findDrift(records: Records, urn: string, now: ReadonlyMap<number, Inventory>): Drift[] {
  const own = [...(records.get(urn)?.values() ?? [])];
  const known = recordedNames(records);
  return [...now].flatMap(([version, inventory]) => {
    const recorded = own.filter(({ facts }) => facts === version);
    const drift = recorded.flatMap(({ object, definition }): Drift[] => {
      const found = inventory.get(object);
      if (found === undefined) return [{ object, kind: "missing", lines: [] }];
      if (isMended(definition, found)) return [];
      return [{ object, kind: "changed", lines: differing(definition, found) }];
    });
    // The first version told of views nothing that hangs on them.
    const relation = version < 2 ? /^table / : /^(?:table|view) /;
    const relations = new Set(recorded.map(({ object }) => object).filter((object) => relation.test(object)));
    const hanging = [...inventory.hangsOn].filter(
      ([object, on]) => !known.has(object) && (relations.has(`table ${on}`) || relations.has(`view ${on}`)),
    );
    return [...drift, ...hanging.map(([object]): Drift => ({ object, kind: "unexpected", lines: [] }))];
  });
}

/**
 * @param described the catalogue's description of each object that is there
 * @returns object → a short fingerprint of it: what the state holds, so that a refresh shows what changed
 */
export function fingerprints(
  described: (object: string) => string | undefined,
  objects: Iterable<string>,
): Record<string, string> {
  const entries = [...objects].sort().map((object) => {
    const definition = described(object);
    return [object, definition === undefined ? "missing" : hash(definition).slice(0, 12)] as const;
  });
  return Object.fromEntries(entries);
}
