import { Client, escapeIdentifier, escapeLiteral, type ClientConfig, type Pool } from "pg";
import { fromPostgres } from "../../engine/base/errors";
import type { Server } from "../../engine/server/server";
import { grantDatabase, loadV6, type V6Options } from "./generate";

/** How to reach one database as one user; pg's Client takes it as it is. */
export interface Login {
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
}

/** The two users that matter: the superuser, and guardian_migrator, who owns public and runs the migration. */
export interface Logins {
  admin: Login;
  migrator: Login;
}

/** The logins of a database on a server of ours; guardian_migrator has the superuser's password there. */
export function logins(server: Pick<Server, "host" | "port" | "user" | "password">, database: string): Logins {
  const { host, port, user, password } = server;
  const admin = { host, port, database, user, password };
  return { admin, migrator: { ...admin, user: "guardian_migrator" } };
}

/** Connects; whoever does it ends the client. */
export async function connect(login: Login, options: ClientConfig = {}): Promise<Client> {
  const client = new Client({ ...login, ...options });
  client.on("error", () => undefined); // a server that goes away shows in the next query
  await client.connect();
  return client;
}

/** Connects, hands the client over and ends it, whatever happens. */
export async function withClient<T>(login: Login, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(login);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** SQL: what PostgREST does for a request: the role and the claims of the user's token, until the transaction ends. */
export function become(role: string, user?: unknown): string {
  const claims = escapeLiteral(JSON.stringify({ sub: user, role }));
  return `SELECT set_config('role', '${role}', true), set_config('request.jwt.claims', ${claims}, true);`;
}

/** Asks as somebody who is logged in. */
export async function asUser(client: Client, user: unknown, sql: string, values = [user]): Promise<void> {
  await client.query(`BEGIN; ${become("authenticated", user)}`);
  await client.query(sql, values);
  await client.query("COMMIT");
}

/**
 * Creates a database with a v6 in it on a server of ours.
 *
 * @throws GuardianError when the name is taken or loading fails; a half loaded database is dropped again.
 */
export async function createV6(server: Server, name: string, options: V6Options): Promise<Logins> {
  const all = logins(server, name);
  await withClient({ ...all.admin, database: "postgres" }, async (client) => {
    await client.query(`CREATE DATABASE ${escapeIdentifier(name)}`).catch((err: unknown) => {
      throw fromPostgres(err, `database ${name}`);
    });
    try {
      await withClient(all.admin, (inside) => loadV6(inside, options));
    } catch (err) {
      await client.query(`DROP DATABASE ${escapeIdentifier(name)}`);
      throw err;
    }
    await client.query(`ALTER ROLE guardian_migrator PASSWORD ${escapeLiteral(server.password)}`);
  });
  return all;
}

/**
 * Copies a database file by file (manual, CREATE DATABASE, STRATEGY): through the WAL, the other way, it takes twice as long.
 * Nobody may be connected to the original.
 *
 * @param kept a superuser's connection to another database, where there is one already
 */
export async function cloneDatabase(
  server: Pick<Server, "host" | "port" | "user" | "password">,
  original: string,
  name: string,
  kept?: Pool,
): Promise<Logins> {
  const all = logins(server, name);
  const copy = async (client: Pick<Client, "query">): Promise<void> => {
    const [to, from] = [escapeIdentifier(name), escapeIdentifier(original)];
    await client.query(`CREATE DATABASE ${to} TEMPLATE ${from} STRATEGY file_copy`);
    await grantDatabase(client, name);
  };
  await (kept ? copy(kept) : withClient({ ...all.admin, database: "postgres" }, copy));
  return all;
}
