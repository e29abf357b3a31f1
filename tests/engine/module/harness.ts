import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { resolveConnection, type ConnectionSettings } from "../../../engine/connect";
import { Database, type EngineParameters, type WriteOptions, type WriteSession } from "../../../engine/database";
import { GuardianError } from "../../../engine/errors";
import { readLedger, readPhysical, type DatabaseIdentity } from "../../../engine/ledger/identity";
import { openLedger } from "../../../engine/ledger/owner";
import { readSteps, type Step } from "../../../engine/ledger/steps";
import { applyModule, type Applied } from "../../../engine/module/apply";
import { loadModule, sqlFolder, type Module } from "../../../engine/module/manifest";
import { undoModule } from "../../../engine/module/undo";
import { withV6, type Login, type Major, type V6 } from "../../support/postgres";

/** A test's own patience: short pauses, and a hold that a busy machine does not exceed. */
export const quick: EngineParameters = {
  lockTimeout: 50,
  lockHold: 5000,
  pauseFloor: 20,
  patience: 300,
  lease: 300,
  rangeKeys: 1000,
};

/** The servers that the engine is proved on. */
export const majors: readonly Major[] = [15, 17];

/** How to reach a login as the engine does. */
export function settingsOf(login: Login, port = login.port): ConnectionSettings {
  const { host, user, database, password } = login;
  return resolveConnection({ host, port, user, database, passwordFrom: "env:PW" }, { PW: password });
}

export interface EngineOptions {
  parameters?: Partial<EngineParameters>;
  stack?: string;
  /** Called with every line of progress: tests do their mischief here. */
  onStatus?: (line: string) => void;
  users?: number;
  profiles?: boolean;
}

/** The engine on a database, as one operator's plugin process has it. */
export class Engine {
  readonly host: Database;
  readonly lines: string[] = [];
  readonly stack: string;
  onStatus: (line: string) => void;

  constructor(login: Login, options: EngineOptions = {}, port = login.port) {
    this.host = new Database(settingsOf(login, port), { ...quick, ...options.parameters });
    this.stack = options.stack ?? "dev::guardian";
    this.onStatus = options.onStatus ?? (() => undefined);
  }

  urn(kind: string, name: string): string {
    return `urn:pulumi:${this.stack}::guardian-migration:index:${kind}::${name}`;
  }

  async expect(): Promise<DatabaseIdentity> {
    const { ledger, here } = await this.host.read(async (db) => ({
      ledger: await readLedger(db),
      here: await readPhysical(db),
    }));
    return { ...here, ledgerId: ledger?.ledgerId ?? "none" };
  }

  /** One write, as handler.ts does it. */
  async write<T>(
    kind: string,
    name: string,
    work: (session: WriteSession) => Promise<T>,
    over: Partial<WriteOptions> = {},
  ): Promise<T> {
    return this.host.write(await this.options(kind, name, over), work);
  }

  /** What a write comes with. */
  async options(kind: string, name: string, over: Partial<WriteOptions> = {}): Promise<WriteOptions> {
    return {
      urn: this.urn(kind, name),
      label: `${kind} ${name}`,
      stack: this.stack,
      expect: over.expect ?? (await this.expect()),
      signal: new AbortController().signal,
      onStatus: (line) => {
        this.lines.push(line);
        this.onStatus(line);
      },
      ...over,
    };
  }

  open(adopt?: string): Promise<string> {
    return this.write(
      "Ledger",
      "ledger",
      async (session) => openLedger(session, await readPhysical(session.writer), adopt),
      { expect: "new ledger" },
    );
  }

  /** @param seconds the resource's timeout */
  apply(module: Module, seconds = 60): Promise<Applied> {
    const deadline = Date.now() + seconds * 1000;
    return this.write("SqlModule", module.name, (session) =>
      applyModule(session, this.host.parameters, module, deadline),
    );
  }

  undo(name: string, seconds = 60): Promise<bigint> {
    const deadline = Date.now() + seconds * 1000;
    return this.write("SqlModule", name, (session) => undoModule(session, this.host.parameters, deadline));
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

  steps(): Promise<Step[]> {
    return this.host.read(readSteps);
  }

  close(): Promise<void> {
    return this.host.close();
  }
}

/** A fresh v6 with a ledger, and the engine on it. */
export async function withEngine<T>(
  major: Major,
  test: (engine: Engine, db: V6) => Promise<T>,
  options: EngineOptions = {},
): Promise<T> {
  const { users, profiles } = options;
  const fixture = { ...(users === undefined ? {} : { users }), ...(profiles === undefined ? {} : { profiles }) };
  return withV6(
    major,
    async (db) => {
      const engine = new Engine(db.migrator, options);
      try {
        await engine.open();
        return await test(engine, db);
      } finally {
        await engine.close();
      }
    },
    fixture,
  );
}

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

/** A module of a test's own, in a folder that goes after the tests. */
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

after(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
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

/** Waits until a query gives true; fails after some seconds. */
export async function until(client: Client, text: string, values: unknown[] = []): Promise<void> {
  for (let i = 0; i < 400; i++) {
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

export { sqlFolder };
