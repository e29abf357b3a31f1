import type { Gate } from "../../spec/gates";
import { GuardianError } from "../base/errors";
import type { Queryable } from "../base/sql";
import type { Detail } from "../ledger/details";
import { stackOf } from "../ledger/identity";
import type { StepKind } from "../ledger/kinds";
import { readSteps, type Step, type StepOf } from "../ledger/steps";

/** Whether a gate has passed, by the ledger alone. Read by every no-op `up`: nothing here loads a check. */

/** What a gate has said, as the ledger has it. */
export type Said = Detail<"Gate">;

/** Modules and data migrations by name, each with its meaning. */
type Meanings = Readonly<Record<string, string>>;

/** Whether a gate was asked since it last had to be, and let it pass. */
export const isWhole = (said: Said): boolean =>
  said.judgedAt !== undefined && said.waived !== true && said.error === undefined && said.verdict !== "not ready";

/** What a gate says something of, once it is there. What the gate before stands before is still to come. */
const judgedBy: Readonly<Record<Gate, readonly StepKind[]>> = {
  before: [],
  schema: ["SqlModule"],
  data: ["SqlModule", "DataMigration"],
  end: ["SqlModule", "DataMigration", "FeatureFlag"],
};

/** @returns the newest attempt at a gate of the stack that a URN is of */
export function gateStep(steps: readonly Step[], urn: string, gate: Gate): StepOf<"Gate"> | undefined {
  const mine = (step: Step): step is StepOf<"Gate"> =>
    step.kind === "Gate" && step.part === "" && stackOf(step.urn) === stackOf(urn);
  return steps.filter(mine).findLast(({ detail }) => detail.gate === gate);
}

/**
 * Why a gate is no answer for what stands, or is to come.
 * @param steps the newest of the ledger
 * @param step the gate's own
 * @param coming of the gate before: what it must have been asked for
 * @returns undefined where it has passed, and for this
 */
export function lacking(
  steps: readonly Step[],
  step: StepOf<"Gate"> | undefined,
  gate: Gate,
  coming: Meanings,
): string | undefined {
  if (!step || step.state === "undone") return "it was not asked";
  const { waived, verdict, judged = {} } = step.detail;
  if (waived === true) return "it was passed by when nothing was to come after it, and not asked since";
  if (verdict === "not ready") return "it did not pass";
  if (step.state !== "done" || !isWhole(step.detail)) return "it was not asked to the end";
  if (gate === "before") {
    const other = Object.entries(coming).find(([name, meaning]) => judged[name] !== meaning);
    return other && `it was not asked for ${other[0]} as it is now`;
  }
  const later = cameAfter(steps, step, gate);
  return later && `${later.urn.split("::").at(-1) ?? ""} came after it was asked`;
}

/** @returns something that a gate judges, and that was done after it was asked: what it said is of what was there before */
export const cameAfter = (steps: readonly Step[], step: Step, gate: Gate): Step | undefined =>
  steps.find((one) => isLater(one, step, judgedBy[gate]));

/** Whether something stands that was done after a gate was asked; a flag's write that was refused has changed nothing. */
const isLater = (one: Step, gate: Step, kinds: readonly StepKind[]): boolean =>
  kinds.includes(one.kind) &&
  one.part === "" &&
  one.state === "done" &&
  !(one.kind === "FeatureFlag" && one.detail.error !== undefined) &&
  stackOf(one.urn) === stackOf(gate.urn) &&
  BigInt(one.id) > BigInt(gate.id);

/**
 * Refuses to ask a gate before all that it judges is there: it would pass, and what comes later would be taken for judged.
 * @param open what the gate would judge, and does not stand
 * @throws GuardianError gate-unpassed, unless nothing is open
 */
export function refuseEarly(urn: string, gate: Gate, open: readonly string[]): void {
  if (gate === "before" || open.length === 0) return;
  throw new GuardianError("gate-unpassed", {
    what: `gate ${gate} judges ${open.join(", ")}, and that is not there as the program has it; nothing was asked`,
    where: urn,
    todo: "run up without leaving anything out (--target, --exclude)",
  });
}

/**
 * No stage without the gates ahead of it. Pulumi's graph has them in this order too, but leaves out what --target, --exclude or
 * a `state delete` leave out.
 * @param behind the gates that must have passed
 * @param coming what is about to be done, where it is a module or a data migration
 * @throws GuardianError gate-unpassed; nothing was changed
 */
export async function requireGates(
  db: Queryable,
  urn: string,
  behind: readonly Gate[] | undefined,
  coming: Meanings = {},
): Promise<void> {
  if (!behind || behind.length === 0) return;
  const steps = await readSteps(db);
  for (const gate of behind) {
    const why = lacking(steps, gateStep(steps, urn, gate), gate, coming);
    if (why === undefined) continue;
    const name = urn.split("::").at(-1) ?? urn;
    throw new GuardianError("gate-unpassed", {
      what: `gate ${gate} has not passed, and ${name} comes after it: ${why}; nothing was changed`,
      where: urn,
      todo: [
        "run up without leaving anything out (--target, --exclude): the gate is asked first",
        "see what keeps it from passing: npm run gates",
      ],
    });
  }
}
