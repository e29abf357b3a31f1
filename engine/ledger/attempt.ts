import type { WriteSession } from "../database";
import { GuardianError } from "../errors";
import { addStep, setStep, type NewStep, type Step, type StepState } from "./steps";

/**
 * Does a piece of work under a ledger row that was committed before it: running or undoing while it lasts. The work ends
 * the row itself, in its own transaction. If it fails, the row says where things stand and why, without row values.
 * @param otherwise how things stand if the work is rolled back
 */
export async function attempt<T>(
  session: WriteSession,
  step: Omit<NewStep, "urn" | "epoch">,
  otherwise: StepState,
  work: (step: Step) => Promise<T>,
): Promise<T> {
  const { urn } = session.options;
  const added = await session.transaction((db) => addStep(db, { ...step, urn, epoch: session.epoch }));
  try {
    return await work(added);
  } catch (err) {
    const error =
      err instanceof GuardianError
        ? { what: err.what, where: err.where ?? null, sqlstate: err.sqlstate ?? null }
        : { what: "see the engine's output", where: null, sqlstate: null };
    // If even this fails (the connection is gone), the next run finds "running" and goes on from what is committed.
    await session
      .transaction((db) => setStep(db, added.id, { state: otherwise, detail: { error } }))
      .catch(() => undefined);
    throw err;
  }
}
