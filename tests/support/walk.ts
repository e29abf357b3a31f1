import { join } from "node:path";
import { clientFolder } from "../../scripts/pg-clients";
import { withClient } from "../../scripts/v6/database";
import * as calls from "./calls";
import { productPlugin, withPlugin, withServed, type BootedPlugin, type ServedPlugin } from "./plugin";
import { major, withV6, type Login, type V6 } from "./postgres";
import { movedHere, type Preparation } from "./server";
import { keep } from "./stack";
import { plain, type Wire } from "./wire";
import { withFolder } from "./folder";

type Bag = Record<string, Wire>;

/** A resource as Pulumi's state would hold it. */
export interface Held {
  urn: string;
  id: string;
  inputs: Bag;
  state: Bag;
}

/** What a walk through modules makes. */
export interface Made {
  ledger: Held;
  backup: Held;
  modules: Held[];
}

/** The modules that the walk applies: as many as the data migration of consents needs. */
export const walkModules = ["000_audit_log", "001_feature_flags", "002_migration_tracking", "004_enhanced_consent"];

export interface WalkOptions {
  database: Login;
  /** The stack's name; dev if absent. */
  stack?: string;
  /** Variables of the plugin's environment besides. */
  env?: Record<string, string>;
}

const changeOf = ({ id, state, inputs }: Held, news: Bag): calls.Change => {
  return { id, olds: state, oldInputs: inputs, news };
};

/** What the work was refused with; "done" where it was not. */
export const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (err: unknown) => (err instanceof Error ? err.message : String(err)),
  );

/** A program that declares resources of the product one after the other, and the engine that runs it, in one object. */
export class Walk<P extends ServedPlugin = ServedPlugin> {
  constructor(
    readonly plugin: P,
    readonly folder: string,
    private readonly stack: string,
  ) {}

  /**
   * The assessment, as the program asks for it; by default all modules of the walk.
   * @returns what it answered, and of that what the program tells the user
   */
  async assess(args: object = {}, preview = false): Promise<{ answer: Wire; warnings: string[]; notes: string[] }> {
    const request = calls.invoke("guardian-migration:index:assess", { modules: walkModules, ...args }, preview);
    const answer = plain((await this.plugin.call(this.plugin.client.invoke, request)).getReturn()) ?? {};
    const told = answer["told"] as { severity: string; text: string }[];
    const of = (wanted: string): string[] => told.filter(({ severity }) => severity === wanted).map(({ text }) => text);
    return { answer, warnings: of("warn"), notes: of("info") };
  }

  /** Deletes a resource, as the engine does. */
  remove({ urn, id, state, inputs }: Held): Promise<unknown> {
    return this.plugin.call(this.plugin.client.delete, calls.remove(urn, id, state, inputs));
  }

  urn(kind: string, name: string): string {
    return calls.urnOf(`guardian-migration:index:${kind}`, name).replace(":dev:", `:${this.stack}:`);
  }

  /** check: the inputs with what the plugin adds. @throws Error with the failures */
  async check(kind: string, name: string, args: Bag, olds: Bag = {}): Promise<Bag> {
    const { client } = this.plugin;
    const response = await this.plugin.call(client.check, calls.check(this.urn(kind, name), args, olds));
    const failures = calls.failuresOf(response);
    if (failures.length > 0) throw new Error(failures.join("; "));
    return plain(response.getInputs()) ?? {};
  }

  /** check and create. */
  async create(kind: string, name: string, args: Bag, how: calls.How = {}): Promise<Held> {
    const urn = this.urn(kind, name);
    const inputs = await this.check(kind, name, args);
    const response = await this.plugin.call(this.plugin.client.create, calls.create(urn, inputs, how));
    return { urn, id: response.getId(), inputs, state: plain(response.getProperties()) ?? {} };
  }

  /** What an `up` would ask, without changes or with other inputs. */
  async diff(held: Held, news: Bag = held.inputs): Promise<ReturnType<typeof calls.changesOf>> {
    const request = calls.diff(held.urn, changeOf(held, news));
    return calls.changesOf(await this.plugin.call(this.plugin.client.diff, request));
  }

  /** An update, as the engine asks for it. */
  async update(held: Held, news: Bag = held.inputs, how: calls.How = {}): Promise<Held> {
    const request = calls.update(held.urn, changeOf(held, news), how);
    const response = await this.plugin.call(this.plugin.client.update, request);
    return { ...held, inputs: news, state: plain(response.getProperties()) ?? {} };
  }

  /** check and update: to what a program gives now. */
  async change(held: Held, args: Bag, how: calls.How = {}): Promise<Held> {
    const [type = "", name = ""] = held.urn.split("::").slice(2);
    return this.update(held, await this.check(type.split(":").at(-1)!, name, args, held.inputs), how);
  }

  /** A refresh. @returns what is there now; its id is empty where it is gone */
  async read(held: Held): Promise<Held> {
    const request = calls.read(held.urn, held.id, held.state, held.inputs);
    const response = await this.plugin.call(this.plugin.client.read, request);
    const [inputs, state] = [response.getInputs(), response.getProperties()].map((found) => plain(found) ?? {});
    return { urn: held.urn, id: response.getId(), inputs: inputs!, state: state! };
  }

  /** What the user was told and sees for good, of everything or of one resource. */
  said(severity?: "info" | "warning", urn?: string): string[] {
    return this.plugin.engine.logs.flatMap((line) => {
      const meant = !line.ephemeral && line.severity === (severity ?? line.severity) && line.urn === (urn ?? line.urn);
      return meant ? [line.message] : [];
    });
  }

