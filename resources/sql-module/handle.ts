import type { Database } from "../../engine/database";
import { GuardianError } from "../../engine/errors";
import { ledgerSchema } from "../../engine/ledger/schema";
import { applyModule, currentApply, moduleKind, refuseEdited } from "../../engine/module/apply";
import { findDrift, fingerprints, type Drift } from "../../engine/module/drift";
import { readInventory, schemasOf, type Inventory } from "../../engine/module/inventory";
import { loadModule } from "../../engine/module/manifest";
import { waitingFor } from "../../engine/module/restore";
import { recordTexts, undoModule } from "../../engine/module/undo";
import { rows, type Queryable } from "../../engine/sql";
import type { Changes } from "../../provider/diff";
import { requireBackup } from "../backup/guard";
import { deadline, handler, ledgerSteps, type DatabaseCall, type Kind } from "../handler";
import type { Inputs, Values } from "../spec";
import { sqlModuleSpec } from "./spec";

type Spec = typeof sqlModuleSpec;
type Outputs = Omit<Values<Spec["outputs"]>, "database">;

const kind: Kind<Spec> = {
  spec: sqlModuleSpec,

  async check(args) {
    const module = await loadModule(args.module);
    const archive = module.archive.map(({ table, subject }) => ({ table, subject: subject ?? "none" }));
    const { title, meaning, downMeaning, verifyMeaning, requires, locks, objects } = module;
    return { computed: { title, meaning, downMeaning, verifyMeaning, requires, locks, objects, archive } };
  },

  async plan(call, inputs, state) {
    const module = await loadModule(inputs.module);
    const step = (await ledgerSteps(call.host)).find((found) => found.urn === call.urn && found.part === "");
    const applied = step?.state === "done" || step?.state === "undoing";
    if (applied) refuseEdited(module, step);
    if (state) refuseDrift(call, await driftOf(call.host, call.urn, inputs.objects));
    if (!applied) await refuseStrangers(call.host, inputs);
    if (!applied && !state) await tell(call, inputs);
    return {};
  },

  async create(call, inputs, session) {
    const module = await loadModule(inputs.module);
    await requireBackup(session.writer, call.urn, module.name, module.meaning);
    const { applyId, restored } = await applyModule(session, call.host.parameters, module, deadline(call));
    if (restored > 0n) call.log.info(`${restored} archived rows are back`);
    return outputs(session.writer, applyId, inputs.objects);
  },

  async update(call, inputs, state, session) {
    const module = await loadModule(inputs.module);
    const { applyId, restored } = await applyModule(session, call.host.parameters, module, deadline(call));
    if (restored > 0n) call.log.info(`${restored} archived rows are back`);
    refuseDrift(call, await driftOf(call.host, call.urn, state.objects));
    await recordTexts(session, module);
    return outputs(session.writer, applyId, inputs.objects);
  },

  async delete(call, _state, session) {
    const archived = await undoModule(session, call.host.parameters, deadline(call));
    if (archived > 0n) call.log.info(`${archived} rows wait in the archive; the next up brings them back`);
  },

  async read(db, call, inputs) {
    return outputs(db, (await currentApply(db, call.urn)) ?? "", inputs.objects);
  },

  async drift(call, _inputs, state) {
    const changes: Changes = new Map();
    for (const drift of await driftOf(call.host, call.urn, state.objects)) {
      call.log.warn(describe(drift));
      changes.set(`definitions["${drift.object}"]`, drift.kind === "missing" ? "delete" : "update");
    }
    return changes;
  },
};

export const sqlModuleHandler = handler(kind);

async function outputs(db: Queryable, applyId: string, objects: readonly string[]): Promise<Outputs> {
  const inventory = await readInventory(db, schemasOf(objects));
  return { applyId, definitions: fingerprints(inventory, objects) };
}

/** What was done by hand to the module's objects; the catalogue is read once for all modules. */
async function driftOf(host: Database, urn: string, objects: readonly string[]): Promise<Drift[]> {
  const recorded = await host.cached("recorded", async (db) => {
    const found = await rows<{ urn: string; object: string; definition: string }>(
      db,
      `SELECT m.urn, o.object, o.definition FROM ${ledgerSchema}.object o JOIN ${ledgerSchema}.module m USING (apply_id) WHERE m.undone_at IS NULL`,
    );
    const modules = new Map<string, Inventory>();
    for (const row of found) {
      const inventory: Inventory = modules.get(row.urn) ?? new Map<string, string>();
      modules.set(row.urn, inventory.set(row.object, row.definition));
    }
    return modules;
  });
  const schemas = schemasOf(objects);
  const now = await host.cached(`inventory ${schemas.join(" ")}`, (db) => readInventory(db, schemas));
  return findDrift(recorded.get(urn) ?? new Map<string, string>(), now);
}

function describe(drift: Drift): string {
  const what = { missing: "is gone", changed: "was changed", unexpected: "was added" }[drift.kind];
  return `drift: ${drift.object} ${what} by hand`;
}

/** Drift is shown, never overwritten unseen: what somebody did by hand at night may be what keeps the system alive. */
function refuseDrift(call: DatabaseCall, drift: readonly Drift[]): void {
  if (drift.length === 0) return;
  throw new GuardianError({
    what: "objects of this module were changed by hand; they are not overwritten",
    where: `${call.name}: ${drift.map(describe).join("; ")}`,
    todo: [
      `put them back as they were: SELECT object, definition FROM ${ledgerSchema}.object; then run this again`,
      "or roll the module back (lower guardian:through, up) and apply it again: its rows wait in the archive and come back",
    ],
  });
}

/** @throws GuardianError if something of that name is there and the ledger does not know it */
async function refuseStrangers(host: Database, inputs: Inputs<Spec>): Promise<void> {
  const schemas = schemasOf(inputs.objects);
  const now = await host.cached(`inventory ${schemas.join(" ")}`, (db) => readInventory(db, schemas));
  const there = inputs.objects.filter((object) => now.has(object));
  if (there.length === 0) return;
  throw new GuardianError({
    what: `module ${inputs.module} would make objects that are there already, and that no ledger of this stack knows`,
    where: there.join(", "),
    todo: "see who made them; rename or drop them, then run this again",
  });
}

/** In preview: what applying the module would really do here. */
async function tell(call: DatabaseCall, inputs: Inputs<Spec>): Promise<void> {
  const { ledger } = await call.host.whereabouts();
  const tables = inputs.archive.map((entry) => entry.table);
  const waiting = ledger ? await call.host.read((db) => waitingFor(db, tables)) : [];
  const parts = [
    `${inputs.objects.length} objects`,
    inputs.locks.length > 0
      ? `locks ${inputs.locks.join(", ")} for at most ${call.host.parameters.lockHold} ms`
      : "no v6 locks",
    ...waiting.map((table) => `brings ${table.rows} archived rows of ${table.original} back`),
  ];
  call.log.info(`will make ${parts.join("; ")}`);
}

export { moduleKind };
