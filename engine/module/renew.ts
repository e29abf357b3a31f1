import { readObjects, type RecordedObject } from "../ledger/objects";
import type { Queryable } from "../base/sql";
import { byModule, findDrift, linesBeside, recordedNames, versionsOf, type Drift, type Records } from "./drift";
import { inventoryVersion, readInventories, renewInventory, type Inventory } from "./inventory";

/** What recording a module's objects anew would note of them. */
export interface Renewal {
  /** How many objects. */
  objects: number;
  /** What somebody may have made by hand before it could be seen, as `object: line of its description`. */
  found: string[];
}

/** Lines of a description that no module gives to an object: they are told only where something is unlike what is usual. */
const odd =
  /^(rule|child|inherits from|published by|constraint .* fires|not null|member of extension|unlogged|replica identity|line break|column .* (rights|default)) ?/;

/** @returns the objects that an older version of the inventory described */
const outdated = (records: Records, urn: string): RecordedObject[] =>
  [...(records.get(urn)?.values() ?? [])].filter(({ facts }) => facts < inventoryVersion);

/** @returns what recording a module's objects anew would note; undefined where nothing is to be recorded */
export function describeRenewal(
  records: Records,
  urn: string,
  told: ReadonlyMap<number, Inventory>,
  now: Inventory,
): Renewal | undefined {
  const old = outdated(records, urn);
  if (old.length === 0) return undefined;
  const known = recordedNames(records);
  const found = old.flatMap(({ object, facts }) => {
    const before = told.get(facts);
    const lines = linesBeside(now.get(object) ?? "", before?.get(object) ?? "").filter((line) => odd.test(line));
    const relation = /^(?:table|view) (.+)$/s.exec(object)?.[1];
    const hanging = [...now.hangsOn].filter(([name, on]) => on === relation && !known.has(name));
    return [...lines, ...hanging.map(([name]) => name)].map((line) => `${object}: ${line.trim()}`);
  });
  return { objects: old.length, found };
}

/**
 * Records a module's objects anew, as far as an older version of the inventory described them: what that one did not tell
 * is from then on drift if it changes.
 * @returns what the older version sees as drift; then nothing is recorded
 */
export async function renewFacts(db: Queryable, urn: string, schemas: readonly string[]): Promise<Drift[]> {
  const records = byModule(await readObjects(db));
  if (outdated(records, urn).length === 0) return [];
  const drift = findDrift(records, urn, await readInventories(db, schemas, versionsOf(records, urn)));
  if (drift.length === 0) await renewInventory(db, urn, schemas);
  return drift;
}
