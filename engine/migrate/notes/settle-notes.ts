import { GuardianError } from "../../base/errors";
import { forgetNotes, noted, notesOfAll } from "../../ledger/changes";
import { endOf, planSize } from "../../ledger/ranges";
import type { Context } from "../context";
import { keysBetween } from "../rows/settle";
import { Meter } from "../workers/meter";

/** Changes that are settled in one transaction. */
export const noteKeys = 1000;
/** So few may be left for the moment in which v6 is locked. */
const dryKeys = 50;

/** @param answered notes that every key is in question, which this answers: they excuse no difference any more */
export type Settle = (keys: readonly string[][], answered?: readonly string[]) => Promise<void>;

/**
 * Settles what v6 changed since the plan was made, until next to nothing is left. No batch may run at the same time: it
 * could write what it read before the change.
 * @param deadline Unix time in milliseconds
 * @param settle settles some keys, in transactions of its own
 * @throws GuardianError if the deadline is over, and v6 still writes more than that
 */
export async function settleNotes(context: Context, deadline: number, settle: Settle): Promise<void> {
  const { fenced, crew, it } = context;
  for (let count = 0; ;) {
    const { keys, all } = await noted(fenced.writer, it.name, noteKeys);
    if (all) {
      await settleEveryKey(context, settle);
      continue;
    }
    const dry = keys.length <= dryKeys;
    const took = await crew.turn(() => settle(keys), dry);
    if (dry) return;
    // While v6 writes without a pause there are always notes. If a turn is short, those that came during it are few enough
    // to be settled under the locks.
    if (keys.length <= noteKeys / 2 && took <= fenced.parameters.lockHold / 2) return;
    if (Date.now() > deadline) throw unending(it.name);
    count += keys.length;
    const { reason } = crew.pace;
    fenced.options.onProgress({ phase: "catch up", subject: it.name, done: count, ...(reason ? { reason } : {}) });
  }
}

/**
 * Settles every key there is, stretch by stretch of the plan: after a TRUNCATE, or where somebody dropped the triggers, it
 * is not known what v6 changed. The notes that ask for it go at the end only, so that a run that is cut off does it again.
 */
async function settleEveryKey(context: Context, settle: Settle): Promise<void> {
  const { fenced, crew, it, urn } = context;
  const why = await notesOfAll(fenced.writer, it.name);
  const plan = await planSize(fenced.writer, urn);
  const last = plan.last?.place ?? 1;
  const meter = new Meter("look again", it.name, plan.keys);
  await crew.during(meter, async () => {
    let after: string[] | undefined;
    for (let place = 1; place <= last; place++) {
      const upTo = place < last ? await endOf(fenced.writer, urn, place) : undefined;
      await crew.turn(async () => {
        const keys = await keysBetween(fenced.writer, context, after, upTo);
        await settle(keys, why);
        meter.add(keys.length);
      }, place === last);
      after = upTo;
    }
  });
  await fenced.transaction((db) => forgetNotes(db, why));
}

/** @param migration its name */
export function unending(migration: string): GuardianError {
  return new GuardianError("too-many-writes", {
    what: "v6 writes more than can be caught up with in the moment for which its tables may be locked",
    where: `data migration ${migration}, at its cut-over`,
    todo: "run this again at a quieter time: what is moved stays moved",
  });
}

/** @param migration its name */
export function unfollowed(migration: string): GuardianError {
  return new GuardianError("not-followed", {
    what: "the triggers that note what v6 changes are dropped, switched off or replaced again and again",
    where: `data migration ${migration}, at its cut-over (guardian_follow_${migration}_…)`,
    todo: "find who does so (ALTER TABLE … DISABLE TRIGGER, a bulk load), then run this again: what is moved stays moved",
  });
}
