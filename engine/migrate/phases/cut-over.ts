import { setTimeout as sleep } from "node:timers/promises";
import { isRowError } from "../../base/errors";
import type { Queryable } from "../../base/sql";
import { standingRows } from "../../ledger/batches";
import { noted } from "../../ledger/changes";
import type { MigrationOutcome } from "../../ledger/details";
import { readRejects, rejected } from "../../ledger/rejects";
import { setStep } from "../../ledger/steps";
import { pauseAfter, withV6Locks } from "../../module/v6-locks";
import type { Context } from "../context";
import { followed } from "../definition/migration";
import { noteKeys, settleNotes, unending, unfollowed, type Settle } from "../notes/settle-notes";
import { dropFunctions, isFollowed, startFollowing } from "../notes/triggers";
import { outlast } from "../rows/outlast";
import { proveAll, proveKeys } from "../rows/proof";
import { settleIn, settleKeys } from "../rows/settle";

/** What was settled since the comparison of all rows, and is to be looked at again. */
interface Late {
  keys: string[][];
  /** Every row was settled anew: a table was emptied at once. */
  all: boolean;
}

/**
 * Cut over: in one transaction, with v6's writers locked out for a moment, the last changes are settled, the triggers go,
 * and the ledger says done. Every row that is settled since the comparison is compared by itself.
 * @throws GuardianError naming who holds the tables, or saying that v6 writes too much
 */
export async function cutOver(context: Context): Promise<void> {
  const { fenced, it, guarded } = context;
  const deadline = context.deadline();
  const tables = followed(it.source.follows);
  // With the target locked besides, what is settled at the last moment sees every row that somebody else wrote.
  const relations = guarded ? tables : [...tables, it.target];
  const late: Late = { keys: [], all: false };
  for (;;) {
    let locked = 0;
    let outcome: Partial<MigrationOutcome> = {};
    try {
      await withV6Locks(fenced, deadline, {
        relations,
        mode: "ACCESS EXCLUSIVE",
        own: [],
        ahead: async () => {
          await settleNotes(context, deadline, settleAndProve(context, late));
          await lookAgain(context, deadline, late);
          outcome = await outcomeOf(context);
        },
        before: () => Promise.resolve(),
        locked: async (db) => {
          locked = performance.now();
          if (!(await isFollowed(db, it, context.urn))) throw new Unfollowed();
          const { keys, all } = await noted(db, it.name, noteKeys);
          if (all || keys.length > noteKeys / 2) throw new Again();
          if (keys.length > 0) {
            await settleNow(db, context, keys);
            Object.assign(outcome, await countedBy(db, context.urn));
          }
          // Nothing that was noted goes unread with the triggers.
          if ((await noted(db, it.name, 1)).keys.length > 0) throw new Again();
          await dropFunctions(db, it);
        },
        after: async (db) => {
          await setStep(db, { id: context.stepId, kind: "DataMigration" }, { state: "done", detail: outcome });
        },
      });
      return;
    } catch (err) {
      if (!(err instanceof Again)) throw err;
      if (Date.now() > deadline) throw err instanceof Unfollowed ? unfollowed(it.name) : unending(it.name);
      fenced.options.onProgress({ phase: "once more", subject: it.name });
      if (err instanceof Unfollowed) await followAnew(context, deadline);
      // v6 was locked for nothing, so that the pause is the one after any try that failed.
      const suffered = locked > 0 ? performance.now() - locked : 0;
      if (suffered > 0)
        await sleep(pauseAfter(suffered, fenced.parameters), undefined, { signal: fenced.options.signal });
    }
  }
}

/**
 * Somebody took the triggers away, or switched them off, while v6 was waited for: with new ones every row is in question
 * once more, and is settled and compared.
 */
async function followAnew(context: Context, deadline: number): Promise<void> {
  const { fenced, it } = context;
  await startFollowing(fenced, deadline, it);
  await settleNotes(context, deadline, (keys) => settleKeys(fenced, context, keys));
  // As in the comparison before: what somebody is still writing beside a row that was just settled cannot be seen yet.
  if (!context.guarded) await outlast(fenced, it.target, deadline);
  context.proof = await proveAll(context.crew, context);
}

/** What is settled after the comparison of all rows is compared as well. @param late is told what it was */
function settleAndProve(context: Context, late: Late): Settle {
  const { fenced, guarded } = context;
  return async (keys, answered) => {
    await settleKeys(fenced, context, keys);
    await fenced.transaction((db) => proveKeys(db, context, keys, answered));
    if (answered) late.all = true;
    else if (!guarded) late.keys.push(...keys);
  };
}

/**
 * Where no index keeps a second row out, somebody may have written his while ours was on its way, each unseen by the
 * other: a patient refuses, and is assumed to consent in the same moment. When all who were writing then have ended, what
 * was settled since the comparison is looked at once more, and ours gives way.
 */
async function lookAgain(context: Context, deadline: number, late: Late): Promise<void> {
  const { fenced, crew, it, guarded } = context;
  if (guarded || (!late.all && late.keys.length === 0)) return;
  await outlast(fenced, it.target, deadline);
  if (late.all) await proveAll(crew, context);
  else {
    for (let at = 0; at < late.keys.length; at += noteKeys) {
      const part = late.keys.slice(at, at + noteKeys);
      await fenced.transaction((db) => proveKeys(db, context, part));
    }
  }
  Object.assign(late, { keys: [], all: false });
}

/** @returns what the ledger keeps of the migration @throws GuardianError if too many rows were rejected */
async function outcomeOf(context: Context): Promise<MigrationOutcome> {
  const { fenced, urn, proof } = context;
  if (!proof) throw new Error("no cut-over of what was not proven");
  await context.gate(fenced);
  return {
    source: proof.source.toString(),
    equal: proof.equal.toString(),
    checksum: proof.checksum.toString(),
    counted: proof.counted,
    leftOut: proof.leftOut,
    ...(await countedBy(fenced.writer, urn)),
  };
}

/** What the ledger keeps of the rows that stand, and of those that could not be moved. */
async function countedBy(
  db: Queryable,
  urn: string,
): Promise<Pick<MigrationOutcome, "processed" | "written" | "failed" | "rejects">> {
  const written = await standingRows(db, urn);
  const rejects = await readRejects(db, urn);
  return { processed: written, written, failed: rejected(rejects), rejects };
}

/** Under the locks there is no time for it: v6 changed so much while they were waited for, or a row cannot be moved. */
class Again extends Error {}

/** Under the locks a trigger is not there, or does not fire: what v6 changed meanwhile is not known. */
class Unfollowed extends Again {}

/** A row that cannot be moved is rejected by the catch-up, in transactions of its own. */
async function settleNow(db: Queryable, context: Context, keys: readonly string[][]): Promise<void> {
  try {
    await settleIn(db, context, keys);
  } catch (err) {
    throw isRowError(err) ? new Again() : err;
  }
  await proveKeys(db, context, keys);
}
