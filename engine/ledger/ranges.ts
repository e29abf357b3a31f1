import { escapeLiteral } from "pg";
import { first, rows, type Queryable } from "../base/sql";
import { ledgerTable } from "./schema";

const table = ledgerTable("range");

/** A range of a data migration's plan: its keys from one to another, both included. */
export interface PlannedRange {
  place: number;
  from: string[];
  to: string[];
  keys: number;
}

const columns = `place, key_from AS "from", key_to AS "to", keys`;

/** @returns the ranges that are still to be moved, in their order */
export async function rangesLeft(db: Queryable, urn: string): Promise<PlannedRange[]> {
  const text = `SELECT ${columns} FROM ${table} WHERE urn = $1 AND batch_id IS NULL ORDER BY place`;
  return rows<PlannedRange & Record<string, unknown>>(db, text, [urn]);
}

/** @returns the ranges from one place to another, both included */
export async function rangesBetween(db: Queryable, urn: string, low: number, high: number): Promise<PlannedRange[]> {
  const text = `SELECT ${columns} FROM ${table} WHERE urn = $1 AND place BETWEEN $2 AND $3 ORDER BY place`;
  return rows<PlannedRange & Record<string, unknown>>(db, text, [urn, low, high]);
}

/** @returns the last key of every range, and how many keys it has, in their order */
export async function rangeEnds(db: Queryable, urn: string): Promise<{ key: string[]; keys: number }[]> {
  return rows(db, `SELECT key_to AS key, keys FROM ${table} WHERE urn = $1 ORDER BY place`, [urn]);
}

/** @returns the last key of a range; undefined where the plan has no such place */
export async function endOf(db: Queryable, urn: string, place: number): Promise<string[] | undefined> {
  const text = `SELECT key_to AS key FROM ${table} WHERE urn = $1 AND place = $2`;
  return (await first<{ key: string[] }>(db, text, [urn, place]))?.key;
}

/** @returns up to 200 keys of the plan, spread over all of it, the same every time */
export async function sampleKeys(db: Queryable, urn: string): Promise<string[][]> {
  const text = `SELECT key_from AS key FROM ${table} WHERE urn = $1 ORDER BY pg_catalog.md5(place::text) LIMIT 200`;
  return (await rows<{ key: string[] }>(db, text, [urn])).map((row) => row.key);
}

/** How large a plan is. */
export interface PlanSize {
  /** Keys in all ranges. */
  keys: number;
  /** Keys of ranges that were moved. */
  moved: number;
  /** The last range: its place and last key; undefined for an empty plan. */
  last: { place: number; key: string[] } | undefined;
}

/** @returns how large the plan is by now, and how much of it is moved */
export async function planSize(db: Queryable, urn: string): Promise<PlanSize> {
  const text = `SELECT coalesce(sum(keys), 0) AS keys, coalesce(sum(keys) FILTER (WHERE batch_id IS NOT NULL), 0) AS moved,
      (SELECT place FROM ${table} WHERE urn = $1 ORDER BY place DESC LIMIT 1) AS place,
      (SELECT key_to FROM ${table} WHERE urn = $1 ORDER BY place DESC LIMIT 1) AS key
    FROM ${table} WHERE urn = $1`;
  const row = await first<{ keys: string; moved: string; place: number | null; key: string[] | null }>(db, text, [urn]);
  const last = row?.key && row.place !== null ? { place: row.place, key: row.key } : undefined;
  return { keys: Number(row?.keys ?? 0), moved: Number(row?.moved ?? 0), last };
}

/** SQL that plans ranges. @param select gives urn, place, first key, last key and number of keys of each */
export const insertRanges = (select: string): string =>
  `INSERT INTO ${table} (urn, place, key_from, key_to, keys) ${select}`;

/** SQL: whether there is a plan. */
export const isPlanned = (urn: string): string => `EXISTS (SELECT FROM ${table} WHERE urn = ${escapeLiteral(urn)})`;

/** SQL that says of ranges by which batch they were moved: `$1` its id, then URN, first and last place. */
export const claimRanges = `UPDATE ${table} SET batch_id = $1 WHERE urn = $2 AND place BETWEEN $3 AND $4`;

/** Says that nothing of some ranges is moved any more. */
export async function freeRanges(db: Queryable, urn: string, low: number, high: number): Promise<void> {
  await db.query(claimRanges, [null, urn, low, high]);
}

/**
 * @param keys how many keys the ranges should hold at most
 * @returns the places of the last ranges that are moved, both included; at least one range, the first where none is moved
 */
export async function lastMoved(db: Queryable, urn: string, keys: number): Promise<{ low: number; high: number }> {
  const edge = await first<{ low: number; high: number }>(
    db,
    `WITH r AS (SELECT place, keys, batch_id FROM ${table} WHERE urn = $1),
       top AS (SELECT max(place) AS place FROM r WHERE batch_id IS NOT NULL)
     SELECT coalesce(min(n.place), 1) AS low, coalesce(max(n.place), 1) AS high
     FROM (SELECT r.place, sum(r.keys) OVER (ORDER BY r.place DESC) AS sum FROM r, top
           WHERE r.place <= top.place AND r.place > top.place - 100) n
     WHERE n.sum <= $2 OR n.place = (SELECT place FROM top)`,
    [urn, keys],
  );
  return edge ?? { low: 1, high: 1 };
}

/** Forgets the plan: keys of persons are in it. */
export async function forgetRanges(db: Queryable, urn: string): Promise<void> {
  await db.query(`DELETE FROM ${table} WHERE urn = $1`, [urn]);
}
