import { escapeIdentifier } from "pg";
import type { FencedWriter } from "../../database";
import { addBatch, endBatch } from "../../ledger/batches";
import { first, quoteName, type Queryable } from "../../base/sql";
import { patiently } from "./patient";
import { under, type Range } from "../definition/range";
import { refuseMarkless } from "../definition/marked";
import { isAbsent, rowHash, sourceIn, type Mapped } from "../definition/source";

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
   * Asked after every rejected row, by the writer that rejected it: another one may be in a transaction that failed.
   * @throws GuardianError if more are rejected than may be
   */
  gate(fenced: FencedWriter): Promise<void>;
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
const ofChunk = { enable_nestloop: "off", synchronous_commit: "off" };

/** Begins a ledger batch in the open transaction; see addBatch. @returns the batch's id */
export function openBatch(
  db: Queryable,
  run: Pick<Run, "urn" | "stepId"> & { it: Pick<Mapped, "target"> },
  chunk?: Chunk,
): Promise<string> {
  const { urn, stepId, it } = run;
  const batch = { urn, stepId, target: it.target, from: text(chunk?.from), to: text(chunk?.to) };
  return addBatch(db, batch, chunk ? ofChunk : {});
}

/** Keys are uuids and numbers; as the ledger shows them. */
const text = (key: readonly string[] | undefined): string | null => (key ? key.join(", ") : null);

/**
 * Moves the rows of a chunk in one transaction: its rows, their count and checksum, and the plan's progress, fenced by the
 * operator's epoch. A row of the target that is there already is left alone, whatever its state.
 * @returns how many rows were written
 */
export function moveChunk(fenced: FencedWriter, run: Run, chunk: Chunk): Promise<number> {
  return patiently(fenced, async (db) => {
    const id = await openBatch(db, run, chunk);
    const moved = await first<{ written: string; marked: string; checksum: string | null }>(db, moveStatement(run.it), [
      run.parameters,
      ...chunk.from,
      ...chunk.to,
    ]);
    refuseMarkless(run.it, moved?.written, moved?.marked);
    await endBatch(db, id, moved ?? {}, { urn: run.urn, low: chunk.firstPlace, high: chunk.lastPlace });
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
      WHERE ${isAbsent(it, { range })}
      ORDER BY ${under("s", it.targetKey).join(", ")}
      RETURNING ${rowHash(it, "t")} AS hash, t.updated_at
    ) SELECT count(*) AS written, count(*) FILTER (WHERE updated_at = pg_catalog.transaction_timestamp()) AS marked,
             sum(hash)::text AS checksum FROM written`;
}
