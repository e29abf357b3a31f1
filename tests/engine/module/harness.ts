import type { Progress } from "../../../engine/base/progress";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { WriteOptions } from "../../../engine/database";
import type { EngineParameters } from "../../../engine/parameters";
import { GuardianError } from "../../../engine/base/errors";
import { readObjects } from "../../../engine/ledger/objects";
import { byModule, findDrift, type Drift } from "../../../engine/module/drift";
import { inventoryVersion, readInventories } from "../../../engine/module/inventory";
import { loadModule, type Module } from "../../../engine/module/files/manifest";
import { Operator, type Over } from "../../../engine/operator";
import { settingsOf } from "../../../scripts/v6/operator";
import { withV6, type Login, type V6 } from "../../support/postgres";
import { movedHere, type Preparation } from "../../support/server";

/** A test's own patience: short pauses, and a hold that a busy machine does not exceed. */
export const quick: EngineParameters = {
  lockTimeout: 50,
  lockHold: 5000,
  pauseFloor: 20,
  pauseTimes: 2,
  patience: 300,
  lease: 300,
  rangeKeys: 1000,
  queryTurns: 1,
};

export interface EngineOptions {
  parameters?: Partial<EngineParameters>;
  stack?: string;
  /** Tests do their mischief here. */
  onProgress?: (progress: Progress) => void;
  users?: number;
  profiles?: boolean;
}

/** The engine on a database, as one operator's plugin process has it; it keeps what it was told. */
export class Engine extends Operator {
  readonly told: Progress[] = [];

  constructor(login: Login, options: EngineOptions = {}, port = login.port) {
    const { stack = "dev::guardian", parameters, ...more } = options;
    super(settingsOf(login, port), { ...more, stack, parameters: { ...quick, ...parameters } });
  }

  override async options(kind: string, name: string, over: Over = {}): Promise<WriteOptions> {
    const onProgress = (progress: Progress): void => {
      this.told.push(progress);
      this.onProgress(progress);
    };
    return super.options(kind, name, { onProgress, ...over });
  }

  /** Applies modules of sql/ in this order. */
  async applyReal(...names: string[]): Promise<void> {
    for (const name of names) await this.apply(await loadModule(name));
  }

  /** The ledger's newest rows of a resource: part → state. */
  async states(kind: string, name: string): Promise<Record<string, string>> {
    const steps = await this.steps();
    const urn = this.urn(kind, name);
    return Object.fromEntries(steps.filter((step) => step.urn === urn).map((step) => [step.part, step.state]));
  }
}

/** A v6 with a ledger of that stack and modules of sql/, each made from the one before it; a copy's ledger is told where it is now. */
const ledgerWith = (modules: readonly string[], stack = "dev::guardian"): Preparation => ({
  name: `${stack} ${modules.join(" ")}`,
  ...(modules.length > 0 ? { after: ledgerWith(modules.slice(0, -1), stack) } : {}),
  everyCopy: movedHere,
  prepare: async ({ migrator }) => {
    const engine = new Engine(migrator, { stack });
    try {
      if (modules.length === 0) await engine.open();
      else await engine.applyReal(...modules.slice(-1));
    } finally {
      await engine.close();
    }
  },
});

/** A fresh v6 with a ledger, the modules that are named, and the engine on it. */
export async function withEngine<T>(
  test: (engine: Engine, db: V6) => Promise<T>,
  options: EngineOptions & { modules?: readonly string[] } = {},
): Promise<T> {
  const { users, profiles, modules = [], stack, ...more } = options;
  const fixture = { ...(users === undefined ? {} : { users }), ...(profiles === undefined ? {} : { profiles }) };
  return withV6(
    async (db) => {
      const engine = new Engine(db.migrator, { ...more, ...(stack === undefined ? {} : { stack }) });
      try {
        return await test(engine, db);
      } finally {
        await engine.close();
      }
    },
    { ...fixture, prepared: ledgerWith(modules, stack) },
  );
}

