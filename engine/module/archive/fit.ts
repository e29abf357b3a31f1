import { escapeLiteral } from "pg";
import { GuardianError } from "../../base/errors";
import { quoteName, rows, type Queryable } from "../../base/sql";
import type { ArchivedTable } from "../files/manifest";
import { present } from "../present";
import { parentsFirst } from "./waiting";

/**
 * Refuses a module whose rows could not wait in the archive, or not come back from it: it would go up, and fail in the
 * rollback only, or lose rows there.
 * @param archive tables that are there
 * @param objects all that the module makes, as module.yaml lists it
 * @throws GuardianError naming each table and why
 */
export async function refuseUnfit(
  db: Queryable,
  archive: readonly ArchivedTable[],
  objects: readonly string[],
): Promise<void> {
  if (archive.length === 0) return;
  const tables = archive.map(({ table }) => table);
  const found = await rows<Unfit>(db, unfitSql, [
    tables,
    tables.map(quoteName),
    archive.map(({ subject }) => subject ?? null),
    objects,
  ]);
  const there = await present(db, tables);
  found.push(...(await circular(db, there)), ...(await filled(db, there)));
  if (found.length === 0) return;
  throw unfit(
    found,
    "change the table: one that is kept is plain, of types that stay, with keys that are checked at once, and empty at first",
    "if its rows are to go with the module, take it out of archive in module.yaml",
  );
}

interface Unfit extends Record<string, unknown> {
  name: string;
  why: string;
}

/** Tables come back one after the other. */
async function circular(db: Queryable, tables: readonly string[]): Promise<Unfit[]> {
  const found = await parentsFirst(db, tables);
  if (found.circular.length === 0) return [];
  const why = "they refer to each other in a circle, and none could come back first; take one of the keys out";
  return [{ name: found.circular.join(", "), why }];
}

/** Rows that a module brings along would be there before those that come back, under their keys. */
async function filled(db: Queryable, tables: readonly string[]): Promise<Unfit[]> {
  if (tables.length === 0) return [];
  await db.query("SET LOCAL row_security = off");
  const why = "it holds rows that the module brings along, which would take the place of those that come back";
  const each = tables.map(
    (name) => `SELECT ${escapeLiteral(name)} AS name WHERE EXISTS (SELECT FROM ${quoteName(name)})`,
  );
  return (await rows<{ name: string }>(db, each.join(" UNION ALL "))).map(({ name }) => ({ name, why }));
}

/**
 * The same of what alone would lose rows in a rollback, for a module that an older release applied.
 * @throws GuardianError naming each table
 */
export async function refuseParts(db: Queryable, tables: readonly string[]): Promise<void> {
  const found = await rows<Unfit>(db, `${kept} ${parts} ORDER BY 1`, [
    tables,
    tables.map(quoteName),
    tables.map(() => null),
  ]);
  if (found.length > 0) throw unfit(found, "take the rows out of the parts, or the parts off the table, by hand");
}

function unfit(found: readonly Unfit[], ...todo: string[]): GuardianError {
  return new GuardianError("file-invalid", {
    what: "rows of tables under archive could not wait in the archive, or not come back from it",
    where: found.map(({ name, why }) => `${name}: ${why}`).join("\n    "),
    todo,
  });
}

/** SQL: the tables ($1, and $2 quoted) with their subjects ($3). */
const kept = `
WITH kept AS (
  SELECT t.name, c.oid, c.relkind, t.subject FROM unnest($1::text[], $2::text[], $3::text[]) t(name, quoted, subject)
  JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(t.quoted)
)`;

/** SQL: a table of parts moves to the archive without them, and down.sql drops these with their rows. */
const parts = `
SELECT k.name, 'it is partitioned, or of a table with parts: its rows would go with these' AS why FROM kept k
WHERE k.relkind <> 'r' OR EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE k.oid IN (h.inhrelid, h.inhparent))`;

/**
 * SQL: all that is unfit. A type of the module goes before its rows are back. By a deferrable key a row is refused when it is too
 * late to tell which. The subject refers to an account meanwhile. All that moves to the archive has a name of its own there.
 */
const unfitSql = `${kept}, moving AS (
  SELECT k.name, c.relname FROM kept k JOIN pg_catalog.pg_class c ON c.oid = k.oid
  UNION ALL
  SELECT k.name, c.relname FROM kept k JOIN pg_catalog.pg_index i ON i.indrelid = k.oid JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  UNION ALL
  SELECT k.name, c.relname FROM kept k JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = k.oid
    AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i') JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
) ${parts}
UNION ALL
SELECT k.name, pg_catalog.format('column %s is of %s, which the module takes away before its rows are back', a.attname, o.object)
FROM kept k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid LEFT JOIN pg_catalog.pg_type e ON e.typarray = y.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
  JOIN unnest($4::text[]) o(object) ON o.object IN (SELECT kind || ' ' || n.nspname || '.' || coalesce(e.typname, y.typname)
    FROM (VALUES ('type'), ('table'), ('view')) w(kind))
UNION ALL
SELECT k.name, pg_catalog.format('%s is deferrable, by which no row comes back', c.conname)
FROM kept k JOIN pg_catalog.pg_constraint c ON c.conrelid = k.oid AND c.contype IN ('p', 'u', 'x') AND c.condeferrable
UNION ALL
SELECT k.name, pg_catalog.format('its subject, %s, is no column that can refer to an account', k.subject)
FROM kept k WHERE k.subject IS NOT NULL AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
    JOIN pg_catalog.pg_attribute u ON u.attrelid = pg_catalog.to_regclass('auth.users') AND u.attname = 'id'
  WHERE a.attrelid = k.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = k.subject
    AND u.atttypid IN (y.oid, y.typbasetype))
UNION ALL
SELECT m.name, pg_catalog.format('%s has the name of what %s has in another schema, and the archive is one', m.relname, o.name)
FROM moving m JOIN moving o ON o.relname = m.relname AND o.name <> m.name
ORDER BY 1, 2`;
