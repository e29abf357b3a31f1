import type { Gate } from "../../spec/gates";
import type { Queryable } from "../base/sql";
import { readLedger } from "../ledger/identity";
import type { KeptAcceptance } from "../ledger/details";
import { detailOf, readSteps } from "../ledger/steps";
import type { Check, Site } from "./check";
import type { Rules } from "./decide";

/** The gate whose outcomes the others are measured against. */
const first: Gate = "before";

/**
 * @returns what the gate before recorded in this database, by the check's name: what it is that a stack's life began with.
 *   Nothing where there is no ledger, the gate was never asked, or it was taken back
 */
export async function recordedBefore(db: Queryable): Promise<Site["before"]> {
  const steps = (await readLedger(db)) ? await readSteps(db) : [];
  const standing = steps
    .filter((step) => step.part === "" && step.state !== "undone" && detailOf(step, "Gate").gate === first)
    .sort((a, b) => Number(a.id) - Number(b.id))
    .at(-1);
  return new Map((detailOf(standing, "Gate").outcomes ?? []).map((outcome) => [outcome.check, outcome]));
}

/**
 * A check that stands at several gates is accepted once: what was accepted of it at one holds at the others, and no more.
 * Of gates that were taken back too.
 * @param accept check → the reason that the stack gives now: with another it is accepted anew
 * @returns what the gates of this database have accepted of these checks, by name; of several the oldest
 */
export async function acceptedBefore(
  db: Queryable,
  { accept = {} }: Pick<Rules, "accept">,
  checks: readonly Pick<Check, "name">[],
): Promise<Record<string, KeptAcceptance>> {
  const steps = (await readLedger(db)) ? await readSteps(db) : [];
  const kept = steps
    .flatMap((step) => Object.entries(detailOf(step, "Gate").accepted ?? {}))
    .filter(([name, { reason }]) => accept[name] === reason && checks.some((check) => check.name === name));
  // Of several with one name the last one stays.
  return Object.fromEntries(kept.sort(([, a], [, b]) => b.at.localeCompare(a.at)));
}
