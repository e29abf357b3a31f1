import { sqlText } from "../base/names";
import { exists, rows, type Queryable } from "../base/sql";
import { moduleTable } from "./modules";
import { ledgerTable } from "./schema";

const table = ledgerTable("object");

/** SQL: the objects of all modules that stand. */
const standing = `${table} o JOIN ${moduleTable} m USING (apply_id) WHERE m.undone_at IS NULL`;

/** An object as it was when it was made. */
export interface RecordedObject extends Record<string, unknown> {
  /** Whose it is. */
  urn: string;
  /** As module.yaml names it. */
  object: string;
  /** As the catalogue described it. */
  definition: string;
  /** By which version of the inventory. */
  facts: number;
}

/** @returns the objects of all modules that stand; a ledger of format 1 knows of one version of the inventory only */
export async function readObjects(db: Queryable): Promise<RecordedObject[]> {
  const facts = "coalesce((pg_catalog.to_jsonb(o)->>'facts')::integer, 1)";
  return rows<RecordedObject>(db, `SELECT m.urn, o.object, o.definition, ${facts} AS facts FROM ${standing}`);
}

/** @returns the objects of all modules that stand, as module.yaml names them; none where there is no ledger */
export async function standingObjects(db: Queryable): Promise<string[]> {
  if (!(await exists(db, table))) return [];
  return (await rows<{ object: string }>(db, `SELECT o.object FROM ${standing}`)).map(({ object }) => object);
}

/** @returns names with their schema, of objects of one kind as module.yaml calls it: `table`, `function`, `view` */
export type Standing = (kind: string) => string[];

/** @returns the objects of all modules that stand, asked at once; none where there is no ledger */
export async function readStanding(db: Queryable): Promise<Standing> {
  const objects = await standingObjects(db);
  return (kind) => objects.flatMap((object) => (object.startsWith(`${kind} `) ? [object.slice(kind.length + 1)] : []));
}

/** @returns the names of objects of one kind, see `Standing` */
export const standingNames = async (db: Queryable, kind: string): Promise<string[]> => (await readStanding(db))(kind);

/** @returns the tables of all modules that stand, as `schema.name`; none where there is no ledger */
export const standingTables = (db: Queryable): Promise<string[]> => standingNames(db, "table");

/**
 * SQL that records objects of an application, and returns them.
 * @param applyId its id as SQL
 * @param described a table `i` of `object` and `definition`, with a condition
 * @param facts the inventory's version
 */
export const insertObjects = (applyId: string, described: string, facts: number): string =>
  `INSERT INTO ${table} (apply_id, object, definition, facts)
   SELECT ${applyId}, i.object, i.definition, ${facts} FROM ${described} RETURNING object`;

/**
 * SQL that records anew, as they are now, the objects of an application that an older version of the inventory described;
 * and beside them, as if they were its own, what hung on its tables and views by then and is not recorded.
 * @param urn whose it is, as SQL
 * @param described a table of `object`, `definition` and `hangs_on`
 * @param facts the inventory's version
 */
export const renewObjects = (urn: string, described: string, facts: number): string => `
  WITH i AS MATERIALIZED (SELECT * FROM ${described}),
  old AS (SELECT o.apply_id, o.object FROM ${standing} AND m.urn = ${urn} AND o.facts < ${facts}),
  renewed AS (
    UPDATE ${table} o SET definition = i.definition, facts = ${facts} FROM old, i
    WHERE o.apply_id = old.apply_id AND o.object = old.object AND i.object = old.object)
  INSERT INTO ${table} (apply_id, object, definition, facts)
  SELECT old.apply_id, i.object, i.definition, ${facts} FROM i JOIN old ON old.object IN ('table ' || i.hangs_on, 'view ' || i.hangs_on)
  WHERE NOT EXISTS (SELECT FROM ${standing} AND o.object = i.object)`;

/** Records an object that was made after the module's transaction, if module.yaml lists it. */
export async function addObject(
  db: Queryable,
  urn: string,
  of: { object: string; definition: string; facts: number },
): Promise<void> {
  await db.query(
    `INSERT INTO ${table} (apply_id, object, definition, facts)
     SELECT m.apply_id, $2, $3, $4 FROM ${moduleTable} m
     WHERE m.urn = $1 AND m.undone_at IS NULL AND m.manifest->'objects' ? $2 ON CONFLICT DO NOTHING`,
    [urn, of.object, of.definition, of.facts],
  );
}

/**
 * SQL: whether a table's column was computed by the table itself, as the table was made: its line in the description says so
 * (module/facts/relations.ts). In the archive it may be a plain one.
 * @param applyId SQL, as are the table, `schema.name`, and the column's name
 */
export const wasComputed = (applyId: string, relation: string, column: string): string =>
  `EXISTS (SELECT FROM ${table} o, pg_catalog.string_to_table(o.definition, E'\\n') line
   WHERE o.apply_id = ${applyId} AND o.object = 'table ' || ${relation}
     AND pg_catalog.starts_with(line, 'column ' || ${column} || ' ') AND line LIKE '% s generated%')`;

/** SQL: whether an object is one of a module that stands. @param object SQL for its identity */
export const isOurs = (object: string): string => `EXISTS (SELECT FROM ${standing} AND o.object = ${object})`;

/** The statement by which a person sees how an object was. */
export const showObject = (object: string): string =>
  `SELECT definition FROM ${table} JOIN ${moduleTable} USING (apply_id) WHERE undone_at IS NULL AND object = ${sqlText(object)}`;
