import { existsSync } from "node:fs";
import { join } from "node:path";
import type { FoundBackup, Manifest } from "../../engine/backup";
import type { WriteSession } from "../../engine/database";
import { GuardianError } from "../../engine/base/errors";
import { lazily } from "../../engine/lazy";
import { attempt } from "../../engine/ledger/attempt";
import { ledgerSchema } from "../../engine/ledger/schema";
import type { TakenBackup } from "../../engine/ledger/details";
import { detailOf, lastChange, readStep, setStep } from "../../engine/ledger/steps";
import { hash } from "../../engine/base/hash";
import type { Queryable } from "../../engine/base/sql";
import type { Changes } from "../../provider/diff";
import { backupLine } from "../sentences";
import { ledgerSteps, type DatabaseCall } from "../call";
import { handler, type Kind } from "../handler";
import type { Inputs } from "../../spec";
import { backupSpec } from "./spec";

type Spec = typeof backupSpec;

const kind: Kind<Spec> = {
  spec: backupSpec,

  sources: (args) => [...args.modules, ...args.migrations.map((name) => `data/${name}`)],

  async check(args) {
    const modules = await Promise.all(args.modules.map((name) => lazily.modules.loadModule(name)));
    const migrations = await Promise.all(args.migrations.map((name) => lazily.migrations.loadMigration(name)));
    const protects = Object.fromEntries([...modules, ...migrations].map(({ name, meaning }) => [name, meaning]));
    return { computed: { protects } };
  },

  async plan(call, inputs) {
    const server = await call.host.server();
    const about = {
      server,
      where: call.host.settings.toString(),
      directory: inputs.directory,
      excludeSchemas: [ledgerSchema],
      env: process.env,
    };
    const { errors, warnings } = await call.host.read((db) => lazily.backup.preflight(db, about));
    if (errors[0]) throw errors[0];
    const text = `all schemas but ${ledgerSchema} are dumped into a folder in ${inputs.directory}`;
    return { notes: [{ severity: "info", text }, ...warnings.map((text) => ({ severity: "warning", text }) as const)] };
  },

  create: (call, inputs, session) => take(call, inputs, session),

  async delete(call, state, session) {
    const current = await readStep(session.writer, call.urn);
    if (!current || current.state === "undone") return;
    await session.transaction((db) => setStep(db, current, { state: "undone" }));
    call.log.info(`the backup's files stay: ${state.path}`);
  },

  read: async (db, call) => recorded(db, call.urn),

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    if (await outdated(call, inputs, state)) changes.set("takenAt", "drift");
    return changes;
  },
};

export const backupHandler = handler(kind);

/** Takes a backup for exactly what is declared, unless the ledger says that this one was taken already. */
async function take(call: DatabaseCall, inputs: Inputs<Spec>, session: WriteSession): Promise<TakenBackup> {
  const meaning = hash(inputs.protects);
  const current = await readStep(session.writer, call.urn);
  if (current?.state === "done" && current.meaning === meaning) {
    const taken = await recorded(session.writer, call.urn);
    if (!(await outdated(call, inputs, taken))) return taken;
  }
  const killed = current?.state === "running" && current.meaning === meaning;
  const found = killed ? await ofKilledRun(call, inputs, session.writer) : undefined;
  const otherwise = current?.state === "done" ? "done" : "planned";
  return attempt(session, { kind: "Backup", state: "running", meaning }, otherwise, async (step) => {
    const taken = found ? describe(inputs, found.name, found.manifest) : await takeAnew(call, inputs);
    const detail = { ...taken, protects: inputs.protects, processed: 0 };
    await session.transaction((db) => setStep(db, step, { state: "done", physicalId: taken.path, detail }));
    const size = (taken.bytes / 1e6).toFixed(1);
    call.log.info(
      `${found ? "a killed run's: " : ""}${taken.rows} rows of ${taken.tables} tables, ${size} MB, in ${taken.path}`,
    );
    return taken;
  });
}

/**
 * A backup serves the changes that are still to come only while it is young and its files are there: a run that goes on
 * after a week, or after somebody cleared the folder, dumps anew.
 */
async function outdated(
  call: DatabaseCall,
  inputs: Inputs<Spec>,
  taken: Pick<TakenBackup, "path" | "takenAt">,
): Promise<boolean> {
  const steps = await ledgerSteps(call.host);
  const standing = new Set(steps.filter((step) => step.part === "" && step.state === "done").map(nameOf));
  if (Object.keys(inputs.protects).every((name) => standing.has(name))) return false;
  // What was taken back since may have collected rows that are not in it; guard.ts asks for a later one.
  const mine = Date.parse(steps.find((step) => step.urn === call.urn && step.part === "")?.endedAt ?? "");
  const undone = steps.filter((step) => step.part === "" && step.state === "undone" && nameOf(step) in inputs.protects);
  if (undone.some((step) => Date.parse(step.endedAt ?? "") > mine)) return true;
  const age = (Date.now() - Date.parse(taken.takenAt)) / 1000;
  return age > inputs.maxAgeSeconds || !existsSync(join(taken.path, "manifest.json"));
}

const nameOf = (step: { urn: string }): string => step.urn.split("::").at(-1) ?? "";

async function takeAnew(call: DatabaseCall, inputs: Inputs<Spec>): Promise<TakenBackup> {
  const result = await lazily.backup.dump({
    settings: call.host.settings,
    directory: inputs.directory,
    jobs: inputs.jobs,
    excludeSchemas: [ledgerSchema],
    ledgerId: inputs.ledgerId,
    protects: inputs.protects,
    signal: call.signal,
    onProgress: (progress) => call.log.status(backupLine(progress)),
  });
  result.warnings.forEach((warning) => call.log.warn(warning));
  return describe(inputs, result.name, result.manifest);
}

/** The backup that a killed run finished and did not record, if nothing was changed since and it is young enough. */
async function ofKilledRun(call: DatabaseCall, inputs: Inputs<Spec>, db: Queryable): Promise<FoundBackup | undefined> {
  const { here } = await call.host.whereabouts();
  return lazily.backup.adoptable(inputs.directory, {
    ledgerId: inputs.ledgerId,
    ...here,
    ...(await lastChange(db)),
    maxAge: inputs.maxAgeSeconds,
    protects: inputs.protects,
  });
}

function describe(inputs: Inputs<Spec>, name: string, manifest: Manifest): TakenBackup {
  return {
    path: join(inputs.directory, name),
    takenAt: manifest.startedAt,
    bytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
    rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
    tables: manifest.tables.length,
  };
}

async function recorded(db: Queryable, urn: string): Promise<TakenBackup> {
  const step = await readStep(db, urn);
  if (!step)
    throw new GuardianError("backup-missing", {
      what: "the ledger knows no backup of this stack",
      where: urn,
      todo: "run up",
    });
  const { path = "", takenAt = "", bytes = 0, rows = 0, tables = 0 } = detailOf(step, "Backup");
  return { path, takenAt, bytes, rows, tables };
}