  /** The ledger, a backup of what is to be done, and the modules. */
  async through(modules: readonly string[] = walkModules): Promise<Made> {
    const ledger = await this.create("Ledger", "ledger", { purge: false });
    const { ledgerId } = ledger.state as { ledgerId: string };
    const backup = await this.create("Backup", "backup", this.backupArgs(ledgerId, modules));
    const held: Held[] = [];
    for (const module of modules) held.push(await this.create("SqlModule", module, { module, ledgerId }));
    return { ledger, backup, modules: held };
  }

  backupArgs(ledgerId: Wire, modules: readonly string[] = walkModules): Bag {
    const directory = join(this.folder, "backups");
    const how = { directory, jobs: 1, maxAgeSeconds: 3600, verify: "list" };
    return { ...how, modules: [...modules], migrations: ["consents"], ledgerId };
  }

  session(ledgerId: Wire, totalSteps: number, migrations: readonly string[] = []): Bag {
    const versions = { migrationType: "v6_to_v7", sourceVersion: "v6.0", targetVersion: "v7.0" };
    return { ...versions, environment: this.stack, totalSteps, migrations: [...migrations], ledgerId };
  }

  consents(ledgerId: Wire): Bag {
    const parameters = { mode: "assumed", legalBasis: "consent", statement: "a test" };
    return { migration: "consents", parameters, maxDataLoss: 0.001, ledgerId };
  }
}

/** Runs a test with the product's plugin, configured for a database, in this process. */
export async function withWalk<T>(options: WalkOptions, test: (walk: Walk) => Promise<T>): Promise<T> {
  const env = await environment(options);
  const before = new Map(Object.keys(env).map((name) => [name, process.env[name]]));
  Object.assign(process.env, env);
  try {
    return await withServed((plugin) => walking(plugin, options, test));
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  }
}

/** What runs left, as JSON, by their names; with the database's name as it stands in the states. */
const left = new Map<string, { database: string; text: string }>();

/** A run of the engine, whose backups are in a folder that stays; made once in a process. */
const leaving = (name: string, run: (walk: Walk) => Promise<unknown>): Preparation => ({
  name,
  everyCopy: movedHere,
  prepare: async ({ migrator }) => {
    const { database } = migrator;
    const [folder, copy, made] = await withWalk({ database: migrator }, async (walk) => {
      const made = await run(walk);
      return [walk.folder, keep(walk.folder), JSON.stringify(made)] as const;
    });
    const there = `UPDATE guardian_migration.step SET physical_id = replace(physical_id, $1, $2),
      detail = replace(detail::text, $1, $2)::jsonb WHERE strpos(concat(physical_id, detail), $1) > 0`;
    await withClient(migrator, (client) => client.query(there, [folder, copy]));
    left.set(name, { database, text: made.replaceAll(folder, copy) });
  },
});

/** Runs a test on a database where another run of the engine left something, as its state holds it: copies both. */
export function withLeft<L, T>(
  name: string,
  run: (walk: Walk) => Promise<L>,
  test: (left: L, db: V6) => Promise<T>,
): Promise<T> {
  return withV6(
    (db) => {
      const before = left.get(name);
      if (!before) throw new Error(`there is no template of ${name}`);
      return test(JSON.parse(before.text.replaceAll(`"${before.database}"`, `"${db.name}"`)) as L, db);
    },
    { prepared: leaving(name, run) },
  );
}

/** The same where ledger, backup and these modules are there. */
export const withMade = <T>(modules: readonly string[], test: (made: Made, db: V6) => Promise<T>): Promise<T> =>
  withLeft(`a walk through ${modules.join(" ")}`, (walk) => walk.through(modules), test);

/** The same with a plugin on it. */
export const withWalkOn = <T>(
  modules: readonly string[],
  test: (walk: Walk, made: Made, db: V6) => Promise<T>,
): Promise<T> => withMade(modules, (made, db) => withWalk({ database: db.migrator }, (walk) => test(walk, made, db)));

/** As withWalk, with the product's plugin as a process, as the engine has it. */
export async function withWalkingProcess<T>(
  options: WalkOptions,
  test: (walk: Walk<BootedPlugin>) => Promise<T>,
): Promise<T> {
  const env = await environment(options);
  return withPlugin({ executable: productPlugin, env }, (plugin) => walking(plugin, options, test));
}

const environment = async ({ database, env }: WalkOptions): Promise<Record<string, string>> => ({
  PATH: `${await clientFolder(major)}:${process.env["PATH"] ?? ""}`,
  GUARDIAN_TEST_PASSWORD: database.password,
  GUARDIAN_LOCK_PAUSE_MS: "200",
  GUARDIAN_LOCK_PAUSE_TIMES: "5",
  GUARDIAN_QUERY_TURNS: "1",
  ...env,
});

async function walking<P extends ServedPlugin, T>(
  plugin: P,
  options: WalkOptions,
  test: (walk: Walk<P>) => Promise<T>,
): Promise<T> {
  const { host, port, database, user } = options.database;
  return withFolder(async (folder) => {
    const where = { host, port, database, user, sslmode: "disable", passwordFrom: "env:GUARDIAN_TEST_PASSWORD" };
    await plugin.call(plugin.client.configure, calls.configure({ database: JSON.stringify(where) }));
    return await test(new Walk(plugin, folder, options.stack ?? "dev"));
  });
}
