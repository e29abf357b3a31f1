import { first, rows, type Queryable } from "../../base/sql";
import { inTime } from "../in-time";
import type { AppQuery } from "./queries";

/** So many accounts are asked for at most, each of them once a round, and so many rows of the table are looked at to find them. */
const [accounts, looked] = [20, 400];

/** Whom to ask for, and how much there is of theirs. Never told: these are values of rows. */
export interface Sample {
  readonly whom: readonly string[];
  /** Rows that the table has of each, as a mean; undefined where they could not be counted in time. */
  readonly rows: number | undefined;
  /** Pages of the table itself, its partitions' included. */
  readonly tablePages: number;
  /** The same with those where long values of its rows lie apart (TOAST): who reads such a value reads these. */
  readonly wholePages: number;
}

/**
 * Finds accounts by the table's primary key, which no query is judged by. They are the same now as then wherever they are still
 * there: ids are random, and what was made since is passed over.
 * @param most so many accounts at most, and never more than are asked for
 * @param until only what was there at that time, in seconds since 1970
 * @returns undefined where they were not found in time: pages at random from a cold disk
 */
export async function sampleOf(
  db: Queryable,
  query: AppQuery,
  { most, until }: { most: number; until: number },
): Promise<Sample | undefined> {
  const { table, owner, type, where } = query;
  const find = `SELECT DISTINCT s.whom COLLATE "C" AS whom FROM (
       SELECT ${owner}::text AS whom FROM ${table}
       WHERE ${where} AND (created_at IS NULL OR created_at <= pg_catalog.to_timestamp($1)) ORDER BY id LIMIT ${looked}) AS s
     ORDER BY 1 LIMIT ${Math.min(accounts, most)}`;
  const found = await inTime(db, () => rows<{ whom: string }>(db, find, [until]));
  if (!found) return undefined;
  const whom = found.map((one) => one.whom);
  // Of a table that is not partitioned pg_partition_tree tells nothing.
  const size = await first<{ pages: number; apart: number }>(
    db,
    `SELECT coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(c.oid)) / b.size, 0)::pg_catalog.float8 AS pages,
       coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0))) / b.size, 0)::pg_catalog.float8 AS apart
     FROM (SELECT pg_catalog.current_setting('block_size')::pg_catalog.numeric AS size) AS b,
       (SELECT $1::pg_catalog.regclass AS relid UNION SELECT t.relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.regclass) AS t) AS t
       JOIN pg_catalog.pg_class AS c ON c.oid = t.relid GROUP BY b.size`,
    [table],
  );
  const { pages: tablePages = 0, apart = 0 } = size ?? {};
  const count = `SELECT pg_catalog.count(*)::pg_catalog.float8 AS n FROM ${table} WHERE ${owner} = ANY ($1::pg_catalog.${type}[])`;
  const counted = await inTime(db, () => first<{ n: number }>(db, count, [whom]));
  const each = counted && counted.n / Math.max(1, whom.length);
  return { whom, rows: each, tablePages, wholePages: tablePages + apart };
}
