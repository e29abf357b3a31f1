import { first, rows, type Queryable } from "../base/sql";
import { claimRanges } from "./ranges";
import { ledgerSchema, ledgerTable } from "./schema";

const table = ledgerTable("batch");

/** What a batch is begun with. */
export interface NewBatch {
  urn: string;
  stepId: string;
  /** The table that it writes. */
  target: string;
  /** First and last key, as the ledger shows them; keys are uuids and numbers. */
  from?: string | null;
  to?: string | null;
}

/**
 * Begins a ledger batch in the open transaction. The audit triggers pass over rows written inside one: the ledger audits
 * them as one, by count and checksum; and updated_at of what it writes is the transaction's time.
 * @param settings what is set for the rest of the transaction besides, which costs no round trip here
 * @returns the batch's id
 */
export async function addBatch(
  db: Queryable,
  batch: NewBatch,
  settings: Readonly<Record<string, string>> = {},
): Promise<string> {
  const pairs = Object.entries(settings);
  const set = pairs.map((_pair, i) => `, pg_catalog.set_config($${2 * i + 6}, $${2 * i + 7}, true)`).join("");
  const row = await first<{ id: string }>(
    db,
    `WITH b AS (
       INSERT INTO ${table} (urn, step_id, target, epoch, key_from, key_to)
       SELECT $1, $2, $3, l.epoch, $4, $5 FROM ${ledgerTable("ledger")} l RETURNING id::text
     ) SELECT id, pg_catalog.set_config('${ledgerSchema}.batch', id, true)${set} FROM b`,
    [batch.urn, batch.stepId, batch.target, batch.from ?? null, batch.to ?? null, ...pairs.flat()],
  );
  return row?.id ?? "";
}

/** What a batch did, in rows. */
export interface BatchResult {
  written?: string | undefined;
  updated?: string | undefined;
  takenBack?: string | undefined;
  /** Sum of the hashes of the rows it wrote. */
  checksum?: string | null | undefined;
}

/**
 * Ends a batch.
 * @param ranges the ranges of the plan that it moved, by their places, both included
 */
export async function endBatch(
  db: Queryable,
  id: string,
  did: BatchResult,
  ranges?: { urn: string; low: number; high: number },
): Promise<void> {
  const values: unknown[] = [id];
  if (ranges) values.push(ranges.urn, ranges.low, ranges.high);
  const at = values.length;
  await db.query(
    `${ranges ? `WITH r AS (${claimRanges}) ` : ""}UPDATE ${table} SET state = 'done', rows_written = $${at + 1},
       rows_updated = $${at + 2}, rows_taken_back = $${at + 3}, checksum = $${at + 4} WHERE id = $1`,
    [...values, did.written ?? 0, did.updated ?? 0, did.takenBack ?? 0, did.checksum ?? null],
  );
}

/** SQL: whether a row under an alias is as the migration wrote it. @param urn number of the parameter that holds the URN */
export const isUntouched = (alias: string, urn: number): string =>
  `${alias}.updated_at IN (SELECT b.transaction_time FROM ${table} b WHERE b.urn = $${urn} AND b.state = 'done')`;

/** @returns rows written by all batches that still stand: an earlier life of the same migration may have left some */
export async function standingRows(db: Queryable, urn: string): Promise<string> {
  const text = `SELECT coalesce(sum(rows_written - rows_taken_back), 0) AS written FROM ${table} WHERE urn = $1 AND state = 'done'`;
  return (await first<{ written: string }>(db, text, [urn]))?.written ?? "0";
}

/** @returns the data migrations that wrote rows, as many as stand, but for those of these names */
export async function movedBut(db: Queryable, names: readonly string[]): Promise<{ name: string; rows: number }[]> {
  return rows<{ name: string; rows: number }>(
    db,
    `SELECT n.name, sum(b.rows_written - b.rows_taken_back)::float8 AS rows
     FROM ${table} b CROSS JOIN LATERAL pg_catalog.substring(b.urn, '[^:]+$') n(name)
     WHERE b.state = 'done' AND n.name <> ALL ($1) GROUP BY 1 HAVING sum(b.rows_written - b.rows_taken_back) > 0 ORDER BY 1`,
    [names],
  );
}

/** Says of batches, by their transactions' times, how many more of their rows were taken back. */
export async function noteTakenBack(
  db: Queryable,
  urn: string,
  gone: readonly { time: string; n: string }[],
): Promise<void> {
  await db.query(
    `UPDATE ${table} b SET rows_taken_back = b.rows_taken_back + g.n
     FROM (SELECT min(o.id::text)::uuid AS id, g.n FROM unnest($2::timestamptz[], $3::bigint[]) g(time, n)
           JOIN ${table} o ON o.urn = $1 AND o.state = 'done' AND o.transaction_time = g.time GROUP BY g.time, g.n) g
     WHERE b.id = g.id`,
    [urn, gone.map((row) => row.time), gone.map((row) => row.n)],
  );
}

/** Forgets a batch that wrote nothing. */
export async function dropBatch(db: Queryable, id: string): Promise<void> {
  await db.query(`DELETE FROM ${table} WHERE id = $1`, [id]);
}

/** Says that the batches do not stand any more, and forgets their keys. @returns how many of their rows stay */
export async function undoBatches(db: Queryable, urn: string): Promise<string> {
  const sum = await first<{ kept: string }>(
    db,
    `WITH u AS (UPDATE ${table} SET state = 'undone', key_from = NULL, key_to = NULL, rows_kept = rows_written - rows_taken_back
                WHERE urn = $1 AND state = 'done' RETURNING rows_kept)
     SELECT coalesce(sum(rows_kept), 0) AS kept FROM u`,
    [urn],
  );
  return sum?.kept ?? "0";
}
