import { randomBytes } from "node:crypto";
import { escapeIdentifier, escapeLiteral } from "pg";
import type { FoundBackup } from "../../../engine/backup";
import { prove, type Proof, type ProofOptions } from "../../../engine/backup/prove";
import { openScratch, type Scratch } from "../../../engine/scratch";
import type { ConnectionSettings } from "../../../engine/connect";
import { type Login, withClient } from "../../../scripts/v6/database";
import { settingsOf } from "../../../scripts/v6/operator";
import { major, server } from "../../support/postgres";

/** An embedded scratch of a describe's own; each proof begins with an empty one. */
class ScratchServer {
  #open: Scratch | undefined;

  login(): Login {
    if (!this.#open) throw new Error("not started");
    const { host, port, user } = this.#open.settings.fields;
    return { host, port, user, password: this.#open.settings.password()?.reveal() ?? "", database: "template1" };
  }

  async start(): Promise<void> {
    this.#open = await openScratch({ major, bytes: 1e6, owner: "test", systemIdentifier: "1" });
  }

  async stop(): Promise<void> {
    await this.#open?.close();
  }

  /** Takes away what a proof left. */
  async empty(): Promise<void> {
    await withClient(this.login(), async (client) => {
      // A session whose connection was cut ends its statement first, and would make a role after this.
      await client.query(
        `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
      );
      // A database with a subscription is not dropped, and a subscription not without its publisher.
      await client.query("DELETE FROM pg_subscription");
      const found = await client.query<{ name: string; kind: string }>(
        `SELECT datname AS name, 'DATABASE' AS kind FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'
         UNION ALL SELECT rolname, 'ROLE' FROM pg_roles WHERE oid >= 16384`,
      );
      for (const { name, kind } of found.rows)
        await client.query(`DROP ${kind} ${escapeIdentifier(name)} ${kind === "DATABASE" ? "WITH (FORCE)" : ""}`);
      await client.query("ALTER ROLE ALL RESET ALL");
    });
  }

  /** Proves a backup here. */
  async prove(backup: FoundBackup, options: ProofOptions): Promise<Proof> {
    await this.empty();
    return prove(backup, this.#scratch(this.login()), options);
  }

  /** Does some work on the same server while its first role is called otherwise. */
  async renamed<T>(user: string, work: (scratch: Scratch) => Promise<T>): Promise<T> {
    await this.empty();
    const login = this.login();
    const secret = escapeLiteral(login.password);
    // A proof gives it the name that the dump's first role has, if it comes so far.
    const rename = (from: string, to: string): Promise<unknown> =>
      withClient({ ...login, user: "renames" }, (client) =>
        client.query(
          `DO $$ BEGIN IF to_regrole('${from}') IS NOT NULL THEN ALTER ROLE ${from} RENAME TO ${to}; END IF; END $$`,
        ),
      );
    await withClient(login, (client) => client.query(`CREATE ROLE renames SUPERUSER LOGIN PASSWORD ${secret}`));
    await rename(login.user, user);
    try {
      return await work(this.#scratch({ ...login, user }));
    } finally {
      await rename(user, login.user);
    }
  }

  /** The same server as one that is not ours, to a role of its own. @param may more that the role may, such as SUPERUSER */
  async foreign(may: string): Promise<Scratch> {
    await this.empty();
    const login = this.login();
    await withClient(login, (client) =>
      client.query(`CREATE ROLE foreigner LOGIN CREATEDB ${may} PASSWORD ${escapeLiteral(login.password)}`),
    );
    const theirs = { ...login, user: "foreigner", database: "postgres" };
    const settings = settingsOf(theirs);
    const createDatabase = async (name: string): Promise<ConnectionSettings> => {
      await withClient(theirs, (client) => client.query(`CREATE DATABASE ${escapeIdentifier(name)}`));
      return settings.withDatabase(name);
    };
    return { settings, kind: "configured", major, createDatabase, close: () => Promise.resolve() };
  }

  #scratch(login: Login): Scratch {
    const own = this.#open?.settings;
    const settings =
      own?.fields.user === login.user ? own.withDatabase("postgres") : settingsOf({ ...login, database: "postgres" });
    const createDatabase = (name: string): Promise<ConnectionSettings> => Promise.resolve(settings.withDatabase(name));
    return { settings, kind: "embedded", major, createDatabase, close: () => Promise.resolve() };
  }
}

/** Called in a describe. */
export function useScratch(): ScratchServer {
  const scratch = new ScratchServer();
  before(() => scratch.start());
  after(() => scratch.stop());
  return scratch;
}

/** The tests' own server as a scratch that is configured: one database of it is ours. */
export async function configuredScratch(): Promise<Scratch> {
  const { admin, ...login } = await server();
  const made: string[] = [];
  const settings = settingsOf({ ...login, database: "postgres" });
  return {
    ...{ settings, kind: "configured", major },
    createDatabase: async (name) => {
      const own = `${name}_${randomBytes(4).toString("hex")}`;
      await admin.query(`CREATE DATABASE ${escapeIdentifier(own)} TEMPLATE template0`);
      made.push(own);
      return settings.withDatabase(own);
    },
    close: async () => {
      for (const own of made) await admin.query(`DROP DATABASE ${escapeIdentifier(own)} WITH (FORCE)`);
    },
  };
}
