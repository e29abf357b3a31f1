import { readFileSync } from "node:fs";
import { join } from "node:path";
import { escapeIdentifier, type Client } from "pg";
import { fromPostgres, GuardianError } from "../../engine/base/errors";

/** What a v6 database is filled with. */
export interface V6Options {
  /** Rows of auth.users, all of them counted. Documents are a tenth of it, clinical rows (six tables together) a fifth. */
  users: number;
  /** With the table user_profiles, seven tenths of users; v6 itself shipped without it. Default true. */
  profiles?: boolean;
  /** Other seed, other keys and values. */
  seed?: string;
  /** Timestamps are reckoned back from here; default: the server's clock, read once. */
  now?: Date;
  /** Is told what is done and how long it took, in milliseconds. */
  progress?: (step: string, ms: number) => void;
}

/** How many rows of each kind a database of so many users gets. */
export function volumes(users: number): { profiles: number; documents: number; clinical: number } {
  const tens = Math.floor(users / 10);
  const rest = Math.max((users % 10) - 2, 0);
  return { profiles: tens * 7 + rest, documents: tens, clinical: tens * 2 };
}

/**
 * Makes the v6 database in the empty database that a superuser is connected to: roles (of the whole server), schema auth,
 * v6's tables and triggers, its rows with triggers off, and the indexes last. Owner of all in public is guardian_migrator.
 * Timestamps move with `now`; all else follows from the seed.
 *
 * @throws GuardianError when the database is not empty or the user is no superuser.
 */
export async function loadV6(client: Client, options: V6Options): Promise<void> {
  const { users, profiles = true, seed = "guardian", progress = () => undefined } = options;
  if (!Number.isInteger(users) || users < 1 || users > 100_000_000) {
    throw new GuardianError("usage", {
      what: `users must be a whole number from 1 to 100000000, not ${users}`,
      where: "loadV6",
    });
  }
  const step = async (name: string, work: () => Promise<unknown>) => {
    const start = performance.now();
    try {
      await work();
    } catch (err) {
      throw fromPostgres(err, `v6 fixture, ${name}`);
    }
    progress(name, Math.round(performance.now() - start));
  };
  const owner = "SET LOCAL ROLE guardian_migrator; SET LOCAL search_path = public, extensions;";
  await step("schema", async () => {
    await client.query("BEGIN");
    await run(client, "01_roles.sql");
    await client.query("SELECT pg_catalog.set_config('search_path', 'public', true)");
    await run(client, "02_supabase.sql");
    const { rows } = await client.query<{ name: string }>("SELECT pg_catalog.current_database() AS name");
    for (const { name } of rows) await grantDatabase(client, name);
    await client.query(owner);
    await run(client, "03_tables.sql");
    await run(client, "04_functions.sql");
    if (profiles) await run(client, "05_user_profiles.sql");
    await client.query("COMMIT");
  }).catch(undo(client));
  await step("rows", async () => {
    await client.query("BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL work_mem = '256MB'");
    await client.query(
      "CREATE TEMPORARY TABLE fixture (users int, documents int, clinical int, profiles bool, seed text, now timestamptz)" +
        " ON COMMIT DROP",
    );
    const { documents, clinical } = volumes(users);
    const values = [users, documents, clinical, profiles, seed, options.now ?? null];
    await client.query("INSERT INTO fixture VALUES ($1, $2, $3, $4, $5, coalesce($6, now()))", values);
    await run(client, "06_rows.sql");
    await client.query("COMMIT");
  }).catch(undo(client));
  await step("indexes", async () => {
    await client.query("BEGIN; SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL ROLE supabase_auth_admin");
    await run(client, "08_auth_indexes.sql");
    await client.query(owner);
    await run(client, "07_indexes.sql");
    await client.query("COMMIT");
  }).catch(undo(client));
  await step("vacuum and analyse", () => client.query("VACUUM (ANALYZE)"));
}

/** The migrator's rights on a database itself, which CREATE DATABASE … TEMPLATE does not copy (manual, CREATE DATABASE). */
export async function grantDatabase(client: Pick<Client, "query">, name: string): Promise<void> {
  await client.query(`GRANT CREATE ON DATABASE ${escapeIdentifier(name)} TO guardian_migrator`);
}

async function run(client: Client, file: string): Promise<void> {
  await client.query(readFileSync(join(__dirname, file), "utf8"));
}

function undo(client: Client): (err: unknown) => Promise<never> {
  return async (err) => {
    await client.query("ROLLBACK").catch(() => undefined); // the first error is the one that matters
    throw err;
  };
}
