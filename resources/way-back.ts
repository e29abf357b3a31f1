import { stages, stageType, type Stage } from "../config/stages";
import { stackOf } from "../engine/ledger/identity";
import { detailOf, type Step } from "../engine/ledger/steps";
import { ledgerSteps, type DatabaseCall } from "./call";

/** Whether something of it is in the database. */
const stands = (step: Step): boolean =>
  step.state === "done" || step.state === "undoing" || detailOf(step, "DataMigration").begun === true;

/** @returns whether a URN is of this stack, and of a stage after the last one that is wanted */
export function comesAfter(call: DatabaseCall, through: Stage): (urn: string) => boolean {
  const later = stages.slice(stages.indexOf(through) + 1).map((stage) => `::${stageType(stage)}$`);
  return (urn) => stackOf(urn) === stackOf(call.urn) && later.some((type) => urn.includes(type));
}

/**
 * Whether this run takes a stage back: the ledger has something that stands, of a stage after the last one that is wanted.
 * What was done by hand to a resource that stays is then told and left as it is. Pulumi deletes after it has updated all
 * that stays: a refusal there would keep at night what is to go.
 * @param through the last stage that is wanted; undefined: the program does not say
 */
export async function goesBack(call: DatabaseCall, through: Stage | undefined): Promise<boolean> {
  if (through === undefined) return false;
  const goes = comesAfter(call, through);
  const steps = await ledgerSteps(call.host);
  return steps.some((step) => step.state !== "undone" && stands(step) && goes(step.urn));
}
