import { setTimeout as sleep } from "node:timers/promises";
import type { FencedWriter } from "../../database";
import { fromStatement, GuardianError, isRowError, sqlstateOf } from "../../base/errors";
import { closeArchived, type Waiting } from "../../ledger/archived";
import { forgetRejects } from "../../ledger/rejects";
import { detailOf, setStep, type Step } from "../../ledger/steps";
import { quoteName, type Queryable } from "../../base/sql";
import { referencedBy } from "./archive";
import { moveSingly, moveSlice, none, sum, taken, type Moved, type Way } from "./slice";
import { refuseDependents } from "./dependents";
import { beginRefused } from "./refused";
import { refuseLoss } from "./loss";
import { rowsLeft } from "./remaining";
import { withV6Locks } from "../v6-locks";

/** How long one slice should take, in milliseconds; of large values it has few (slice.ts), since none may take more than a second. */
const sliceTarget = 400;
/** Rows of the first slice, of which it is not known yet how long they take, and the most of any. */
const [firstSlice, largestSlice] = [2000, 50_000];
/** Rows among which the one at fault is looked for in one transaction. */
const suspects = 256;

/**
 * Brings the rows of one archived table back, in slices, each a transaction of its own, which takes rows out of the
 * archive and puts them into the table, so that a killed run goes on where it stopped and no row is there twice. A row that
 * the table refuses, for which a live row with other values is there that somebody chose, whose value a column would change, or that
 * refers to one which waits, stays in the archive, noted by key among the rejects. The archived table goes when every row is accounted for.
 * @param checks triggers of the table that only check a row: they stay on
 * @param deadline Unix time in milliseconds
 * @returns what this call did with the rows
 * @throws GuardianError without row values
 */
export async function restoreTable(
  fenced: FencedWriter,
  step: Step,
  waiting: Waiting,
  checks: readonly string[],
  deadline: number,
): Promise<Moved> {
  const where = `rows of ${waiting.original} in ${waiting.archivedAs}`;
  if (!waiting.there) {
    await fenced.transaction(async (db) => {
      await closeArchived(db, waiting);
      await setStep(db, step, { state: "done" });
    });
    return none;
  }
  await fenced.transaction((db) => refuseLoss(db, waiting));
  try {
    const { noted, before } = await fenced.transaction((db) => beginRefused(db, waiting));
    const moved = await moveAll(fenced, waiting, { checks, refused: noted }, deadline);
    // Those that a new attempt finds noted were left so on purpose (remaining.ts): nobody had changed them.
    const resumed = before > 0 && (step.state !== "planned" || detailOf(step, "rows").error !== undefined);
    if (!(await leave(fenced, step, waiting, resumed))) await finish(fenced, step, waiting, deadline);
    return moved;
  } catch (err) {
    const todo = "the rows that are not back wait in the archive; mend the cause, then run this again";
    throw fromStatement(err, where, todo, `${waiting.original} ${waiting.archivedAs}`);
  }
}

async function moveAll(fenced: FencedWriter, waiting: Waiting, way: Way, deadline: number): Promise<Moved> {
  const { signal, onProgress } = fenced.options;
  let [size, done, moved] = [firstSlice, BigInt(waiting.accounted), none];
  for (;;) {
    signal.throwIfAborted();
    if (Date.now() > deadline) throw timeIsUp(waiting);
    const { done: slice, took } = await moveOrFind(fenced, waiting, size, way, deadline);
    if (taken(slice) === 0n && slice.refused === 0) return moved;
    way.refused += slice.refused;
    done += taken(slice);
    moved = sum(moved, slice);
    onProgress({
      phase: "restore",
      subject: waiting.original,
      done: Number(done) + way.refused,
      total: Number(waiting.rows),
    });
    const rows = Number(taken(slice)) + slice.refused;
    size = Math.max(1, Math.min(largestSlice, Math.round((rows * sliceTarget) / Math.max(took, 1))));
  }
}

