import { escapeIdentifier } from "pg";
import { rows, type Queryable } from "../../base/sql";
import { addRejects, changedValue } from "../../ledger/rejects";
import { readAs } from "./casts";
import type { Named } from "./refused";

/*
 * A column that has another type now may take a value and change it: numeric(10,1) rounds, timestamptz(0) too, varchar(3) cuts
 * spaces, integer rounds a numeric. A row with such a value stays in the archive, noted by key, as one that is refused.
 */

/** A column whose type does not take every value that the archive may hold of it. */
export interface Narrower {
  name: string;
  /** SQL on alias `m`: whether the value would be another one. */
  changes: string;
}

/**
 * Notes those of some archived rows whose values would be changed by the types that their columns have now.
 * @param ctids their places
 * @returns how many were not noted before
 * @throws an error that a row is to blame for (isRowError), where a value cannot be read as the new type at all
 */
export async function noteChanged(
  db: Queryable,
  of: Named & { narrower: readonly Narrower[] },
  ctids: readonly string[],
): Promise<number> {
  let noted = 0;
  for (const { name, changes } of of.narrower) {
    const keys = `SELECT ${of.key("m")} FROM ${of.archived} m WHERE m.ctid = ANY ($4::tid[]) AND ${changes}`;
    noted += await addRejects(db, { urn: of.urn, sqlstate: changedValue, object: name }, keys, [ctids]);
  }
  return noted;
}

/** @param table and `archived`: quoted */
export async function narrowerColumns(db: Queryable, table: string, archived: string): Promise<Narrower[]> {
  const found = await rows<{ name: string; was: string; now: string; ordered: boolean }>(
    db,
    `SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS was,
            pg_catalog.format_type(l.atttypid, l.atttypmod) AS now,
            coalesce(e.typcategory, y.typcategory) = ANY ('{B,D,N,R,T}') AS ordered
     FROM pg_catalog.pg_attribute l JOIN pg_catalog.pg_attribute a ON a.attname = l.attname
     JOIN pg_catalog.pg_type y ON y.oid = a.atttypid LEFT JOIN pg_catalog.pg_type e ON e.typarray = y.oid
     WHERE l.attrelid = $1::regclass AND a.attrelid = $2::regclass AND l.attnum > 0 AND a.attnum > 0
       AND NOT l.attisdropped AND NOT a.attisdropped AND l.attgenerated = ''
       AND (l.atttypid <> a.atttypid OR l.atttypmod NOT IN (-1, a.atttypmod)) ORDER BY l.attnum`,
    [table, archived],
  );
  const columns: Narrower[] = [];
  for (const { name, was, now, ordered } of found) {
    const value = `m.${escapeIdentifier(name)}`;
    const there = await readAs(db, value, was, now);
    if (now === "jsonb" && !ordered) {
      columns.push({ name, changes: `${nodes("json", `${value}::text::json`)} <> ${nodes("jsonb", there)}` });
      continue;
    }
    const back = await readAs(db, there, now, was);
    // 1.5 is 1.50 though it is written otherwise. What is no number and no time has changed if its text has: some types
    // have no equality (json), others call equal what looks different to a reader (jsonb's do not, citext's do).
    const text = (sql: string): string => (ordered ? sql : `(${sql})::text COLLATE "C"`);
    columns.push({ name, changes: `${text(back)} IS DISTINCT FROM ${text(value)}` });
  }
  return columns;
}

/**
 * jsonb writes spaces, escapes and numbers its own way and orders members, which is the same value; of members of one name it
 * keeps the last (PostgreSQL manual, 8.14), which is not.
 * @param type json or jsonb
 * @returns SQL for how many values are in a value, itself and those of its members and elements at any depth
 */
const nodes = (type: string, value: string): string => `(
  WITH RECURSIVE node(v) AS (
    SELECT ${value}
    UNION ALL
    SELECT c.v FROM node CROSS JOIN LATERAL (
      SELECT value AS v FROM pg_catalog.${type}_each(CASE pg_catalog.${type}_typeof(v) WHEN 'object' THEN v ELSE '{}' END)
      UNION ALL
      SELECT value FROM pg_catalog.${type}_array_elements(CASE pg_catalog.${type}_typeof(v) WHEN 'array' THEN v ELSE '[]' END)
    ) c
  ) SELECT count(*) FROM node)`;
