import { insertObjects, renewObjects } from "../ledger/objects";
import { rows, type Askable, type Queryable } from "../base/sql";
import { otherFacts } from "./facts/others";
import { relationFacts, relations } from "./facts/relations";
import { present } from "./present";

/** Identity of an object, as module.yaml writes it → how the catalogue describes it. */
export class Inventory extends Map<string, string> {
  /** Object → the table or view that it hangs on: triggers, policies, indexes that refuse rows. */
  readonly hangsOn = new Map<string, string>();
}

/**
 * Raised when the inventory tells more of an object than before: the ledger keeps it with each object, so that what was
 * not told when it was recorded is no drift. What an older version told is told for ever: `since` in facts/.
 */
export const inventoryVersion = 3;

/**
 * Every object of the given schemas, described so that anything done by hand to it shows: columns, constraints, rights,
 * row security, rules, function bodies, whether triggers fire, who inherits from it and who publishes it. What belongs to
 * a table anyway (indexes of constraints, sequences of columns) is told with the table; a foreign key is not told once more
 * for each partition of the table that it refers to.
 * tests/engine/drift/columns.ts has the columns of the catalogue that are told, and why others are not.
 * @param version of the inventory, as the ledger noted it
 * @param objects if given, these alone, which is much less work for the server
 */
export async function readInventory(
  db: Askable,
  schemas: readonly string[],
  version = inventoryVersion,
  objects?: readonly string[],
): Promise<Inventory> {
  const found = await rows<{ object: string; definition: string; hangs_on: string | null }>(
    db,
    objects ? `SELECT * FROM ${someOf(objects, "$2", version)}` : inventorySql(version),
    objects ? [schemas, objects] : [schemas],
  );
  const inventory = new Inventory();
  for (const { object, definition, hangs_on: table } of found) {
    inventory.set(object, definition);
    if (table !== null) inventory.hangsOn.set(object, table);
  }
  return inventory;
}

/** @returns by each of some versions of the inventory what it tells @param objects as readInventory's */
export async function readInventories(
  db: Askable,
  schemas: readonly string[],
  versions: Iterable<number>,
  objects?: readonly string[],
): Promise<Map<number, Inventory>> {
  const told = new Map<number, Inventory>();
  for (const version of versions) told.set(version, await readInventory(db, schemas, version, objects));
  return told;
}

const isRelation = /^(?:table|view|sequence|index) (.*)$/s;

/** @returns those of the objects that are there; for relations the catalogue is asked by name, which costs next to nothing */
export async function stillThere(db: Queryable, objects: readonly string[]): Promise<string[]> {
  const nameOf = (object: string): string | undefined => isRelation.exec(object)?.[1];
  const names = objects.flatMap((object) => nameOf(object) ?? []);
  const found = names.length === 0 ? [] : await present(db, names);
  const others = objects.filter((object) => nameOf(object) === undefined);
  const there =
    others.length === 0
      ? []
      : await rows<{ object: string }>(db, `SELECT i.object FROM ${someOf(others, "$2")}`, [schemasOf(others), others]);
  const left = there.map((row) => row.object);
  return objects.filter((object) => left.includes(object) || found.includes(nameOf(object) ?? ""));
}

/**
 * Records objects in the ledger as the catalogue describes them, in one round trip.
 * @returns those that are there
 */
export async function recordInventory(
  db: Queryable,
  applyId: string,
  schemas: readonly string[],
  objects: readonly string[],
): Promise<string[]> {
  const there = await rows<{ object: string }>(db, insertObjects("$2", someOf(objects, "$3"), inventoryVersion), [
    schemas,
    applyId,
    objects,
  ]);
  return there.map((row) => row.object);
}

/** Records anew, as they are now, a module's objects that an older version of the inventory described. */
export async function renewInventory(db: Queryable, urn: string, schemas: readonly string[]): Promise<void> {
  await db.query(renewObjects("$2", `(${inventorySql(inventoryVersion)}) d`, inventoryVersion), [schemas, urn]);
}

/** Schemas that the objects of a manifest live in. */
export function schemasOf(objects: readonly string[]): string[] {
  const schemas = objects.map((object) => {
    const identity = object.slice(object.indexOf(" ") + 1);
    const relation = / on /.test(identity) ? identity.slice(identity.indexOf(" on ") + 4) : identity;
    return relation.includes(".") ? relation.slice(0, relation.indexOf(".")) : "public";
  });
  return [...new Set(schemas)];
}

/**
 * SQL: `i`, what the inventory tells of some objects: what a FROM has, and its WHERE. A name is asked for in each part, before a
 * definition is worked out.
 * @param parameter the one that holds the objects
 */
const someOf = (objects: readonly string[], parameter: string, version = inventoryVersion): string =>
  `(${inventorySql(version, objects)}) i (object, definition, hangs_on) WHERE i.object = ANY (${parameter})`;

/**
 * SQL: object, definition, hangs_on. The statement may be used in another one.
 * @param version of the inventory
 * @param objects if given, only of their kinds: a function's definition is not worked out for who asks for tables
 */
function inventorySql(version: number, objects?: readonly string[]): string {
  const facts = [...relationFacts(version), ...otherFacts(version)];
  const kinds = new Set(objects?.map((object) => object.slice(0, object.indexOf(" "))));
  const wanted = facts.filter((part) => kinds.has(/SELECT\s+'(\w+) '/.exec(part)?.[1] ?? ""));
  return `WITH c AS (${relations(version)}) ${(wanted.length > 0 ? wanted : facts).join("\nUNION ALL\n")}`;
}
