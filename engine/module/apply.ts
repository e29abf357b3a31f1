import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import { attempt, attemptPart } from "../ledger/attempt";
import { addApplication, currentApply, standingModules } from "../ledger/modules";
import { forgetRejects } from "../ledger/rejects";
import { addStep, readStep, readSteps, setStep, unfinished, type Step, type StepOf } from "../ledger/steps";
import type { Waiting } from "../ledger/archived";
import type { Queryable } from "../base/sql";
import { buildIndex, indexParts } from "./indexes";
import { recordInventory, schemasOf } from "./inventory";
import { refuseUnlisted, whatIsThere, willMake, type Before } from "./made";
import type { Module } from "./files/manifest";
import { partOf } from "./archive/lost";
import { restoreTable } from "./archive/restore";
import { readRemaining, type Remaining } from "./archive/remaining";
import { archivedNumbers, raiseSequences, type Numbers } from "./archive/sequences";
import { restoreOrder, waitingFor } from "./archive/waiting";
import { present } from "./present";
import { runStatements, runTogether } from "./runner";
import { parseFile, parseFiles } from "./files/statements";
import { firstTouching } from "./files/touching";
import { joined } from "./files/up-files";
import { withV6Locks } from "./v6-locks";

/** What a module's application did. */
export interface Applied {
  applyId: string;
  /** Rows that came back from the archive. */
  restored: bigint;
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
  const restored = await finishParts(fenced, module, deadline);
  return { applyId, restored, refused: await refusedOf(fenced) };
}

/** Archived tables of this module of which rows stay. */
async function refusedOf(fenced: FencedWriter): Promise<Remaining[]> {
  const steps = (await readSteps(fenced.writer)).filter((step) => step.urn === fenced.options.urn);
  return fenced.transaction((db) => readRemaining(db, steps));
}

/** Rows that were refused are tried once more if somebody changed them since. */
async function planMended(fenced: FencedWriter): Promise<void> {
  const { epoch, options } = fenced;
  for (const { part, archivedAs, changed } of await refusedOf(fenced)) {
    if (!changed) continue;
    await fenced.transaction(async (db) => {
      await forgetRejects(db, archivedAs);
      await addStep(db, { urn: options.urn, part, kind: "rows", state: "planned", epoch });
    });
  }
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

async function deploy(fenced: FencedWriter, module: Module, deadline: number): Promise<void> {
  await requireModules(fenced.writer, module);
  const statements = await parseFiles(module.up);
  const verify = await parseFile(`sql/${module.name}/verify.sql`, module.verify);
  const split = firstTouching(statements, module.locks);
  const later = (await indexParts(module)).map((part) => part.part);
  const soon = willMake(statements.slice(split), module.objects);
  let there: Before = [];
  let recorded: Recorded = { applyId: "", raise: () => Promise.resolve() };
  await attempt(fenced, { kind: "SqlModule", state: "running", meaning: module.meaning }, "planned", (step) =>
    withV6Locks(fenced, deadline, {
      relations: module.locks,
      mode: "SHARE ROW EXCLUSIVE",
      own: module.objects,
      sql: joined(module.up),
      before: async (db) => {
        there = await whatIsThere(db);
        await runStatements(db, statements.slice(0, split));
        if (soon) await refuseUnlisted(db, there, module, later, soon);
        recorded = await record(db, fenced, module, step);
      },
      locked: (db) => runTogether(db, `sql/${module.name}`, [...statements.slice(split), ...verify]),
      after: async (db) => {
        await recorded.raise(db);
        if (!soon) await refuseUnlisted(db, there, module, later);
        await recordInventory(db, recorded.applyId, schemasOf(module.objects), module.objects);
      },
    }),
  );
}

interface Recorded {
  applyId: string;
  /** Raises the sequences of tables that are made only while v6 is locked: their CREATE TABLE has a key to it. */
  raise: (db: Queryable) => Promise<void>;
}

/** Records the application and what is still to come, before v6 is locked; the transaction's end makes it true. */
async function record(
  db: Queryable,
  fenced: FencedWriter,
  module: Module,
  step: StepOf<"SqlModule">,
): Promise<Recorded> {
  const { epoch, options } = fenced;
  const { urn } = options;
  const { up, down, verify, ...manifest } = module;
  const applyId = await addApplication(db, { urn, name: module.name, manifest, up: joined(up), down, verify });
  const originals = module.archive.map((entry) => entry.table);
  const waiting = await waitingFor(db, originals);
  const made = await present(db, originals);
  const late: [Waiting, Numbers][] = [];
  for (const table of waiting) {
    await forgetRejects(db, table.archivedAs);
    const numbers = await archivedNumbers(db, table);
    if (made.includes(table.original)) await raiseSequences(db, table, numbers);
    else late.push([table, numbers]);
  }
  const parts = [
    ...(await indexParts(module)).map((part) => ({ part: part.part, kind: "index" as const })),
    ...waiting.map((table) => ({ part: partOf(table), kind: "rows" as const })),
  ];
  for (const { part, kind } of parts) await addStep(db, { urn, part, kind, state: "planned", epoch });
  await setStep(db, step, { state: "done", physicalId: applyId, meaning: module.meaning });
  const raise = async (now: Queryable): Promise<void> => {
    for (const [table, numbers] of late) await raiseSequences(now, table, numbers);
  };
  return { applyId, raise };
}

async function requireModules(db: Queryable, module: Module): Promise<void> {
  const there = await standingModules(db);
  const missing = module.requires.filter((name) => !there.includes(name));
  if (missing.length === 0) return;
  throw new GuardianError("requirement-missing", {
    what: `module ${module.name} needs ${missing.join(", ")}, which this database does not have`,
    where: `sql/${module.name}/module.yaml, requires`,
    todo: "apply them first: they are part of an earlier step of the stack",
  });
}

/** Indexes and rows that the ledger says are not there yet. */
async function finishParts(fenced: FencedWriter, module: Module, deadline: number): Promise<bigint> {
  const { urn } = fenced.options;
  const open = unfinished((await readSteps(fenced.writer)).filter((step) => step.urn === urn && step.part !== ""));
  if (open.length === 0) return 0n;
  for (const part of await indexParts(module)) {
    const step = open.find((found) => found.part === part.part);
    if (step) await attemptPart(fenced, step, () => buildIndex(fenced, module, part, step, deadline));
  }
  const tables = module.archive.map((entry) => entry.table);
  const waiting = await waitingFor(fenced.writer, await restoreOrder(fenced.writer, tables));
  let restored = 0n;
  for (const table of waiting) {
    const step = open.find((found) => found.part === partOf(table));
    if (!step) continue;
    const { checks = [] } = module.archive.find((entry) => entry.table === table.original) ?? {};
    restored += await attemptPart(fenced, step, () => restoreTable(fenced, step, table, checks, deadline));
  }
  return restored;
}
