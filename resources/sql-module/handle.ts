import { requireBackup } from "../../engine/backup/policy";
import type { Plan, PlannedLock } from "../../engine/base/plan";
import type { Database } from "../../engine/database";
import { GuardianError } from "../../engine/base/errors";
import { lazily } from "../../engine/lazy";
import { currentApply } from "../../engine/ledger/modules";
import { showObject } from "../../engine/ledger/objects";
import type { Applied } from "../../engine/module/apply";
import { findDrift, fingerprints, type Drift } from "../../engine/module/drift";
import { readInventory, schemasOf } from "../../engine/module/inventory";
import { isRefused, readSteps } from "../../engine/ledger/steps";
import { backupsTaken } from "../../engine/module/archive/lost";
import type { Remaining } from "../../engine/module/archive/remaining";
import type { Queryable } from "../../engine/base/sql";
import { pathTo, type Changes } from "../../provider/diff";
import { presentObjects, recordedObjects } from "../readings";
import { deadline, ledgerSteps, mainStep, type DatabaseCall } from "../call";
import { handler, type Kind } from "../handler";
import { remainingText } from "../sentences";
import type { Inputs, Values } from "../../spec";
import { sqlModuleSpec } from "./spec";

type Spec = typeof sqlModuleSpec;
type Outputs = Omit<Values<Spec["outputs"]>, "database">;

const kind: Kind<Spec> = {
  spec: sqlModuleSpec,

  sources: (args) => [args.module],

  async check(args) {
    const module = await lazily.modules.loadModule(args.module);
    const archive = module.archive.map(({ table, subject }) => ({ table, subject: subject ?? "none" }));
    const { title, meaning, downMeaning, verifyMeaning, requires, locks, objects } = module;
    return { computed: { title, meaning, downMeaning, verifyMeaning, requires, locks, objects, archive } };
  },

  async plan(call, inputs, state) {
    const module = await lazily.modules.loadModule(inputs.module);
    const step = await mainStep(call);
    const applied = step?.state === "done" || step?.state === "undoing";
    if (applied) lazily.apply.refuseEdited(module, step);
    if (state) await refuseDrift(call, await driftOf(call.host, call.urn, inputs.objects));
    if (!applied) await refuseStrangers(call.host, inputs);
    const outputs = state ? { applyId: state.applyId, definitions: state.definitions } : {};
    const back = await comingBack(call, inputs, applied);
    if (!applied) return { outputs, made: inputs.objects, locks: locksOf(call, inputs.locks), ...back };
    const texts = { severity: "info", text: "down.sql and verify.sql are recorded as they are now" } as const;
    return { outputs, ...back, notes: state ? [texts] : [] };
  },

  async create(call, inputs, fenced) {
    const module = await lazily.modules.loadModule(inputs.module);
    await requireBackup(fenced.writer, call.urn, module.name, module.meaning);
    const applied = await lazily.apply.applyModule(fenced, module, deadline(call));
    tell(call, applied);
    return outputs(fenced.writer, applied.applyId, inputs.objects);
  },

  async update(call, inputs, state, fenced) {
    const module = await lazily.modules.loadModule(inputs.module);
    const applied = await lazily.apply.applyModule(fenced, module, deadline(call));
    tell(call, applied);
    await refuseDrift(call, await driftOf(call.host, call.urn, state.objects));
    await lazily.undo.recordTexts(fenced, module);
    return outputs(fenced.writer, applied.applyId, inputs.objects);
  },

  async delete(call, state, fenced) {
    // Asked before any row is touched.
    await lazily.undo.refuseStillNeeded(fenced);
    await lazily.move.takeBackForgotten(fenced, deadline(call), state.module);
    const archived = await lazily.undo.undoModule(fenced, deadline(call));
    if (archived > 0n) call.log.info(`rows that wait in the archive for the next up: ${archived}`);
  },

  async read(db, call, inputs) {
    const remaining = await lazily.remaining.readRemaining(db, await readSteps(db));
    warnOf(call, remaining);
    return outputs(db, (await currentApply(db, call.urn)) ?? "", inputs.objects);
  },

  async drift(call, _inputs, state) {
    const changes: Changes = new Map();
    for (const drift of await driftOf(call.host, call.urn, state.objects)) {
      call.log.warn(describe(drift));
      changes.set(pathTo("definitions", drift.object), drift.kind === "missing" ? "delete" : "update");
    }
    const remaining = await remainingOf(call);
    warnOf(call, remaining);
    if (remaining.some(({ changed }) => changed)) changes.set("archive", "drift");
    return changes;
  },
};

export const sqlModuleHandler = handler(kind);

async function outputs(db: Queryable, applyId: string, objects: readonly string[]): Promise<Outputs> {
  const inventory = await readInventory(db, schemasOf(objects));
  return { applyId, definitions: fingerprints(inventory, objects) };
}

