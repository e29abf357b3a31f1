import type { FencedWriter } from "../database";
import { fromStatement, GuardianError } from "../base/errors";
import { attempt } from "../ledger/attempt";
import type { RecordedMigration } from "../ledger/details";
import { dropBatch, isUntouched, noteTakenBack, standingRows, undoBatches } from "../ledger/batches";
import { endOf, forgetRanges, freeRanges, lastMoved } from "../ledger/ranges";
import { forgetRejects } from "../ledger/rejects";
import { countRemoved, detailOf, readStep, readSteps, setStep, type Step, type StepOf } from "../ledger/steps";
import { exists, quoteName, rows, type Queryable } from "../base/sql";
import { openBatch } from "./rows/batch";
import { Crew, worthThrottling } from "./workers/crew";
import { Meter } from "./workers/meter";
import { dropFunctions, stopFollowing } from "./notes/triggers";
import { patiently } from "./rows/patient";
import { condition, stretch, under } from "./definition/range";
import { lockUnreferred, unreferred } from "./rows/referring";
import { firstSize, nextSize } from "./workers/sizes";

/** What taking back did. */
export interface TakenBack {
  removed: bigint;
  /** Rows that somebody changed since, or that others refer to: they stay in their table; and those that v6 took with an account. */
  kept: bigint;
}

/**
 * Takes the rows back that the migration wrote, nobody changed since and nobody refers to; all others stay. In batches,
 * from the end of the plan to its beginning, so that one that was cut off goes on. Idempotent. Needs the ledger alone; to
 * be throttled also the table that the keys came from.
 * @param deadline Unix time in milliseconds until which v6 tables are asked for, where a trigger is still on them
 */
export async function takeBackRows(fenced: FencedWriter, deadline = Date.now() + 30 * 60_000): Promise<TakenBack> {
  const { urn } = fenced.options;
  const current = await readStep(fenced.writer, urn);
  if (!current || current.state === "undone") return { removed: 0n, kept: 0n };
  return takeBack(fenced, deadline, current);
}

/** A migration that has not been taken back, though the stack's state may not know it. */
interface Open {
  urn: string;
  name: string;
  module: string;
  state: string;
}

/** @returns migrations that the ledger has rows of */
async function openMigrations(db: Queryable): Promise<Open[]> {
  const open = (await readSteps(db)).filter(({ state }) => state !== "undone");
  return open.flatMap((step) => {
    const { plan } = detailOf(step, "DataMigration");
    return plan ? [{ urn: step.urn, state: step.state, name: plan.name, module: plan.module }] : [];
  });
}

async function takeBackEach(fenced: FencedWriter, deadline: number, open: readonly Open[]): Promise<void> {
  for (const { urn } of open) {
    const step = await readStep(fenced.writer, urn);
    if (step) await takeBack(fenced, deadline, step);
  }
}

/**
 * Takes back what a migration left that the stack's state does not know: one that was killed before its state was saved.
 * @param module its target's module, which is about to go
 */
export async function takeBackForgotten(fenced: FencedWriter, deadline: number, module: string): Promise<void> {
  const open = await openMigrations(fenced.writer);
  await takeBackEach(
    fenced,
    deadline,
    open.filter((one) => one.module === module),
  );
}

/**
 * @param declared names of the migrations that the program has now
 * @returns names of those that were cut off and that it has no more: Pulumi deletes only what its state knows. One that
 *   is done is left to Pulumi's own delete, or to its module's.
 * @lazily
 */
export async function abandoned(db: Queryable, declared: readonly string[]): Promise<string[]> {
  return (await openMigrations(db)).filter(isAbandoned(declared)).map((one) => one.name);
}

/** Takes back what `abandoned` names. @lazily */
export async function takeBackAbandoned(
  fenced: FencedWriter,
  deadline: number,
  declared: readonly string[],
): Promise<void> {
  await takeBackEach(fenced, deadline, (await openMigrations(fenced.writer)).filter(isAbandoned(declared)));
}

const isAbandoned =
  (declared: readonly string[]) =>
  ({ state, name }: Open): boolean =>
    state !== "done" && !declared.includes(name);

async function takeBack(fenced: FencedWriter, deadline: number, current: Step): Promise<TakenBack> {
  const { urn } = current;
  const { plan } = detailOf(current, "DataMigration");
  const undoing = { kind: "DataMigration", state: "undoing", meaning: current.meaning ?? undefined } as const;
  const total: TakenBack = { removed: 0n, kept: 0n };
  await attempt(
    fenced,
    undoing,
    "undoing",
    async (step) => {
      try {
        if (plan) await stopFollowing(fenced, deadline, plan);
        if (plan && (await exists(fenced.writer, quoteName(plan.target)))) await removeAll(fenced, plan, step);
        Object.assign(total, await close(fenced, step));
      } catch (err) {
        throw fromStatement(err, urn, "what was taken back stays so; mend the cause, then run this again", "");
      }
    },
    urn,
  );
  return total;
}

