import { join } from "node:path";
import { dump } from "../../engine/backup/dump";
import { preflight } from "../../engine/backup/preflight";
import type { WriteSession } from "../../engine/database";
import { GuardianError } from "../../engine/errors";
import { attempt } from "../../engine/ledger/attempt";
import { ledgerSchema } from "../../engine/ledger/schema";
import { readStep, setStep } from "../../engine/ledger/steps";
import { loadMigration } from "../../engine/migrate/definition";
import { hash } from "../../engine/module/meaning";
import { loadModule } from "../../engine/module/manifest";
import type { Queryable } from "../../engine/sql";
import { handler, type DatabaseCall, type Kind } from "../handler";
import type { Inputs } from "../spec";
import { backupKind } from "./guard";
import { backupSpec } from "./spec";

type Spec = typeof backupSpec;

/** What the ledger holds of a backup, and the state shows. */
interface Taken {
  path: string;
  takenAt: string;
  bytes: number;
  rows: number;
  tables: number;
}

const kind: Kind<Spec> = {
  spec: backupSpec,

  async check(args) {
    const modules = await Promise.all(args.modules.map((name) => loadModule(name)));
    const migrations = await Promise.all(args.migrations.map((name) => loadMigration(name)));
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
    const { errors, warnings } = await call.host.read((db) => preflight(db, about));
    warnings.forEach((warning) => call.log.warn(warning));
    if (errors[0]) throw errors[0];
    return {};
  },

  create: (call, inputs, session) => take(call, inputs, session),

  async delete(call, state, session) {
    const current = await readStep(session.writer, call.urn);
    if (!current || current.state === "undone") return;
    await session.transaction((db) => setStep(db, current.id, { state: "undone" }));
    call.log.info(`the backup's files stay: ${state.path}`);
  },

  read: async (db, call) => recorded(db, call.urn),
};

export const backupHandler = handler(kind);

/** Takes a backup for exactly what is declared, unless the ledger says that this one was taken already. */
async function take(call: DatabaseCall, inputs: Inputs<Spec>, session: WriteSession): Promise<Taken> {
  const meaning = hash(inputs.protects);
  const current = await readStep(session.writer, call.urn);
  if (current?.state === "done" && current.meaning === meaning) return recorded(session.writer, call.urn);
  const otherwise = current?.state === "done" ? "done" : "planned";
  return attempt(session, { kind: backupKind, state: "running", meaning }, otherwise, async (step) => {
    const result = await dump({
      settings: call.host.settings,
      directory: inputs.directory,
      jobs: inputs.jobs,
      excludeSchemas: [ledgerSchema],
      ledgerId: inputs.ledgerId,
      protects: inputs.protects,
      signal: call.signal,
      onProgress: (progress) => {
        const { phase, seconds, bytes, tablesCounted, tables } = progress;
        call.log.status(
          `${phase}: ${(bytes / 1e6).toFixed(1)} MB, ${tablesCounted} of ${tables} tables counted, ${seconds.toFixed(0)} s`,
        );
      },
    });
    result.warnings.forEach((warning) => call.log.warn(warning));
    const taken: Taken = {
      path: join(inputs.directory, result.name),
      takenAt: result.manifest.startedAt,
      bytes: result.bytes,
      rows: result.rows,
      tables: result.manifest.tables.length,
    };
    const detail = { ...taken, protects: inputs.protects, manifestSha256: result.manifestSha256 };
    await session.transaction((db) => setStep(db, step.id, { state: "done", physicalId: result.name, detail }));
    call.log.info(
      `${taken.rows} rows of ${taken.tables} tables, ${(taken.bytes / 1e6).toFixed(1)} MB, in ${taken.path}`,
    );
    return taken;
  });
}

async function recorded(db: Queryable, urn: string): Promise<Taken> {
  const step = await readStep(db, urn);
  if (!step) throw new GuardianError({ what: "the ledger knows no backup of this stack", where: urn, todo: "run up" });
  const { path, takenAt, bytes, rows, tables } = step.detail as unknown as Taken;
  return { path, takenAt, bytes, rows, tables };
}
