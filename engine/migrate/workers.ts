import { connectWriter, type Writer } from "../connect";
import { WriteSession } from "../database";
import { ledgerSchema } from "../ledger/schema";
import { first, type Queryable } from "../sql";
import { moveChunk, openBatch, type Chunk, type Run } from "./batch";
import type { Progress } from "./progress";
import { rangeKeys } from "./plan";
import { isRowError, keysBetween, settleKeys } from "./settle";
import type { Worklist } from "./worklist";

/** What the workers ask before and after each batch. */
export interface Pace {
  /** 1 and more: so many workers may run. */
  readonly speed: number;
  rest(worker: number, workMs: number): Promise<void>;
  /** Ends every rest: there is nothing left to wait for. */
  close(): Promise<void>;
}

/** Keys in a batch at first: the size that was fastest where it was measured. */
const startKeys = 10_000;
const mostKeys = 25_000;

/** Connections that a migration leaves to others. */
const spare = 20;

/** @returns how many workers this server has room for, at least one */
export async function roomFor(db: Queryable, wanted: number): Promise<number> {
  const room = await first<{ free: number }>(
    db,
    `SELECT pg_catalog.current_setting('max_connections')::int - pg_catalog.current_setting('superuser_reserved_connections')::int
       - (SELECT count(*) FROM pg_catalog.pg_stat_get_activity(NULL))::int AS free`,
  );
  return Math.max(1, Math.min(wanted, (room?.free ?? 0) - spare));
}

/** Opens the sessions of the workers; the first is the operator's own. */
export async function openWorkers(session: WriteSession, count: number): Promise<WriteSession[]> {
  const { writer, options, epoch, parameters } = session;
  const workers = [session];
  try {
    while (workers.length < count) {
      const detail = `${options.label}, worker ${workers.length + 1}`;
      const more = await connectWriter(writer.settings, { detail, signal: options.signal });
      workers.push(new WriteSession(more, epoch, options, parameters));
    }
    for (const { writer: db } of workers) await prepare(db);
    return workers;
  } catch (err) {
    await closeWorkers(workers);
    throw err;
  }
}

/** Closes all but the first, which is the operator's. */
export async function closeWorkers(workers: readonly WriteSession[]): Promise<void> {
  await Promise.all(workers.slice(1).map((worker) => worker.writer.close()));
}

/**
 * Under forced row security a migration is silently partial: with it off, the server refuses what it would hide. Plans are
 * left to the server: to force custom ones would plan every check of a foreign key anew.
 */
async function prepare(db: Writer): Promise<void> {
  await db.query(
    `SELECT pg_catalog.set_config('row_security', 'off', false), pg_catalog.set_config('jit', 'off', false)`,
  );
}

/** Moves all that is left; the first error of one worker ends the others after their batch. */
export async function runWorkers(
  workers: readonly WriteSession[],
  run: Run,
  list: Worklist,
  progress: Progress,
  pace: Pace,
): Promise<void> {
  const failed = new AbortController();
  const work = async (session: WriteSession, at: number): Promise<void> => {
    let keys = startKeys;
    try {
      while (list.left > 0 && !failed.signal.aborted) {
        session.options.signal.throwIfAborted();
        const chunk = list.take(at, keys);
        if (!chunk) return;
        const began = performance.now();
        await moveOrSettle(session, run, chunk);
        const took = performance.now() - began;
        progress.add(chunk.keys);
        keys = nextSize(chunk.keys, took, run.it.batchMs, Math.min(1, pace.speed));
        if (list.left > 0) await pace.rest(at, took);
      }
    } catch (err) {
      failed.abort(err);
      throw err;
    } finally {
      // Whoever rests until there is room for him would rest for ever.
      if (list.left === 0 || failed.signal.aborted) await pace.close();
    }
  };
  const ends = await Promise.allSettled(workers.map(work));
  const error = ends.find((end) => end.status === "rejected");
  if (error) throw failed.signal.reason ?? error.reason;
}

/**
 * @param speed at most 1; a migration that is to go slower makes shorter batches too
 * @returns keys of the next batch, so that it takes the target's time; at most twice as many as before
 */
export function nextSize(keys: number, tookMs: number, targetMs: number, speed: number): number {
  const wanted = (keys * targetMs * Math.max(0.25, speed)) / Math.max(tookMs, 1);
  return Math.round(Math.max(rangeKeys, Math.min(wanted, 2 * keys, mostKeys)));
}

/** A batch with a row that cannot be moved is moved range by range, and the range with the row key by key. */
async function moveOrSettle(session: WriteSession, run: Run, chunk: Chunk): Promise<void> {
  try {
    await moveChunk(session, run, chunk);
    return;
  } catch (err) {
    if (!isRowError(err)) throw err;
  }
  for (const part of await partsOf(session, run, chunk)) {
    try {
      await moveChunk(session, run, part);
    } catch (err) {
      if (!isRowError(err)) throw err;
      const { after } = await previous(session, run, part.firstPlace);
      await settleKeys(session, run, await keysBetween(session.writer, run, after, [...part.to]));
      await session.transaction((db) => noteSettled(db, session.epoch, run, part));
    }
  }
}

/** The plan's progress, by a batch that wrote nothing: the rows came one by one, or not at all. */
async function noteSettled(db: Queryable, epoch: string, run: Run, part: Chunk): Promise<void> {
  const id = await openBatch(db, run, epoch, part);
  await db.query(
    `WITH r AS (UPDATE ${ledgerSchema}.range SET batch_id = $1 WHERE urn = $2 AND place = $3)
     UPDATE ${ledgerSchema}.batch SET state = 'done' WHERE id = $1`,
    [id, run.urn, part.firstPlace],
  );
}

async function partsOf(session: WriteSession, run: Run, chunk: Chunk): Promise<Chunk[]> {
  const { rows } = await session.writer.query<{ place: number; from: string[]; to: string[]; keys: number }>(
    `SELECT place, key_from AS "from", key_to AS "to", keys FROM ${ledgerSchema}.range
     WHERE urn = $1 AND place BETWEEN $2 AND $3 ORDER BY place`,
    [run.urn, chunk.firstPlace, chunk.lastPlace],
  );
  return rows.map(({ place, from, to, keys }) => ({ firstPlace: place, lastPlace: place, from, to, keys }));
}

async function previous(session: WriteSession, run: Run, place: number): Promise<{ after: string[] | undefined }> {
  const row = await first<{ key: string[] }>(
    session.writer,
    `SELECT key_to AS key FROM ${ledgerSchema}.range WHERE urn = $1 AND place = $2 - 1`,
    [run.urn, place],
  );
  return { after: row?.key };
}
