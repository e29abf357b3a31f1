import { isOutdated, readTaken } from "../../engine/backup/policy";
import { lazily } from "../../engine/lazy";
import { ledgerSchema } from "../../engine/ledger/schema";
import { readStep, setStep } from "../../engine/ledger/steps";
import type { Changes } from "../../provider/diff";
import { backupLine } from "../sentences";
import { ledgerSteps } from "../call";
import { handler, type Kind } from "../handler";
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

  async create(call, inputs, fenced) {
    const { taken, by } = await lazily.backup.takeBackup(fenced, inputs, {
      onProgress: (progress) => call.log.status(backupLine(progress)),
      onWarning: call.log.warn,
    });
    if (by === "an earlier run") return taken;
    const { rows, tables, bytes, path } = taken;
    const whose = by === "a killed run" ? "a killed run's: " : "";
    call.log.info(`${whose}${rows} rows of ${tables} tables, ${(bytes / 1e6).toFixed(1)} MB, in ${path}`);
    return taken;
  },

  async delete(call, state, fenced) {
    const current = await readStep(fenced.writer, call.urn);
    if (!current || current.state === "undone") return;
    await fenced.transaction((db) => setStep(db, current, { state: "undone" }));
    call.log.info(`the backup's files stay: ${state.path}`);
  },

  read: (db, call) => readTaken(db, call.urn),

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    if (isOutdated(await ledgerSteps(call.host), call.urn, inputs, state)) changes.set("takenAt", "drift");
    return changes;
  },
};

export const backupHandler = handler(kind);
