import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError } from "../base/errors";
import { forgetNotes, noted, notesOfAll } from "../ledger/changes";
import { endOf, planSize } from "../ledger/ranges";
import type { MigrationOutcome } from "../ledger/details";
import { setStep } from "../ledger/steps";
import { pauseAfter, withV6Locks } from "../module/v6-locks";
import type { Queryable } from "../base/sql";
import type { Run } from "./batch";
import type { Crew } from "./crew";
import { followed } from "./definition";
import { dropFunctions } from "./follow";
import { outlast } from "./outlast";
import { Meter } from "./progress";
import { prove, proveKeys } from "./proof";
import { isRowError, keysBetween, settleIn, settleKeys } from "./settle";

/** Changes that are settled in one transaction. */
const drainSize = 1000;
/** So few may be left for the moment in which v6 is locked. */
const drySize = 50;

/** What was settled since the comparison of all rows. */
interface Late {
  keys: string[][];
  /** A table was emptied at once: every row was settled anew. */
  all: boolean;
}

/**
 * Settles what v6 changed since the plan was made, until next to nothing is left. No batch may run at the same time: it
 * could write what it read before the change.
 * @param late given after the comparison of all rows: what is settled since is compared as well, and noted here
 */
export async function catchUp(crew: Crew, run: Run, deadline: number, late?: Late): Promise<void> {
  const session = crew.first;
  const settled: Settle = async (keys, answered) => {
    await settleKeys(session, run, keys);
    if (!late) return;
    await session.transaction((db) => proveKeys(db, session.epoch, run, keys, answered));
    if (answered) late.all = true;
    else if (!run.guarded) late.keys.push(...keys);
  };
  for (let count = 0; ;) {
    const { keys, all } = await noted(session.writer, run.it.name, drainSize);
    if (all) {
      await settleAll(crew, run, settled);
      continue;
    }
    const dry = keys.length <= drySize;
    const took = await crew.turn(() => settled(keys), dry);
    if (dry) return;
    // Who writes without a pause is never dry: what comes during so short a turn can be settled under the locks.
    if (keys.length <= drainSize / 2 && took <= session.parameters.lockHold / 2) return;
    if (Date.now() > deadline) throw unending(run);
    count += keys.length;
    const { reason } = crew.pace;
    session.options.onProgress({ phase: "catch up", subject: run.it.name, done: count, ...(reason ? { reason } : {}) });
  }
}

/**
 * Where no index keeps a second row out, somebody may have written his while ours was on its way, each unseen by the
 * other: a patient refuses, and is assumed to consent in the same moment. When all who were writing then have ended, what
 * was settled since the comparison is looked at once more, and ours gives way.
 */
async function lookAgain(crew: Crew, run: Run, deadline: number, late: Late): Promise<void> {
  const session = crew.first;
  if (run.guarded || (!late.all && late.keys.length === 0)) return;
  await outlast(session, run.it.target, deadline);
  if (late.all) await prove(crew, run);
  else {
    for (let at = 0; at < late.keys.length; at += drainSize) {
      const part = late.keys.slice(at, at + drainSize);
      await session.transaction((db) => proveKeys(db, session.epoch, run, part));
    }
  }
  Object.assign(late, { keys: [], all: false });
}

/** @param answered notes that every key is in question, which this answers: they excuse no difference any more */
type Settle = (keys: readonly string[][], answered?: readonly string[]) => Promise<void>;

/**
 * Settles every key there is, stretch by stretch of the plan: where it cannot be known what v6 changed. That it had to be
 * is forgotten at the end only, so that a run that is cut off does it again.
 */
async function settleAll(crew: Crew, run: Run, settled: Settle): Promise<void> {
  const session = crew.first;
  const why = await notesOfAll(session.writer, run.it.name);
  const plan = await planSize(session.writer, run.urn);
  const last = plan.last?.place ?? 1;
  const meter = new Meter("look again", run.it.name, plan.keys);
  await crew.during(meter, async () => {
    let after: string[] | undefined;
    for (let place = 1; place <= last; place++) {
      const upTo = place < last ? await endOf(session.writer, run.urn, place) : undefined;
      await crew.turn(async () => {
        const keys = await keysBetween(session.writer, run, after, upTo);
        await settled(keys, why);
        meter.add(keys.length);
      }, place === last);
      after = upTo;
    }
  });
  await session.transaction((db) => forgetNotes(db, why));
}

/**
 * The cut-over: in one transaction, with v6's writers locked out for a moment, the last changes are settled, the triggers
 * go, and the ledger says done. Every row that is settled since the comparison is compared by itself.
 * @param outcome what the ledger keeps of the migration
 */
export async function cutOver(
  crew: Crew,
  run: Run,
  deadline: number,
  outcome: () => Promise<MigrationOutcome>,
): Promise<void> {
  const session = crew.first;
  const tables = followed(run.it.source.follows);
  // With the target locked besides, what is settled at the last moment sees every row that somebody else wrote.
  const relations = run.guarded ? tables : [...tables, run.it.target];
  const late: Late = { keys: [], all: false };
  for (;;) {
    let locked = 0;
    let known: Partial<MigrationOutcome> = {};
    try {
      await withV6Locks(session, session.parameters, deadline, {
        relations,
        mode: "ACCESS EXCLUSIVE",
        own: [],
        ahead: async () => {
          await catchUp(crew, run, deadline, late);
          await lookAgain(crew, run, deadline, late);
          known = await outcome();
        },
        before: () => Promise.resolve(),
        locked: async (db) => {
          locked = performance.now();
          const { keys, all } = await noted(db, run.it.name, drainSize);
          if (all || keys.length > drainSize / 2) throw new Again();
          if (keys.length > 0) await settleNow(db, session.epoch, run, keys);
          // Nothing that was noted goes unread with the triggers.
          if ((await noted(db, run.it.name, 1)).keys.length > 0) throw new Again();
          await dropFunctions(db, run.it);
        },
        after: async (db) => {
          await setStep(db, { id: run.stepId, kind: "DataMigration" }, { state: "done", detail: known });
        },
      });
      return;
    } catch (err) {
      if (!(err instanceof Again) || Date.now() > deadline) throw err instanceof Again ? unending(run) : err;
      session.options.onProgress({ phase: "once more", subject: run.it.name });
      // v6 waited in vain: it is left alone as after any other missed try.
      const suffered = locked > 0 ? performance.now() - locked : 0;
      if (suffered > 0)
        await sleep(pauseAfter(suffered, session.parameters), undefined, { signal: session.options.signal });
    }
  }
}

/** v6 wrote so much while its tables were waited for that settling it now would stall it; or a row that cannot be moved. */
class Again extends Error {}

/** A row that cannot be moved is rejected by the catch-up, in transactions of its own. */
async function settleNow(db: Queryable, epoch: string, run: Run, keys: readonly string[][]): Promise<void> {
  try {
    await settleIn(db, epoch, run, keys);
  } catch (err) {
    throw isRowError(err) ? new Again() : err;
  }
  await proveKeys(db, epoch, run, keys);
}

function unending(run: Run): GuardianError {
  return new GuardianError("too-many-writes", {
    what: "v6 writes more than can be caught up with in the moment for which its tables may be locked",
    where: `data migration ${run.it.name}, at its cut-over`,
    todo: "run this again at a quieter time: what is moved stays moved",
  });
}
