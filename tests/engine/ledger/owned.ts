import { escapeIdentifier } from "pg";
import { closeLedger } from "../../../engine/purge";
import { withClient } from "../../../scripts/v6/database";
import type { Login, V6 } from "../../support/postgres";
import { Engine, until, type EngineOptions, type Files } from "../module/harness";

/** A module whose rows are archived. */
export const files: Files = {
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: person }\n",
  up: "CREATE TABLE public.t (id serial PRIMARY KEY, person uuid);\nALTER TABLE public.t ADD FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE;",
};

/** What destroy does to the Ledger resource. */
export const close = (engine: Engine, purge = false): Promise<void> =>
  engine.write("Ledger", "ledger", (fenced) => closeLedger(fenced, purge, Date.now() + 2000));

/** Another operator's process on the same database, or on another; of the same stack, where nothing else is said. */
export async function beside<T>(
  login: Login,
  options: EngineOptions,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = new Engine(login, options);
  try {
    return await work(engine);
  } finally {
    await engine.close();
  }
}

/** A copy of a database, as CREATE DATABASE … TEMPLATE makes it, or the database under another name; nobody may be connected. */
async function moved<T>(
  db: V6,
  sql: (from: string, to: string) => string,
  back: (from: string, to: string) => string,
  work: (login: V6["migrator"]) => Promise<T>,
): Promise<T> {
  const [from, to] = [escapeIdentifier(db.name), escapeIdentifier(`${db.name}_copy`)];
  const server = { ...db.admin, database: "postgres" };
  await withClient(server, async (client) => {
    await until(client, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", [db.name]);
    await client.query(sql(from, to));
  });
  try {
    return await work({ ...db.migrator, database: `${db.name}_copy` });
  } finally {
    await withClient(server, async (client) => {
      await until(client, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)", [`${db.name}_copy`]);
      await client.query(back(from, to));
    });
  }
}

/** On a copy of the database. */
export const copied = <T>(db: V6, work: (login: V6["migrator"]) => Promise<T>): Promise<T> =>
  moved(
    db,
    (from, to) => `CREATE DATABASE ${to} TEMPLATE ${from}`,
    (_from, to) => `DROP DATABASE ${to}`,
    work,
  );

/** On the database under another name. */
export const renamed = <T>(db: V6, work: (login: V6["migrator"]) => Promise<T>): Promise<T> =>
  moved(
    db,
    (from, to) => `ALTER DATABASE ${from} RENAME TO ${to}`,
    (from, to) => `ALTER DATABASE ${to} RENAME TO ${from}`,
    work,
  );
