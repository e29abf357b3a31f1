import { escapeIdentifier } from "pg";
import { rows, type Queryable } from "../../base/sql";

/** A foreign key of a table that gets its rows back. */
export interface ForeignKey extends Record<string, unknown> {
  name: string;
  columns: string[];
  /** Columns that ON DELETE SET NULL or SET DEFAULT sets: all, unless the key names some. */
  set: string[];
  /** The other relation, quoted. */
  to: string;
  /** The same as `schema.name`. */
  target: string;
  toColumns: string[];
  /** pg_constraint.confdeltype: a no action, r restrict, c cascade, n set null, d set default. */
  action: string;
  /** True if it refers to its own table. */
  self: boolean;
}

/**
 * Reads the foreign keys of a table (PostgreSQL manual, 53.13, pg_constraint); one to a partitioned table once. One on a column
 * that the archived table lacks, since a later version brought it, asks nothing of the rows there.
 */
export async function foreignKeys(db: Queryable, table: string, archived: string): Promise<ForeignKey[]> {
  const columns = (list: string, relation: string): string => `ARRAY(
    SELECT a.attname::text FROM unnest(${list}) WITH ORDINALITY u(num, i)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = u.num ORDER BY u.i)`;
  return rows<ForeignKey>(
    db,
    `SELECT k.conname AS name, k.confdeltype AS action, pg_catalog.format('%I.%I', n.nspname, c.relname) AS to, n.nspname || '.' || c.relname AS target, k.confrelid = k.conrelid AS self,
            ${columns("k.conkey", "k.conrelid")} AS columns, ${columns("k.confkey", "k.confrelid")} AS "toColumns",
            ${columns("coalesce(k.confdelsetcols, k.conkey)", "k.conrelid")} AS set
     FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = $1::regclass AND NOT EXISTS (
       SELECT FROM unnest(k.conkey) u(num) JOIN pg_catalog.pg_attribute l ON l.attrelid = k.conrelid AND l.attnum = u.num
       WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = $2::regclass AND a.attname = l.attname AND NOT a.attisdropped))
     ORDER BY k.conname`,
    [table, archived],
  );
}

/** `m.a = r.x AND m.b = r.y` */
export function matches(key: ForeignKey, mine: string, theirs: string): string {
  const pairs = key.columns.map((column, i) => {
    const other = escapeIdentifier(key.toColumns[i] ?? "");
    return `${theirs}.${other} = ${mine}.${escapeIdentifier(column)}`;
  });
  return pairs.join(" AND ");
}

/**
 * The condition on a row `m` that what it refers to is there, or that it refers to nothing (MATCH SIMPLE; PostgreSQL
 * manual, 5.5.5), or to itself.
 * @param also a relation besides in which the other row counts as there
 */
export function reaches(key: ForeignKey, also?: string): string {
  const nothing = key.columns.map((column) => `m.${escapeIdentifier(column)} IS NULL`);
  const relations = [key.to, ...(also === undefined ? [] : [also])];
  const there = relations.map((relation) => `EXISTS (SELECT FROM ${relation} r WHERE ${matches(key, "m", "r")})`);
  return `(${[...nothing, ...(key.self ? [`(${matches(key, "m", "m")})`] : []), ...there].join(" OR ")})`;
}

/** The condition on a row of the archived table to which a key refers that a live row stands in its place. */
export function isLive(key: ForeignKey, mine: string): string {
  const pairs = key.toColumns.map(escapeIdentifier).map((column) => `r.${column} = ${mine}.${column}`);
  return `EXISTS (SELECT FROM ${key.to} r WHERE ${pairs.join(" AND ")})`;
}
