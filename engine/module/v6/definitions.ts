import { v6Tables } from "../../../spec/roles";
import { hash } from "../../base/hash";
import { rows, type Queryable } from "../../base/sql";
import { standingObjects } from "../../ledger/objects";
import { inventoryVersion, readInventory } from "../inventory";

/** How v6's tables, and what decides about their rows, were described at one time. */
export interface Definitions {
  /** Of the inventory that described them. */
  readonly version: number;
  /** By object, as the inventory names it: a hash of its description. A function's body may hold a key, so that no text is kept. */
  readonly objects: Readonly<Record<string, string>>;
}

/** Indexes of v6's tables that back no constraint, and the functions that triggers of theirs call. */
const besides = `
  SELECT 'index ' || n.nspname || '.' || ic.relname AS object
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace WHERE i.indrelid IN (SELECT oid FROM t)
  UNION
  SELECT 'function ' || n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
    FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE NOT g.tgisinternal AND g.tgrelid IN (SELECT oid FROM t)`;

/** Whether a table's description, or a line of it, says that. */
const partitioned = /^partition by /m;
const partition = /^child ("(?:[^"\\]|\\.)*")$/;

/**
 * A partitioned table's partitions come and go by themselves (pg_partman): each is an object of its own, so that another one is
 * added, and the table is what it was.
 * @param text how the inventory describes the object
 */
function apart(object: string, text: string): (readonly [object: string, text: string])[] {
  if (!partitioned.test(text)) return [[object, text]];
  const lines = text.split("\n");
  const own = lines.filter((line) => !partition.test(line)).join("\n");
  const parts = lines.flatMap((line) => partition.exec(line)?.[1] ?? []);
  return [[object, own], ...parts.map((name) => [`partition ${String(JSON.parse(name))} of ${object}`, ""] as const)];
}

/**
 * Describes v6's tables with their columns, constraints, rights and row security, their triggers with what these call, their
 * policies and indexes. What modules of ours hung on them is left out.
 * @param version of the inventory; a later one may tell more
 */
export async function v6Definitions(db: Queryable, version = inventoryVersion): Promise<Definitions> {
  const schemas = [...new Set(v6Tables.map((name) => name.slice(0, name.indexOf("."))))];
  const told = await readInventory(db, schemas, version);
  const named = await rows<{ object: string }>(
    db,
    `WITH t AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname || '.' || c.relname = ANY ($1)) ${besides}`,
    [v6Tables],
  );
  const ours = new Set(await standingObjects(db));
  const hanging = [...told.hangsOn].filter(([, on]) => v6Tables.includes(on)).map(([object]) => object);
  const objects = [...v6Tables.map((name) => `table ${name}`), ...hanging, ...named.map(({ object }) => object)];
  const own = [...new Set(objects)].filter((object) => told.has(object) && !ours.has(object)).sort();
  const described = own.flatMap((object) => apart(object, told.get(object) ?? ""));
  return { version, objects: Object.fromEntries(described.map(([object, text]) => [object, hash(text)])) };
}
