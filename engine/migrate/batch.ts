import { escapeIdentifier } from "pg";
import type { WriteSession } from "../database";
import { ledgerSchema } from "../ledger/schema";
import { first, quoteName, type Queryable } from "../sql";
import { patiently } from "./patient";
import { under, type Range } from "./range";
import { matches, rowHash, sourceIn, targetIn, type Mapped } from "./source";

/** Consecutive ranges of the plan that one transaction moves. */
export interface Chunk {
  firstPlace: number;
  lastPlace: number;
  from: readonly string[];
  to: readonly string[];
  keys: number;
}

/** A migration as it runs: what every batch needs to know. */
export interface Run {
  it: Mapped;
  urn: string;
  stepId: string;
  /** `$1` of the source. */
  parameters: string;
  /** An index of the target sees to it that no row is there twice. */
  guarded: boolean;
  /**
   * Asked after every rejected row, by the session that rejected it: another one may be in a transaction that failed.
   * @throws GuardianError if more are rejected than may be
   */
  gate: (session: WriteSession) => Promise<void>;
}

/**
 * Settings of a chunk's transaction.
 *
 * enable_nestloop: a range of uuids within one bucket of the column's histogram is estimated at one row, however many it
 * has: the server cannot interpolate between uuids. For one row it would loop over the target's range for each row of the
 * source, and walk past all that the batch itself has inserted there: quadratic. Ranges are joined by merging or hashing.
 *
 * synchronous_commit: rows and progress are in one transaction, so that a crash takes the last batches back as a whole and
 * they are moved again; the cut-over waits for the disk, and everything before it is on it then (PostgreSQL manual, 30.4).
 */
const ofChunk =
  ", pg_catalog.set_config('enable_nestloop', 'off', true), pg_catalog.set_config('synchronous_commit', 'off', true)";

/**
 * Begins a ledger batch in the open transaction. The audit triggers pass over rows written inside one: the ledger audits
 * them as one, by count and checksum; and updated_at of what it writes is the transaction's time.
 * @returns the batch's id
 */
export async function openBatch(
  db: Queryable,
  run: Pick<Run, "urn" | "stepId"> & { it: Pick<Mapped, "target"> },
  epoch: string,
  chunk?: Chunk,
): Promise<string> {
  const batch = await first<{ id: string }>(
    db,
    `WITH b AS (
       INSERT INTO ${ledgerSchema}.batch (urn, step_id, target, epoch, key_from, key_to)
       VALUES ($1, $2, $3, $4, $5, $6) RETURNING id::text
     ) SELECT id, pg_catalog.set_config('guardian_migration.batch', id, true)${chunk ? ofChunk : ""} FROM b`,
    [run.urn, run.stepId, run.it.target, epoch, text(chunk?.from), text(chunk?.to)],
  );
  return batch?.id ?? "";
}

/** Keys are uuids and numbers; as the ledger shows them. */
const text = (key: readonly string[] | undefined): string | null => (key ? key.join(", ") : null);

/**
 * Moves the rows of a chunk in one transaction: its rows, their count and checksum, and the plan's progress, fenced by the
 * operator's epoch. A row of the target that is there already is left alone, whatever its state.
 * @returns how many rows were written
 */
export function moveChunk(session: WriteSession, run: Run, chunk: Chunk): Promise<number> {
  return patiently(session, async (db) => {
    const id = await openBatch(db, run, session.epoch, chunk);
    const moved = await first<{ written: string; checksum: string | null }>(db, moveStatement(run.it), [
      run.parameters,
      ...chunk.from,
      ...chunk.to,
    ]);
    await db.query(
      `WITH r AS (UPDATE ${ledgerSchema}.range SET batch_id = $1 WHERE urn = $2 AND place BETWEEN $3 AND $4)
       UPDATE ${ledgerSchema}.batch SET state = 'done', rows_written = $5, checksum = $6 WHERE id = $1`,
      [id, run.urn, chunk.firstPlace, chunk.lastPlace, moved?.written ?? 0, moved?.checksum ?? null],
    );
    return Number(moved?.written ?? 0);
  });
}

/**
 * One INSERT … SELECT; `$2` on are the ends of the range. The rows go in by their key, whatever order the source is read
 * in: the target's index then grows at its end, a fifth smaller than by rows in any order, and with less WAL.
 */
export function moveStatement(it: Mapped): string {
  const range: Range = { kind: "between", types: it.types };
  const target = quoteName(it.target);
  return `WITH written AS (
      INSERT INTO ${target} AS t (${it.columns.map((column) => escapeIdentifier(column)).join(", ")})
      SELECT ${under("s", it.columns).join(", ")} FROM ${sourceIn(it, range)} s
      WHERE NOT EXISTS (SELECT FROM ${target} p WHERE ${matches(it, "p")} AND ${targetIn(it, "p", range)})
      ORDER BY ${under("s", it.targetKey).join(", ")}
      RETURNING ${rowHash(it, "t")} AS hash
    ) SELECT count(*) AS written, sum(hash)::text AS checksum FROM written`;
}
