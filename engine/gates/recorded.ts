import type { Gate } from "../../spec/gates";
import type { KeptAcceptance } from "../ledger/details";
import { detailOf, type Step, type StepOf } from "../ledger/steps";
import type { Check, Site } from "./check";
import type { Rules } from "./decide";

/** The gate whose outcomes the others are measured against. */
const first: Gate = "before";

/** What a gate said the last time; of one that was taken back only what was accepted counts. */
export type Recorded = Pick<StepOf<"Gate">, "state" | "detail">;

/*
 * What gates recorded, by the newest steps of the ledger: in an `up` as they are at that moment, in preview as `Database.steps`
 * has them, read once for all gates.
 */

/** @returns what each gate recorded in this database; nothing where it was never asked */
export function recordedGates(steps: readonly Step[]): ReadonlyMap<string, Recorded> {
  const found = new Map<string, Recorded>();
  for (const step of [...steps].sort((a, b) => Number(a.id) - Number(b.id))) {
    const detail = detailOf(step, "Gate");
    if (step.part !== "" || detail.gate === undefined) continue;
    // One that stands before one that was taken back, whichever is newer.
    if (step.state !== "undone" || (found.get(detail.gate)?.state ?? "undone") === "undone")
      found.set(detail.gate, { state: step.state, detail });
  }
  return found;
}

/**
 * @returns what the gate before recorded in this database, by the check's name: what it is that a stack's life began with.
 *   Nothing where the gate was never asked, or it was taken back
 */
export const recordedBefore = (steps: readonly Step[]): Site["before"] => outcomesOf(recordedGates(steps).get(first));

/**
 * A check that stands at several gates is accepted once: what was accepted of it at one holds at the others, and no more.
 * Of gates that were taken back too.
 * @param accept check → the reason that the stack gives now: with another it is accepted anew
 * @returns what the gates of this database have accepted of these checks, by name; of several the oldest
 */
export function acceptedBefore(
  steps: readonly Step[],
  { accept = {} }: Pick<Rules, "accept">,
  checks: readonly Pick<Check, "name">[],
): Record<string, KeptAcceptance> {
  const kept = steps
    .flatMap((step) => Object.entries(detailOf(step, "Gate").accepted ?? {}))
    .filter(([name, { reason }]) => accept[name] === reason && checks.some((check) => check.name === name));
  // Of several with one name the last one stays.
  return Object.fromEntries(kept.sort(([, a], [, b]) => b.at.localeCompare(a.at)));
}

/** @returns what a gate said of its checks, by their names; nothing of one that was taken back */
export const outcomesOf = (recorded: Recorded | undefined): Site["before"] =>
  new Map((recorded?.state === "undone" ? [] : (recorded?.detail.outcomes ?? [])).map((one) => [one.check, one]));
