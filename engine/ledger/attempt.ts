import type { WriteSession } from "../database";
import { GuardianError } from "../errors";
import { addStep, readStep, setStep, type NewStep, type Step, type StepState } from "./steps";

/**
 * Does a piece of work under a ledger row that was committed before it: running or undoing while it lasts. The work ends
 * the row itself, in its own transaction. If it fails, the row says where things stand and why, without row values.
 * @param otherwise how things stand if the work fails
 * @param urn whose work it is, if not the session's own
 */
export async function attempt<T>(
  session: WriteSession,
  step: Omit<NewStep, "urn" | "epoch">,
  otherwise: StepState,
  work: (step: Step) => Promise<T>,
  urn = session.options.urn,
): Promise<T> {
  const before = await readStep(session.writer, urn, step.part);
  const added = await session.transaction((db) => addStep(db, { ...step, urn, epoch: session.epoch }));
  try {
    return await work(added);
  } catch (err) {
    // What stood before still stands, with the meaning that it was done with.
    const meaning = otherwise === before?.state && before.meaning !== null ? { meaning: before.meaning } : {};
    await giveUp(session, added, { state: otherwise, ...meaning }, err);
    throw err;
  }
}

/** The same for a part, whose row was planned with the resource: a failed one is planned again. */
export async function attemptPart<T>(session: WriteSession, step: Step, work: () => Promise<T>): Promise<T> {
  await session.transaction((db) => setStep(db, step.id, { state: "running" }));
  try {
    return await work();
  } catch (err) {
    await giveUp(session, step, { state: "planned" }, err);
    throw err;
  }
}

async function giveUp(
  session: WriteSession,
  step: Step,
  change: { state: StepState; meaning?: string },
  err: unknown,
): Promise<void> {
  const error =
    err instanceof GuardianError
      ? { what: err.what, where: err.where ?? null, sqlstate: err.sqlstate ?? null }
      : { what: "see the engine's output", where: null, sqlstate: null };
  // If even this fails (the connection is gone), the next run finds "running" and goes on from what is committed.
  await session.transaction((db) => setStep(db, step.id, { ...change, detail: { error } })).catch(() => undefined);
}
