import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import { attemptPart } from "../ledger/attempt";
import { currentApply } from "../ledger/modules";
import { addStep, isRefused, readStep, readSteps, setStep, unfinished, type Step } from "../ledger/steps";
import { deploy } from "./deploy";
import { buildIndex, indexParts } from "./indexes";
import type { Module } from "./files/manifest";
import { countArchived } from "./archive/counted";
import { partOf } from "./archive/lost";
import { restoreTable } from "./archive/restore";
import { none, sum, type Moved } from "./archive/slice";
import { readRemaining, tryAgain, type Remaining } from "./archive/remaining";
import { restoreOrder, waitingFor } from "./archive/waiting";

/** What a module's application did. */
export interface Applied {
  applyId: string;
  /** Rows that came back from the archive. */
  restored: bigint;
  /** Archived rows that are gone: a live row says the same. */
  beaten: bigint;
  /** Archived rows that are gone: whose they were, or what they belonged to, was deleted since. */
  leftOut: bigint;
  /** Archived tables of which rows stay, because the module refuses them. */
  refused: Remaining[];
}

/**
 * Applies a module: its DDL, its verify.sql and its ledger row in one transaction, then, each with a row of its own, its
 * concurrent indexes and the rows that wait in the archive. What the ledger says is done is not done again, so that a
 * killed run goes on where it stopped.
 * @throws GuardianError for a module that was edited after it was applied, for a missing requirement, for a failed
 *   statement with its line, for v6 locks that could not be had
 */
export async function applyModule(fenced: FencedWriter, module: Module, deadline: number): Promise<Applied> {
  const { urn } = fenced.options;
  await countArchived(fenced);
  const current = await readStep(fenced.writer, urn);
  let applyId = await currentApply(fenced.writer, urn);
  if (current && applyId !== undefined) {
    refuseEdited(module, current);
    // A rollback that was cut off left the module standing, and its row saying "undoing".
    if (current.state !== "done") await fenced.transaction((db) => setStep(db, current, { state: "done" }));
    await planMended(fenced);
  } else {
    await deploy(fenced, module, deadline);
    applyId = await currentApply(fenced.writer, urn);
  }
  if (applyId === undefined)
    throw new GuardianError("ledger-broken", {
      what: "the ledger does not know how it was applied",
      where: module.name,
    });
  const { restored, beaten, leftOut } = await finishParts(fenced, module, deadline);
  return { applyId, restored, beaten, leftOut, refused: await refusedOf(fenced) };
}

/** Archived tables of this module of which rows stay. */
async function refusedOf(fenced: FencedWriter): Promise<Remaining[]> {
  const steps = await readSteps(fenced.writer);
  if (!steps.some((step) => step.urn === fenced.options.urn && isRefused(step))) return [];
  const all = await fenced.transaction((db) => readRemaining(db, steps));
  return all.filter(({ urn }) => urn === fenced.options.urn);
}

/** Rows that were refused are tried once more if somebody changed them, or what they refer to, since. */
async function planMended(fenced: FencedWriter): Promise<void> {
  const { urn } = fenced.options;
  const steps = await readSteps(fenced.writer);
  if (!steps.some((step) => step.urn === urn && isRefused(step))) return;
  await fenced.transaction(async (db) => {
    for (const part of await tryAgain(db, steps, urn)) await addStep(db, { urn, part, kind: "rows", state: "planned" });
  });
}

/**
 * A module that was applied is not applied again with another text.
 * @throws GuardianError with the ways out
 * @lazily
 */
export function refuseEdited(module: Module, applied: Pick<Step, "meaning">): void {
  if (applied.meaning === module.meaning) return;
  throw new GuardianError("module-changed", {
    what: `up.sql (or up/), indexes.sql or module.yaml of ${module.name} changed after it was applied`,
    where: `applied ${applied.meaning ?? "?"}, now ${module.meaning}`,
    todo: [
      `restore sql/${module.name} as it was applied`,
      "put the change into a new module",
      "roll the module back first (lower guardian:through, up), then up with the new text: its rows wait in the archive and come back",
    ],
  });
}

/** Indexes and rows that the ledger says are not there yet. */
async function finishParts(fenced: FencedWriter, module: Module, deadline: number): Promise<Moved> {
  const { urn } = fenced.options;
  const open = unfinished((await readSteps(fenced.writer)).filter((step) => step.urn === urn && step.part !== ""));
  if (open.length === 0) return none;
  for (const part of await indexParts(module)) {
    const step = open.find((found) => found.part === part.part);
    if (step) await attemptPart(fenced, step, () => buildIndex(fenced, module, part, step, deadline));
  }
  const tables = module.archive.map((entry) => entry.table);
  const waiting = await waitingFor(fenced.writer, await restoreOrder(fenced.writer, tables));
  let moved = none;
  for (const table of waiting) {
    const step = open.find((found) => found.part === partOf(table));
    if (!step) continue;
    const { checks = [] } = module.archive.find((entry) => entry.table === table.original) ?? {};
    const more = await attemptPart(fenced, step, () => restoreTable(fenced, step, table, checks, deadline));
    moved = sum(moved, more);
  }
  return moved;
}
