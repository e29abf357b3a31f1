import type { Gate } from "../../spec/gates";
import type { Queryable } from "../base/sql";
import { readLedger } from "../ledger/identity";
import { detailOf, readSteps } from "../ledger/steps";
import type { Site } from "./check";

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
