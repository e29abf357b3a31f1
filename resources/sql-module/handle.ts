import { requireBackup } from "../../engine/backup/step/policy";
import { shown } from "../../engine/base/names";
import type { Note, Plan, PlannedLock } from "../../engine/base/plan";
import type { Database, FencedWriter } from "../../engine/database";
import { GuardianError } from "../../engine/base/errors";
import { requireGates } from "../../engine/gates/passed";
import { lazily } from "../../engine/lazy";
import { stackOf } from "../../engine/ledger/identity";
import { currentApply } from "../../engine/ledger/modules";
import { readObjects, showObject } from "../../engine/ledger/objects";
import type { Applied } from "../../engine/module/apply";
import { byModule, findDrift, fingerprints, versionsOf, type Drift } from "../../engine/module/drift";
import { inventoryVersion, readInventories, schemasOf, type Inventory } from "../../engine/module/inventory";
import { describeRenewal, renewFacts } from "../../engine/module/renew";
import { isRefused, readSteps } from "../../engine/ledger/steps";
import { backupsTaken } from "../../engine/module/archive/lost";
import type { Remaining } from "../../engine/module/archive/remaining";
import type { Queryable } from "../../engine/base/sql";
import type { Changes } from "../../provider/diff";
import { presentObjects, recordedObjects } from "../readings";
import { deadline, ledgerSteps, mainStep, type DatabaseCall } from "../call";
import { handler, type Kind } from "../handler";
import { acceptedByProgram, publicationNotes, refuseOpenPublications } from "../publications";
import { driftText, driftTexts, remainingText } from "../sentences";
import { goesBack, seeAdded } from "../way-back";
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
    if (!applied) {
      await lazily.modules.refuseHarm(module);
      await refuseStrangers(call.host, inputs);
    }
    const renewal = state && applied ? await renewalNotes(call, inputs.objects) : [];
    const known = renewal.length > 0 ? {} : { definitions: state?.definitions ?? {} };
    const outputs = state ? { applyId: state.applyId, facts: inventoryVersion, ...known } : {};
    const back = await comingBack(call, inputs, applied);
    if (!applied) {
      const notes = await joinedPublications(call, inputs.objects);
      return { outputs, made: inputs.objects, locks: locksOf(call, inputs.locks), ...back, notes };
    }
    const texts = { severity: "info", text: "down.sql and verify.sql are recorded as they are now" } as const;
    return { outputs, ...back, notes: state ? [texts, ...renewal] : [] };
  },

  async create(call, inputs, fenced) {
    const module = await lazily.modules.loadModule(inputs.module);
    if (makesTables(module.objects) && (await currentApply(fenced.writer, call.urn)) === undefined) {
      const accepted = await lazily.ledgerOwner.acceptedPublications(fenced.writer, stackOf(call.urn));
      await refuseOpenPublications(fenced.writer, accepted);
    }
    const { applyId } = await apply(call, inputs, fenced);
    return outputs(fenced.writer, call.urn, applyId, inputs.objects);
  },

  async update(call, inputs, state, fenced) {
    const module = await lazily.modules.loadModule(inputs.module);
    // Killed after a rollback was committed and before the state was saved: what the state has is applied anew.
    const { applyId } = await apply(call, inputs, fenced);
    await refuseDrift(call, await driftOf(call.host, call.urn, state.objects));
    await lazily.undo.recordTexts(fenced, module);
    await fenced.transaction(async (db) =>
      refuseDrift(call, await renewFacts(db, call.urn, schemasOf(inputs.objects))),
    );
    return outputs(fenced.writer, call.urn, applyId, inputs.objects);
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
    return outputs(db, call.urn, (await currentApply(db, call.urn)) ?? "", inputs.objects);
  },

  asked: ["through", "behind"],

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    const found = await driftOf(call.host, call.urn, state.objects);
    if (found.length > 0 && (await goesBack(call, inputs.through))) {
      for (const text of driftTexts(found))
        call.log.warn(`${text}; left as it is while later stages go: the next up refuses it`);
      return changes;
    }
    driftTexts(found).forEach((text) => call.log.warn(text));
    if (found.length > 0) changes.set("definitions", "update");
    const versions = versionsOf(await recordedObjects(call.host), call.urn);
    if (versions.some((version) => version < inventoryVersion)) changes.set("facts", "update");
    const remaining = await remainingOf(call);
    warnOf(call, remaining);
    if (remaining.some(({ changed }) => changed)) changes.set("archive", "drift");
    return changes;
  },
};

export const sqlModuleHandler = handler(kind);

