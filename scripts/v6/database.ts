import { Client, escapeIdentifier, escapeLiteral } from "pg";
import { fromPostgres } from "../../engine/errors";
import type { Server } from "../postgres/server";
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

/** Connects, hands the client over and ends it, whatever happens. */
export async function withClient<T>(login: Login, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(login);
  client.on("error", () => undefined); // a server that goes away shows in the next query
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
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
 * Copies a database file by file, which takes a tenth of a second for a small one. Nobody may be connected to the
 * original. Rights on the database itself are not copied (manual, CREATE DATABASE), so they are given again.
 */
export async function cloneDatabase(server: Server, original: string, name: string): Promise<Logins> {
  const all = logins(server, name);
  await withClient({ ...all.admin, database: "postgres" }, (client) =>
    client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${escapeIdentifier(original)}`),
  );
  await withClient(all.admin, grantDatabase);
  return all;
}