type Connected = (engine: Engine, client: Client, db: V6) => Promise<void>;

/** The same, with a connection of the migrator's beside the engine's own. */
export const withMigrator = (test: Connected, options?: Parameters<typeof withEngine>[1]): Promise<void> =>
  withEngine(async (engine, db) => test(engine, await db.connect(), db), options);

/** The same, with one of the superuser's. */
export const withAdmin = (test: Connected, options?: Parameters<typeof withEngine>[1]): Promise<void> =>
  withEngine(async (engine, db) => test(engine, await db.connect("admin"), db), options);

/** The files of a module that a test makes up. */
export interface Files {
  yaml?: string;
  up: string;
  down?: string;
  verify?: string;
  indexes?: string;
}

/** The same with the files of up/ instead of up.sql. */
export type Parted = Omit<Files, "up"> & { up: Record<string, string> };

const folders: string[] = [];

/** A module of a test's own, in a folder that goes with the process. */
export async function moduleOf(name: string, files: Files | Parted): Promise<Module> {
  const folder = mkdtempSync(join(tmpdir(), "guardian-module-"));
  folders.push(folder);
  mkdirSync(join(folder, "sql", name), { recursive: true });
  const yaml = `name: ${name}\ntitle: A test's.\n${files.yaml ?? ""}`;
  const contents: Record<string, string | undefined> = {
    "module.yaml": yaml,
    ...(typeof files.up === "string" ? { "up.sql": files.up } : {}),
    "down.sql": files.down ?? "",
    "verify.sql": files.verify ?? "",
    "indexes.sql": files.indexes,
  };
  for (const [file, content] of Object.entries(contents)) {
    if (content !== undefined) writeFileSync(join(folder, "sql", name, file), content);
  }
  if (typeof files.up !== "string") mkdirSync(join(folder, "sql", name, "up"));
  for (const [file, content] of Object.entries(typeof files.up === "string" ? {} : files.up)) {
    writeFileSync(join(folder, "sql", name, "up", file), content);
  }
  return loadModule(name, join(folder, "sql"));
}

// Not an after hook: in a parallel run that is the first file's alone.
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** What of the schema public differs from what the ledger recorded. */
export const driftNow = (engine: Operator): Promise<Drift[]> =>
  engine.host.read(async (db) => {
    const records = byModule(await readObjects(db));
    const told = await readInventories(db, ["public"], [inventoryVersion]);
    return [...records.keys()].flatMap((urn) => findDrift(records, urn, told));
  });

/** Rejects as expected, or fails; the whole text of the error. */
export async function refusalOf(work: Promise<unknown>): Promise<GuardianError> {
  const outcome = await work.then(
    () => undefined,
    (err: unknown) => err,
  );
  if (outcome === undefined) throw new Error("expected a refusal, but it worked");
  if (outcome instanceof GuardianError) return outcome;
  throw outcome instanceof Error ? outcome : new Error("something that is no Error was thrown");
}

/** Ends the engine's backends in a database, as an administrator or a crash does; how many there were. */
export async function endWriters(admin: Client): Promise<number> {
  const { rowCount } = await admin.query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE 'guardian-migration %' AND application_name <> 'guardian-migration reading'`,
  );
  return rowCount ?? 0;
}

/** Waits until a query gives true; fails after a minute, which no busy machine needs. */
export async function until(client: Client, text: string, values: unknown[] = []): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const { rows } = await client.query<Record<string, boolean>>(text, values);
    if (rows[0] && Object.values(rows[0])[0]) return;
    await sleep(25);
  }
  throw new Error(`never became true: ${text}`);
}

/** The one column of a query's rows. */
export async function column<T = unknown>(client: Client, text: string, values: unknown[] = []): Promise<T[]> {
  const { rows } = await client.query<Record<string, T>>(text, values);
  return rows.map((row) => Object.values(row)[0] as T);
}

export { settingsOf };
