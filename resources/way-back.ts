import { stages, stageType, type Stage } from "../config/stages";
import { isAwaited } from "../engine/backup/step/policy";
import type { Database } from "../engine/database";
import { stackOf } from "../engine/ledger/identity";
import { detailOf, type Step } from "../engine/ledger/steps";
import { ledgerSteps, type DatabaseCall } from "./call";

/** Whether something of it is in the database. */
const stands = (step: Step): boolean =>
  step.state === "done" ||
  step.state === "undoing" ||
  // One that was taken back whole keeps the note that it had begun.
  (step.state !== "undone" && detailOf(step, "DataMigration").begun === true);

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
  return steps.some((step) => stands(step) && goes(step.urn));
}

/** Where this run has added a module or a data migration: a plugin's process lasts as long as its run. */
const adding = new WeakSet<Database>();

/** Notes that this run adds something, or has taken a backup for it. */
export const seeAdded = ({ host }: DatabaseCall): void => void adding.add(host);

/**
 * Whether this run adds something of what a gate judges, or will after it: that is no way back alone.
 * @param judges modules and data migrations by name, each with its meaning
 */
export async function addsNow(call: DatabaseCall, judges: Readonly<Record<string, string>>): Promise<boolean> {
  if (adding.has(call.host)) return true;
  const steps = await ledgerSteps(call.host);
  // A backup is taken for all that is to come, before anything of it comes; in preview it is still the one of another run.
  const { protects = {} } = call.preview ? {} : detailOf(backupOf(steps, call), "Backup");
  return isAwaited(steps, call.urn, { ...protects, ...judges });
}

const backupOf = (steps: readonly Step[], { urn }: DatabaseCall): Step | undefined =>
  steps.find((step) => step.kind === "Backup" && step.part === "" && stackOf(step.urn) === stackOf(urn));