/** Says what became of archived rows. */
function tell(call: DatabaseCall, { restored, refused }: Applied): void {
  if (restored > 0n) call.log.info(`archived rows that are back: ${restored}`);
  warnOf(call, refused);
}

function warnOf(call: DatabaseCall, remaining: readonly Remaining[]): void {
  for (const one of remaining) if (one.urn === call.urn) call.log.warn(remainingText(one));
}

/** Archived rows that this module refused when they were to come back. Read once for all modules. */
async function remainingOf(call: DatabaseCall): Promise<Remaining[]> {
  const steps = await ledgerSteps(call.host);
  if (!steps.some(isRefused)) return [];
  const all = await call.host.cached("remaining", (db) => lazily.remaining.readRemaining(db, steps));
  return all.filter(({ urn }) => urn === call.urn);
}

/** What was done by hand to the module's objects. */
async function driftOf(host: Database, urn: string, objects: readonly string[]): Promise<Drift[]> {
  const recorded = await recordedObjects(host);
  const now = await presentObjects(host, schemasOf(objects));
  const drift = findDrift(recorded.get(urn) ?? new Map<string, string>(), now);
  // A later module may hang a trigger on an earlier one's table: it is listed there.
  const listed = [...recorded.values()];
  return drift.filter(
    ({ kind, object }) => kind !== "unexpected" || !listed.some((inventory) => inventory.has(object)),
  );
}

function describe(drift: Drift): string {
  const what = { missing: "was dropped", changed: "was changed", unexpected: "was added" }[drift.kind];
  return `drift: ${drift.object} ${what} by hand`;
}

/** Drift is shown, never overwritten unseen: what somebody did by hand at night may be what keeps the system alive. */
async function refuseDrift(call: DatabaseCall, drift: readonly Drift[]): Promise<void> {
  const [one] = drift;
  if (!one) return;
  const shown = drift.flatMap((each) => [describe(each), ...each.lines.slice(0, 6).map((line) => `  ${line}`)]);
  const dropped = drift.flatMap(({ kind, object }) =>
    kind === "missing" && object.startsWith("table ") ? object.slice("table ".length) : [],
  );
  const backups = dropped.length > 0 ? await call.host.read(backupsTaken) : "";
  throw new GuardianError("objects-changed", {
    what: `objects of this module were changed by hand; they are not overwritten (refresh lists those of all modules)`,
    where: `${call.name}\n    ${shown.join("\n    ")}`,
    todo: [
      `put them back; how each was: ${showObject(one.object)}; and what sql/${call.name} makes`,
      ...(dropped.length > 0
        ? [
            `the rows of ${dropped.join(", ")} are gone; what they were is in the backups alone: ${backups || "there is none"}`,
          ]
        : []),
      "roll the module back and apply it again: the rows that are still there wait in the archive and come back. Set guardian:through to a stage before it and up, or, for the modules of the first stage, destroy; what is gone already does not stop it",
    ],
  });
}

/** @throws GuardianError if something of that name is there and the ledger does not know it */
async function refuseStrangers(host: Database, inputs: Inputs<Spec>): Promise<void> {
  const now = await presentObjects(host, schemasOf(inputs.objects));
  const there = inputs.objects.filter((object) => now.has(object));
  if (there.length === 0) return;
  throw new GuardianError("objects-exist", {
    what: `module ${inputs.module} would make objects that are there already, and that no ledger of this stack knows`,
    where: there.join(", "),
    todo: "see who made them; rename or drop them, then run this again",
  });
}

/** Archived rows that would come back, and the tables that hold them until then. */
async function comingBack(
  call: DatabaseCall,
  inputs: Inputs<Spec>,
  applied: boolean,
): Promise<Pick<Plan, "rows" | "dropped">> {
  const { ledger } = await call.host.whereabouts();
  const tables = inputs.archive.map((entry) => entry.table);
  const waiting = ledger ? await call.host.read((db) => lazily.waiting.waitingFor(db, tables)) : [];
  // What this application refused already is tried again only if somebody changed it.
  const staying = applied ? (await remainingOf(call)).filter(({ changed }) => !changed) : [];
  const back = waiting.filter(({ archivedAs }) => !staying.some((one) => one.archivedAs === archivedAs));
  return {
    rows: back.map(({ original, rows, accounted }) => ({
      action: "restore",
      relation: original,
      rows: Number(BigInt(rows) - BigInt(accounted)),
    })),
    dropped: back.map(({ archivedAs }) => `table ${archivedAs}`),
  };
}

/** Triggers and foreign keys on v6's tables are made under this lock (PostgreSQL manual, CREATE TRIGGER, ALTER TABLE). */
const locksOf = (call: DatabaseCall, relations: readonly string[]): PlannedLock[] =>
  relations.map((relation) => ({ relation, mode: "SHARE ROW EXCLUSIVE", holdMs: call.host.parameters.lockHold }));
