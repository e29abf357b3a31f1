import type { Database } from "../engine/database";
import { readRollbacks, type EmergencyRollback } from "../engine/emergency";
import { stackOf, urnIn } from "../engine/ledger/identity";
import type { Step } from "../engine/ledger/steps";
import { endingWith } from "../engine/reads";
import type { Call } from "../provider/types";

export type DatabaseCall = Call<Database>;

/** How long a resource may take where customTimeouts says nothing, in seconds. */
const defaultTimeout = 30 * 60;

/** @returns the time, in Unix milliseconds, at which a call must give up */
export function deadline(call: DatabaseCall): number {
  return Date.now() + (call.timeoutSeconds || defaultTimeout) * 1000;
}

/** Does the work of a call. What writes nothing ends with its signal, at once; what may write answers for itself how far it came. */
export function heard<T>(
  { preview, signal }: Pick<DatabaseCall, "preview" | "signal">,
  work: () => Promise<T>,
): Promise<T> {
  if (!preview) return work();
  return endingWith.run(signal, async () => {
    signal.throwIfAborted();
    let stop = (): void => undefined;
    const stopped = new Promise<never>((_resolve, reject) => (stop = () => reject(signal.reason as Error)));
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([work(), stopped]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  });
}

/** @returns the ledger's rows, asked once until this process writes; none where there is no ledger */
export const ledgerSteps = (host: Database): Promise<Step[]> => host.steps();

/**
 * The call by the URN that the ledger has. In the preview of a takeover, and until the Ledger's own update, that is the
 * other stack's.
 */
export async function asInLedger(call: DatabaseCall): Promise<DatabaseCall> {
  const { ledger } = await call.host.whereabouts();
  if (!ledger || call.host.adopts !== ledger.ledgerId || ledger.stack === stackOf(call.urn)) return call;
  return { ...call, urn: urnIn(ledger.stack, call.urn) };
}

/** @returns the newest attempt at the call's resource itself, its parts aside */
export async function mainStep(call: DatabaseCall): Promise<Step | undefined> {
  return (await ledgerSteps(call.host)).find((step) => step.urn === call.urn && step.part === "");
}

/** @returns all emergency rollbacks, the newest first, asked once until this process writes */
export const emergencyRollbacks = (host: Database): Promise<EmergencyRollback[]> =>
  host.cached("emergency rollbacks", readRollbacks);
