import { setTimeout as sleep } from "node:timers/promises";
import { Client, escapeIdentifier, type Pool } from "pg";
import { cloneDatabase, logins, type Logins } from "../../scripts/v6/database";
import type { Major } from "../../engine/server/binaries";
import { major } from "./major";
import { cloned, running, type Preparation, type TestServer } from "./server";

export { server } from "./server";
export { major } from "./major";
export type { Major } from "../../engine/server/binaries";
export type { Login } from "../../scripts/v6/database";

let numbered = 0;

/** A v6 database of one test's own. */
export interface V6 extends Logins {
  /** The database's name. */
  name: string;
  /** A client as the migrator (default) or the superuser; it is ended after the test. */
  connect(as?: "migrator" | "admin"): Promise<Client>;
}

/** What a test's database begins with. */
export interface V6Fixture {
  /** Made-up users; 300 if absent. */
  users?: number;
  /** Whether v6 has the table user_profiles; it has if absent. */
  profiles?: boolean;
  /** What is done to v6 before; once a run for all tests that ask for the same. */
  prepared?: Preparation;
  /** Another PostgreSQL than the run's, where two versions meet in one test. */
  on?: Major;
}

/**
 * Runs a test on a fresh v6 database: a copy of a template that is made once a run. Drops it afterwards, and fails the
 * test if it left a connection open that it did not get from connect().
 */
export async function withV6<T>(test: (db: V6) => Promise<T>, fixture: V6Fixture = {}): Promise<T> {
  const { users = 300, profiles = true, on = major, prepared } = fixture;
  const server = await running(on);
  return withDatabase(server, (name) => cloned(server, name, { users, profiles }, prepared), test);
}

/** As withV6, with an empty database (template0) and no v6 roles granted to it. */
export async function withEmpty<T>(test: (db: V6) => Promise<T>, on: Major = major): Promise<T> {
  const server = await running(on);
  const make = async (name: string): Promise<Logins> => {
    await server.admin.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0 STRATEGY file_copy`);
    return logins(server, name);
  };
  return withDatabase(server, make, test);
}

/** As withV6, with a copy of a database that is there; nobody may be connected to that one. */
export async function withCopyOf<T>(original: string, test: (db: V6) => Promise<T>): Promise<T> {
  const server = await running(major);
  return withDatabase(server, (name) => cloneDatabase(server, original, name, server.admin), test);
}

async function withDatabase<T>(
  on: TestServer,
  make: (name: string) => Promise<Logins>,
  test: (db: V6) => Promise<T>,
): Promise<T> {
  const name = `test_${process.pid}_${++numbered}`;
  const logins = await make(name);
  const clients: Client[] = [];
  const connect = async (as: "migrator" | "admin" = "migrator") => {
    const client = new Client({ ...logins[as], application_name: "test" });
    client.on("error", () => undefined); // a test may end our backend
    clients.push(client);
    await client.connect();
    return client;
  };
  const outcome = await test({ ...logins, name, connect }).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  await Promise.allSettled(clients.map((client) => client.end()));
  const open = await dropDatabase(on.admin, name);
  if ("error" in outcome) throw outcome.error;
  if (open !== "") throw new Error(`the test left connections to ${name} open: ${open}`);
  return outcome.value;
}

/** Drops the database; names the sessions that were still in it after a second. */
async function dropDatabase(admin: Pool, name: string): Promise<string> {
  const left = async () => {
    const { rows } = await admin.query<{ who: string }>(
      `SELECT format('%s as %s (%s)', coalesce(nullif(application_name, ''), 'unnamed'), usename, state) AS who
       FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
      [name],
    );
    return rows.map((row) => row.who);
  };
  for (let i = 0; i < 100 && (await left()).length > 0; i++) await sleep(10); // an ended session takes a moment to go
  const open = (await left()).join(", ");
  await admin.query(`DROP DATABASE ${escapeIdentifier(name)} WITH (FORCE)`);
  return open;
}
/**
 * Runs `work` as an API role with the token of a user, in one transaction, as PostgREST does: SET LOCAL ROLE and
 * request.jwt.claims. Commits; rolls back and rethrows when `work` fails. The client's user must be allowed to become the
 * role.
 *
 * @param claims more of the token, for example { app_metadata: { role: "admin" } }.
 */
export async function asRole<T>(
  client: Client,
  role: string,
  userId: string | null,
  work: (client: Client) => Promise<T>,
  claims: Record<string, unknown> = {},
): Promise<T> {
  await client.query("BEGIN");
  try {
    const token = userId === null ? { role, ...claims } : { sub: userId, role, ...claims };
    await client.query("SELECT set_config('request.jwt.claims', $1, true)", [JSON.stringify(token)]);
    await client.query(`SET LOCAL ROLE ${escapeIdentifier(role)}`);
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (err) {
    await client.query("ROLLBACK").catch(() => undefined); // the connection may be gone; `err` says so
    throw err;
  }
}