/** Applies it, unless it is applied already: of what stands nothing is made any more, and no backup is asked for. */
async function apply(call: DatabaseCall, inputs: Inputs<Spec>, fenced: FencedWriter): Promise<Applied> {
  const module = await lazily.modules.loadModule(inputs.module);
  if ((await currentApply(fenced.writer, call.urn)) === undefined) {
    await requireBackup(fenced.writer, call.urn, module.name, module.meaning);
    await requireGates(fenced.writer, call.urn, inputs.behind, { [module.name]: module.meaning });
    seeAdded(call);
  }
  const applied = await lazily.apply.applyModule(fenced, module, deadline(call));
  tell(call, applied);
  return applied;
}

/** Each object is told by the version of the inventory by which the ledger has it: what that one does not tell is no change. */
async function outputs(db: Queryable, urn: string, applyId: string, objects: readonly string[]): Promise<Outputs> {
  const records = byModule(await readObjects(db));
  const versions = versionsOf(records, urn);
  const facts = Math.min(...versions, inventoryVersion);
  const told = await readInventories(db, schemasOf(objects), new Set([...versions, facts]), objects);
  const version = (object: string): number => records.get(urn)?.get(object)?.facts ?? facts;
  return { applyId, facts, definitions: fingerprints((object) => told.get(version(object))?.get(object), objects) };
}

/** What the catalogue has of a module, by the versions of the inventory by which the ledger has it. */
async function toldOf(host: Database, urn: string, objects: readonly string[]): Promise<Map<number, Inventory>> {
  const told = new Map<number, Inventory>();
  for (const version of versionsOf(await recordedObjects(host), urn))
    told.set(version, await presentObjects(host, schemasOf(objects), version));
  return told;
}

/** Says what became of archived rows. */
function tell(call: DatabaseCall, { restored, beaten, leftOut, refused }: Applied): void {
  if (restored > 0n) call.log.info(`archived rows that are back: ${restored}`);
  if (beaten > 0n)
    call.log.info(`archived rows that are not needed, since rows that say the same are there: ${beaten}`);
  if (leftOut > 0n)
    call.log.info(
      `archived rows that are left out, since whose they were, or what they belong to, was deleted: ${leftOut}`,
    );
  warnOf(call, refused);
}

function warnOf(call: DatabaseCall, remaining: readonly Remaining[]): void {
  for (const one of remaining) call.log.warn(remainingText(one));
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
  return findDrift(await recordedObjects(host), urn, await toldOf(host, urn, objects));
}

/** What an up records of objects of which the ledger, written by an older release, tells less. */
async function renewalNotes({ host, urn }: DatabaseCall, objects: readonly string[]): Promise<Note[]> {
  const now = await presentObjects(host, schemasOf(objects));
  const renewal = describeRenewal(await recordedObjects(host), urn, await toldOf(host, urn, objects), now);
  if (!renewal) return [];
  const text = `the ledger records of ${renewal.objects} objects what an older release did not look at: from then on it is drift if it changes`;
  const found = renewal.found.map(shown);
  const more = found.length > 5 ? `; and ${found.length - 5} more` : "";
  const warning = `recorded as it is, whoever made it: ${found.slice(0, 5).join("; ")}${more}`;
  return [{ severity: "info", text }, ...(found.length > 0 ? [{ severity: "warning", text: warning } as const] : [])];
}

/** Drift is shown, never overwritten unseen: what somebody did by hand at night may be what keeps the system alive. */
async function refuseDrift(call: DatabaseCall, drift: readonly Drift[]): Promise<void> {
  const [one] = drift;
  if (!one) return;
  const told = drift.flatMap((each) => [
    driftText([each]),
    ...each.lines.slice(0, 6).map((line) => `  ${shown(line)}`),
  ]);
  const dropped = drift.flatMap(({ kind, object }) =>
    kind === "missing" && object.startsWith("table ") ? object.slice("table ".length) : [],
  );
  const backups = dropped.length > 0 ? await call.host.read(backupsTaken) : "";
  throw new GuardianError("objects-changed", {
    what: `objects of this module were changed by hand; they are not overwritten (refresh lists those of all modules)`,
    where: `${call.name}\n    ${told.join("\n    ")}`,
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
    todo: [
      "see who made them; rename what is somebody's own, then run this again",
      "if this database was restored from a backup that was taken when v7 was there, drop nothing: v7 works as it is, without a stack; to migrate here anew, restore one from before (docs/backups.md)",
    ],
  });
}

const makesTables = (objects: readonly string[]): boolean => objects.some((object) => object.startsWith("table "));

/** With a ledger that is new the Ledger's own plan says it, once for all. */
async function joinedPublications(call: DatabaseCall, objects: readonly string[]): Promise<Note[]> {
  const { ledger } = await call.host.whereabouts();
  if (!ledger || !makesTables(objects)) return [];
  return call.host.cached("publications", async (db) => {
    const before = await lazily.ledgerOwner.acceptedPublications(db, stackOf(call.urn));
    return publicationNotes(db, [...before, ...acceptedByProgram(call.host)]);
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
  // What this application refused already is tried again only if somebody changed it, or what it refers to.
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
