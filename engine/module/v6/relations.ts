import { quoteName, rows, type Queryable } from "../../base/sql";

/**
 * SQL: the relations of `$1` (quoted names) and the partitions of those that are partitioned, as `oid`. What only inherits
 * from one of them is another table: no key and no trigger of ours reaches it.
 */
export const withPartitions = `
  WITH RECURSIVE kin (oid) AS (
    SELECT pg_catalog.to_regclass(r)::pg_catalog.oid FROM pg_catalog.unnest($1::text[]) r
    UNION
    SELECT i.inhrelid FROM kin JOIN pg_catalog.pg_inherits i ON i.inhparent = kin.oid
    JOIN pg_catalog.pg_class c ON c.oid = kin.oid AND c.relkind = 'p'
  )`;

/**
 * How relations are named in LOCK TABLE: a plain table by ONLY, for what inherits from it is locked besides otherwise
 * (PostgreSQL manual, LOCK); a partitioned one with its partitions, which its keys and triggers reach.
 */
export async function lockTargets(db: Queryable, relations: readonly string[]): Promise<string> {
  const quoted = relations.map(quoteName);
  const plain = await rows<{ name: string }>(
    db,
    `SELECT u.name FROM pg_catalog.unnest($1::text[]) u(name)
     JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(u.name) AND c.relkind = 'r'`,
    [quoted],
  );
  const only = new Set(plain.map((row) => row.name));
  return quoted.map((name) => (only.has(name) ? `ONLY ${name}` : name)).join(", ");
}
