import type { FencedWriter } from "../../database";
import { isRowError } from "../../base/errors";
import { endBatch } from "../../ledger/batches";
import { endOf, rangesBetween } from "../../ledger/ranges";
import type { Queryable } from "../../base/sql";
import { moveChunk, openBatch, type Chunk, type Run } from "./batch";
import type { Crew } from "../workers/crew";
import type { Meter } from "../workers/meter";
import { firstSize, nextSize, rangeKeys } from "../workers/sizes";
import { keysBetween, settleKeys } from "./settle";
import type { Worklist } from "./worklist";

/** Moves all that is left of the plan. */
export async function moveChunks(crew: Crew, run: Run, list: Worklist, meter: Meter): Promise<void> {
  const sizes = crew.workers.map(() => firstSize(crew.pace));
  await crew.during(meter, () =>
    crew.inTurns(async (fenced, worker) => {
      const chunk = list.take(worker, sizes[worker] ?? rangeKeys);
      if (!chunk) return false;
      const began = performance.now();
      await moveOrSettle(fenced, run, chunk);
      const took = performance.now() - began;
      meter.add(chunk.keys);
      sizes[worker] = nextSize(chunk.keys, took, run.it.batchMs, crew.pace.speed);
      return list.left > 0;
    }),
  );
}

/** A batch with a row that cannot be moved is moved range by range, and the range with the row key by key. */
async function moveOrSettle(fenced: FencedWriter, run: Run, chunk: Chunk): Promise<void> {
  try {
    await moveChunk(fenced, run, chunk);
    return;
  } catch (err) {
    if (!isRowError(err)) throw err;
  }
  for (const part of await partsOf(fenced, run, chunk)) {
    try {
      await moveChunk(fenced, run, part);
    } catch (err) {
      if (!isRowError(err)) throw err;
      const after = await endOf(fenced.writer, run.urn, part.firstPlace - 1);
      await settleKeys(fenced, run, await keysBetween(fenced.writer, run, after, [...part.to]));
      await fenced.transaction((db) => noteSettled(db, run, part));
    }
  }
}

/** The plan's progress, by a batch that wrote nothing: the rows came one by one, or not at all. */
async function noteSettled(db: Queryable, run: Run, part: Chunk): Promise<void> {
  const id = await openBatch(db, run, part);
  await endBatch(db, id, {}, { urn: run.urn, low: part.firstPlace, high: part.lastPlace });
}

async function partsOf(fenced: FencedWriter, run: Run, chunk: Chunk): Promise<Chunk[]> {
  const ranges = await rangesBetween(fenced.writer, run.urn, chunk.firstPlace, chunk.lastPlace);
  return ranges.map(({ place, from, to, keys }) => ({ firstPlace: place, lastPlace: place, from, to, keys }));
}
