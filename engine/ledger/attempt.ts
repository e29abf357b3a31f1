import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import type { Failure } from "./details";
import type { StepKind } from "./kinds";
import { addStep, readStep, setStep, type Step, type StepOf, type StepState, type Work } from "./steps";

/**
 * Does a piece of work under a ledger row that was committed before it: running or undoing while it lasts. The work ends
 * the row itself, in its own transaction. If it fails, the row says where things stand and why, without row values.
 * @param otherwise how things stand if the work fails
 * @param urn whose work it is, if not the writer's own
 */
export async function attempt<T, K extends StepKind>(
  fenced: FencedWriter,
  step: Work<K>,
  otherwise: StepState,
  work: (step: StepOf<K>) => Promise<T>,
  urn = fenced.options.urn,
): Promise<T> {
  const before = await readStep(fenced.writer, urn, step.part);
  const heldAs = urn === fenced.options.urn ? fenced.options.heldAs : undefined;
  const added = await fenced.transaction((db) => addStep(db, { ...step, urn, heldAs }));
  try {
    return await work(added);
  } catch (err) {
    // What stood before still stands, with the meaning that it was done with.
    const meaning = otherwise === before?.state && before.meaning !== null ? { meaning: before.meaning } : {};
    await giveUp(fenced, added, { state: otherwise, ...meaning }, err);
    throw err;
  }
}

/** The same for a part, whose row was planned with the resource: a failed one is planned again. */
export async function attemptPart<T>(fenced: FencedWriter, step: Step, work: () => Promise<T>): Promise<T> {
  await fenced.transaction((db) => setStep(db, step, { state: "running" }));
  try {
    return await work();
  } catch (err) {
    await giveUp(fenced, step, { state: "planned" }, err);
    throw err;
  }
}

async function giveUp(
  fenced: FencedWriter,
  step: Pick<Step, "id" | "kind">,
  change: { state: StepState; meaning?: string },
  err: unknown,
): Promise<void> {
  const error: Failure =
    err instanceof GuardianError
      ? { what: err.what, where: err.where ?? null, sqlstate: err.sqlstate ?? null }
      : { what: "see the engine's output", where: null, sqlstate: null };
  // If even this fails (the connection is gone), the next run finds "running" and goes on from what is committed.
  await fenced.transaction((db) => setStep(db, step, { ...change, detail: { error } })).catch(() => undefined);
}
