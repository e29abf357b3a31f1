import { escapeIdentifier } from "pg";
import { addArchived } from "../../ledger/archived";
import { keepToOwner } from "../../ledger/rights";
import { archiveSchema } from "../../ledger/schema";
import { first, quoteName, rows, splitName, type Queryable } from "../../base/sql";
import { dependentsOf, refuseDependents } from "./dependents";
import { detachSql } from "./detach";
import { refuseParts } from "./fit";
import type { ArchivedTable } from "../files/manifest";
import { stamped } from "./stamp";

/** What a rollback does with the tables under archive. */
export interface Departure {
  /** Whether tables went to the archive: their rows are to be counted once nobody waits for us (counted.ts). */
  uncounted: boolean;
  /** Statements that are left to do while v6 is locked. */
  locked: { text: string }[];
}

/**
 * @returns relations of others that the tables' foreign keys refer to, sorted: their keys cannot go without locking them. A
 *   key to a partitioned table is in the catalogue once more for each partition (PostgreSQL manual, 53.13, conparentid).
 */
export async function referencedBy(db: Queryable, tables: readonly string[]): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    `SELECT DISTINCT n.nspname || '.' || c.relname AS name
     FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY ($1::regclass[])
       AND k.confrelid <> ALL ($1::regclass[]) ORDER BY 1`,
    [tables.map(quoteName)],
  );
  return found.map((row) => row.name);
}

/**
 * Takes the tables out of the module's way, as far as no v6 lock is needed: no more rows come, what
 * hangs on the tables and is not rows goes, tables with rows move to the archive under a name that carries the apply id,
 * with their indexes and sequences. What is left is returned: foreign keys go, but for the subject's key that cascades
 * (made so, NOT VALID, if it was not), so that deleting an account under v6 still deletes its archived rows; empty tables
 * are dropped.
 * @throws GuardianError if something that the module did not make depends on what goes
 */
export async function prepareArchive(
  db: Queryable,
  applyId: string,
  tables: readonly ArchivedTable[],
  objects: readonly string[],
): Promise<Departure> {
  await db.query("SET LOCAL row_security = off");
  for (const { table } of tables) await db.query(`LOCK TABLE ${quoteName(table)} IN ACCESS EXCLUSIVE MODE`);
  await refuseDependents(db, objects, "others made objects that depend on this module; a rollback would break them");
  await refuseParts(
    db,
    tables.map((entry) => entry.table),
  );
  await dropViews(
    db,
    tables.map((entry) => entry.table),
    objects,
  );
  await openArchive(db);
  const departure: Departure = { uncounted: false, locked: [] };
  for (const entry of tables) {
    await detach(db, entry.table);
    const about = await rowsAbout(db, entry.table);
    departure.uncounted ||= about > 0n;
    departure.locked.push(...(await leave(db, applyId, entry, about)));
  }
  // Keys first: a table cannot be dropped while another's key refers to it.
  departure.locked.sort((a, b) => Number(isDrop(a.text)) - Number(isDrop(b.text)));
  return departure;
}

/** @returns 0 for an empty table, else about how many rows it has: whoever deletes in v6 waits while all would be counted */
async function rowsAbout(db: Queryable, table: string): Promise<bigint> {
  const name = quoteName(table);
  const found = await first<{ about: string }>(
    db,
    `SELECT CASE WHEN EXISTS (SELECT FROM ${name}) THEN greatest(reltuples::bigint, 1) ELSE 0 END AS about
     FROM pg_catalog.pg_class WHERE oid = $1::regclass`,
    [name],
  );
  return BigInt(found?.about ?? 0);
}