/** What was done, and how long its transaction took, in milliseconds; not those before it, which failed. */
interface Timed<T> {
  done: T;
  took: number;
}

/** A slice with a row that the table refuses is done in smaller pieces, which find it. */
async function moveOrFind(
  fenced: FencedWriter,
  waiting: Waiting,
  size: number,
  way: Way,
  deadline: number,
): Promise<Timed<Moved>> {
  try {
    return await again(fenced, deadline, (db) => moveSlice(db, waiting, size, way));
  } catch (err) {
    if (!isRowError(err)) throw err;
    return again(fenced, deadline, (db) => moveSingly(db, waiting, Math.min(size, suspects), way));
  }
}

function timeIsUp(waiting: Waiting): GuardianError {
  return new GuardianError("resource-timeout", {
    what: "this resource's timeout is over before all archived rows are back",
    where: `rows of ${waiting.original} in ${waiting.archivedAs}`,
    todo: ["run this again: it goes on where it stopped", "give the resource a longer timeout (customTimeouts)"],
  });
}

/**
 * Passing troubles: somebody writes into the table just now and the lock was not to be had at once (waiting for it, we
 * would keep others waiting), or what a row refers to was deleted between the look and the insert.
 */
const passing = new Set(["55P03", "40P01", "23503"]);

async function again<T>(
  fenced: FencedWriter,
  deadline: number,
  work: (db: Queryable) => Promise<T>,
): Promise<Timed<T>> {
  const { lockTimeout, pauseFloor } = fenced.parameters;
  for (let tries = 1; ; tries++) {
    const began = Date.now();
    try {
      const done = await fenced.transaction(async (db) => {
        await db.query(`SET LOCAL lock_timeout = ${lockTimeout}`);
        return work(db);
      });
      return { done, took: Date.now() - began };
    } catch (err) {
      const code = sqlstateOf(err) ?? "";
      const pause = Math.min(pauseFloor, 50 * tries) * (1 + Math.random());
      if (!passing.has(code) || (code === "23503" && tries > 5) || Date.now() + pause > deadline) throw err;
      await sleep(pause, undefined, { signal: fenced.options.signal });
    }
  }
}

/**
 * Ends the step where rows stay in the archive. Their table stays as it is, with the key by which deleting an account deletes
 * its rows.
 * @param resumed rows that a run before noted were not tried in this one: somebody may have mended them meanwhile
 * @returns whether any stay
 */
function leave(fenced: FencedWriter, step: Step, waiting: Waiting, resumed: boolean): Promise<boolean> {
  return fenced.transaction(async (db) => {
    const { rows, seen } = await rowsLeft(db, waiting);
    if (rows === 0) return false;
    await setStep<"rows">(
      db,
      { id: step.id, kind: "rows" },
      { state: "done", detail: { refused: rows, seen: resumed ? "" : seen } },
    );
    return true;
  });
}

/** The archived table goes, with the key by which deleting an account deleted its rows: that needs v6 locked. */
async function finish(fenced: FencedWriter, step: Step, waiting: Waiting, deadline: number): Promise<void> {
  await withV6Locks(fenced, deadline, {
    relations: await referencedBy(fenced.writer, [waiting.archivedAs]),
    mode: "ACCESS EXCLUSIVE",
    own: [],
    before: async (db) => {
      await refuseDependents(
        db,
        [`table ${waiting.archivedAs}`],
        "others made objects that depend on an archived table",
      );
      // Rows that an erasure under v6 took out of the archive were left out too, by their subject's own wish.
      await closeArchived(db, waiting);
      await forgetRejects(db, waiting.archivedAs);
      await setStep<"rows">(db, { id: step.id, kind: "rows" }, { state: "done", detail: { refused: 0 } });
    },
    locked: (db) => db.script(`DROP TABLE ${quoteName(waiting.archivedAs)}`),
  });
}
