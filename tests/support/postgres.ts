import { setTimeout as sleep } from "node:timers/promises";
import { Client, escapeIdentifier } from "pg";
import { startServer, type Major, type Server } from "../../scripts/postgres/server";
import { cloneDatabase, createV6, withClient, type Login, type Logins } from "../../scripts/v6/database";

export type { Major } from "../../scripts/postgres/server";
export type { Login } from "../../scripts/v6/database";

const servers = new Map<Major, Promise<Server>>();
const templates = new Map<string, Promise<string>>();
let numbered = 0;

/** The run's one server of a major version, started when first asked for and stopped after the last test. */
export function server(major: Major): Promise<Server> {
  return remember(servers, major, () => startServer({ major }));
}

/** Mocha root hooks: load this file with --require (or import it from a file that is). */
export const mochaHooks = {
  async afterAll(this: Mocha.Context): Promise<void> {
    this.timeout(60_000);
    const running = [...servers.values()];
    servers.clear();
    templates.clear();
    for (const one of await Promise.allSettled(running)) if (one.status === "fulfilled") await one.value.stop();
  },
};

/** A v6 database of one test's own. */
export interface V6 extends Logins {
  major: Major;
  /** The database's name. */
  name: string;
  /** A client as the migrator (default) or the superuser; it is ended after the test. */
  connect(as?: "migrator" | "admin"): Promise<Client>;
}

/**
 * Runs a test on a fresh v6 database: a copy of a template that is made once a run. Drops it afterwards, and fails the
 * test if it left a connection open that it did not get from connect().
 */
export async function withV6<T>(
  major: Major,
  test: (db: V6) => Promise<T>,
  options: { users?: number; profiles?: boolean } = {},
): Promise<T> {
  const on = await server(major);
  const { users = 300, profiles = true } = options;
  const template = await remember(templates, `${major} ${users} ${profiles}`, async () => {
    const name = `v6_template_${users}_${profiles ? "profiles" : "bare"}`;
    await createV6(on, name, { users, profiles });
    return name;
  });
  return withDatabase(on, (name) => cloneDatabase(on, template, name), test);
}

/** As withV6, with an empty database (template0) and no v6 roles granted to it. */
export async function withEmpty<T>(major: Major, test: (db: V6) => Promise<T>): Promise<T> {
  const on = await server(major);
  return withDatabase(on, (name) => cloneEmpty(on, name), test);
}

async function cloneEmpty(on: Server, name: string): Promise<Logins> {
  const admin = { host: on.host, port: on.port, database: name, user: on.user, password: on.password };
  await withClient({ ...admin, database: "postgres" }, (client) =>
    client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0`),
  );
  return { admin, migrator: { ...admin, user: "guardian_migrator" } };
}

async function withDatabase<T>(
  on: Server,
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
  const outcome = await test({ ...logins, major: on.major, name, connect }).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  await Promise.allSettled(clients.map((client) => client.end()));
  const open = await dropDatabase({ ...logins.admin, database: "postgres" }, name);
  if ("error" in outcome) throw outcome.error;
  if (open !== "") throw new Error(`the test left connections to ${name} open: ${open}`);
  return outcome.value;
}

/** Drops the database; names the sessions that were still in it after a second. */
async function dropDatabase(login: Login, name: string): Promise<string> {
  return withClient(login, async (client) => {
    const left = async () => {
      const { rows } = await client.query<{ who: string }>(
        `SELECT format('%s as %s (%s)', coalesce(nullif(application_name, ''), 'unnamed'), usename, state) AS who
         FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
        [name],
      );
      return rows.map((row) => row.who);
    };
    for (let i = 0; i < 100 && (await left()).length > 0; i++) await sleep(10); // an ended session takes a moment to go
    const open = (await left()).join(", ");
    await client.query(`DROP DATABASE ${escapeIdentifier(name)} WITH (FORCE)`);
    return open;
  });
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

function remember<K, V>(map: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const known = map.get(key);
  if (known) return known;
  const made = make();
  map.set(key, made);
  made.catch(() => map.delete(key)); // the next test may have more luck, and its own error
  return made;
}