/** The ledger's opening made the schema; somebody may have dropped it since, and a rollback must not stop at that. */
async function openArchive(db: Queryable): Promise<void> {
  const there = await first(db, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", [archiveSchema]);
  if (there) return;
  await db.query(`CREATE SCHEMA ${archiveSchema}`);
  await keepToOwner(db);
}

const isDrop = (text: string): boolean => text.startsWith("DROP TABLE");

/** The module's views over its archived tables, over such views too: those that depend on most go first. */
async function dropViews(db: Queryable, tables: readonly string[], objects: readonly string[]): Promise<void> {
  const levels = [tables.map((table) => `table ${table}`)];
  const kinds = new Map<string, string>();
  for (let level = levels[0]; level && level.length > 0; level = levels.at(-1)) {
    const over = (await dependentsOf(db, level)).filter(({ kind }) => kind === "v" || kind === "m");
    for (const { object, kind } of over) kinds.set(object, kind);
    levels.push([...new Set(over.map(({ object }) => object))].filter((object) => objects.includes(object)));
  }
  // A view may stand on several levels; the highest counts.
  for (const view of new Set(levels.slice(1).reverse().flat())) {
    const what = kinds.get(view) === "m" ? "MATERIALIZED VIEW" : "VIEW";
    await db.query(`DROP ${what} ${quoteName(view.slice("view ".length))}`);
  }
}

/** Everything that is not rows, v6's keys aside. */
async function detach(db: Queryable, name: string): Promise<void> {
  const table = quoteName(name);
  const statements = await rows<{ sql: string }>(db, detachSql, [table]);
  for (const { sql } of statements) await db.query(sql);
  await db.query(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`);
}

/** Moves a table with rows; returns what v6's locks are needed for. */
async function leave(db: Queryable, applyId: string, entry: ArchivedTable, about: bigint): Promise<{ text: string }[]> {
  const keys = await foreignKeys(db, entry.table);
  const moved = about > 0n ? await moveTable(db, applyId, entry.table) : quoteName(entry.table);
  const texts: string[] = [];
  const subjectKeys = keys.filter((key) => key.column === entry.subject && key.to === "auth.users");
  for (const key of keys) {
    if (about > 0n && key.action === "c" && subjectKeys.includes(key)) continue;
    texts.push(`ALTER TABLE ${moved} DROP CONSTRAINT ${escapeIdentifier(key.name)}`);
  }
  if (about === 0n) return [...texts, `DROP TABLE ${moved}`].map((text) => ({ text }));
  if (entry.subject !== undefined && !subjectKeys.some((key) => key.action === "c")) {
    const name = subjectKeys[0]?.name ?? stamped(`${splitName(entry.table).name}_subject`, applyId);
    texts.push(
      `ALTER TABLE ${moved} ADD CONSTRAINT ${escapeIdentifier(name)} FOREIGN KEY (${escapeIdentifier(entry.subject)})
       REFERENCES auth.users ON DELETE CASCADE NOT VALID`,
    );
  }
  await addArchived(db, {
    applyId,
    original: entry.table,
    archivedAs: `${archiveSchema}.${archivedName(applyId, entry.table)}`,
    subject: entry.subject ?? null,
    rows: about.toString(),
  });
  return texts.map((text) => ({ text }));
}

interface Key extends Record<string, unknown> {
  name: string;
  /** The one column, null for a key of several. */
  column: string | null;
  /** pg_constraint.confdeltype */
  action: string;
  to: string;
}

async function foreignKeys(db: Queryable, table: string): Promise<Key[]> {
  return rows<Key>(
    db,
    `SELECT k.conname AS name, k.confdeltype AS action, k.confrelid::regclass::text AS to,
            CASE WHEN pg_catalog.cardinality(k.conkey) = 1 THEN a.attname END AS column
     FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = $1::regclass ORDER BY 1`,
    [quoteName(table)],
  );
}

function archivedName(applyId: string, table: string): string {
  return stamped(splitName(table).name, applyId);
}

/** Indexes, sequences and the table itself get their names in the archive; returns the new one, quoted. */
async function moveTable(db: Queryable, applyId: string, name: string): Promise<string> {
  const parts = await rows<{ kind: string; schema: string; name: string }>(
    db,
    `SELECT 'INDEX' AS kind, n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE i.indrelid = $1::regclass
     UNION ALL
     SELECT 'SEQUENCE', n.nspname, c.relname
       FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::regclass AND d.deptype IN ('a', 'i')`,
    [quoteName(name)],
  );
  for (const part of parts) {
    const now = `${escapeIdentifier(part.schema)}.${escapeIdentifier(part.name)}`;
    await db.query(`ALTER ${part.kind} ${now} RENAME TO ${escapeIdentifier(stamped(part.name, applyId))}`);
  }
  const moved = escapeIdentifier(archivedName(applyId, name));
  await db.query(`ALTER TABLE ${quoteName(name)} RENAME TO ${moved}`);
  await db.query(`ALTER TABLE ${escapeIdentifier(splitName(name).schema)}.${moved} SET SCHEMA ${archiveSchema}`);
  return `${archiveSchema}.${moved}`;
}