/** Stretches of the plan from its end on; each takes what lies between two ranges with it. */
async function removeAll(fenced: FencedWriter, plan: RecordedMigration, step: StepOf<"DataMigration">): Promise<void> {
  const { urn } = step;
  const removal = { plan, step, unless: await unreferred(fenced.writer, plan.target) };
  const written = Number(await standingRows(fenced.writer, urn));
  const open = (throttled: boolean): Promise<Crew> => Crew.open(fenced, urn, plan, { workers: 1, throttled });
  const crew = await open(worthThrottling(written)).catch((err: unknown) => {
    fenced.options.signal.throwIfAborted();
    // The throttle only spares the application: a rollback does not fail because the server cannot be watched.
    const reason = err instanceof GuardianError ? err.what : "error";
    fenced.options.onProgress({ phase: "unthrottled", subject: plan.name, reason });
    return open(false);
  });
  const meter = new Meter("take back", plan.name, written);
  let keys = firstSize(crew.pace);
  let upTo: string[] | undefined;
  try {
    await crew.during(meter, async () => {
      for (let bottom = false; !bottom;) {
        // Each stretch ends where the one before it began, and the first one is open: a row whose key lies between two
        // ranges of the plan, or behind the last, is taken back too.
        const part = { ...(await nextStretch(fenced.writer, urn, keys)), upTo };
        bottom = part.low <= 1;
        upTo = part.after;
        const remove = async (): Promise<void> => {
          const work = (db: Queryable): Promise<number> => removeStretch(db, removal, part);
          meter.add(await patiently(fenced, work));
        };
        const took = await crew.turn(remove, bottom);
        keys = nextSize(keys, took, plan.batchMs, crew.pace.speed);
      }
    });
  } finally {
    await crew.close();
  }
}

interface Stretch {
  /** Places in the plan, both included. */
  low: number;
  high: number;
  /** Above this key; undefined for the plan's first stretch. */
  after: string[] | undefined;
  /** Up to this key; undefined for the first stretch of a run. */
  upTo: string[] | undefined;
}

async function nextStretch(db: Queryable, urn: string, keys: number): Promise<Omit<Stretch, "upTo">> {
  const { low, high } = await lastMoved(db, urn, keys);
  return { low, high, after: await endOf(db, urn, low - 1) };
}

/** What all stretches are taken back by. */
interface Removal {
  plan: RecordedMigration;
  step: StepOf<"DataMigration">;
  /** What `unreferred` returned. */
  unless: string;
}

async function removeStretch(
  db: Queryable,
  { plan, step, unless }: Removal,
  { low, high, after, upTo }: Stretch,
): Promise<number> {
  const { urn } = step;
  const target = quoteName(plan.target);
  const { range, bounds } = stretch(plan.types, after, upTo);
  const own = `${condition(under("t", plan.targetKey), range)} AND ${isUntouched("t", 1)}`;
  const values = [urn, ...bounds];
  await lockUnreferred(db, plan.target, own, unless, values);
  const batch = await openBatch(db, { urn, stepId: step.id, it: plan });
  const gone = await rows<{ time: string; n: string }>(
    db,
    `WITH gone AS (DELETE FROM ${target} t WHERE ${own}${unless} RETURNING t.updated_at AS time)
     SELECT time::text, count(*) AS n FROM gone GROUP BY 1`,
    values,
  );
  await noteTakenBack(db, urn, gone);
  await dropBatch(db, batch);
  await freeRanges(db, urn, low, high);
  const removed = gone.reduce((sum, row) => sum + Number(row.n), 0);
  await countRemoved(db, step, removed);
  return removed;
}

/** Says that it is taken back, and forgets what only a running migration needs: keys of persons are in it. */
async function close(fenced: FencedWriter, step: StepOf<"DataMigration">): Promise<TakenBack> {
  const { urn } = step;
  return fenced.transaction(async (db) => {
    // What is taken back is counted by the step, through all its attempts; batches count what v6 deleted as well.
    const kept = await undoBatches(db, urn);
    const { removed = "0" } = detailOf(await readStep(db, urn), "DataMigration");
    await forgetRanges(db, urn);
    await forgetRejects(db, urn);
    if (step.detail.plan) await dropFunctions(db, step.detail.plan);
    await setStep(db, step, { state: "undone", detail: { removed, kept } });
    return { removed: BigInt(removed), kept: BigInt(kept) };
  });
}
