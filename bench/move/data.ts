import { escapeLiteral } from "pg";
import { loadMigration } from "../../engine/migrate/definition/migration";
import { forgetMigrations } from "../../engine/ledger/tools";
import { quoteName } from "../../engine/base/sql";
import { applyAll } from "../../scripts/v6/operator";
import type { Server } from "../../engine/server/server";
import { createV6, withClient, type Login, type Logins } from "../../scripts/v6/database";

/**
 * As a production server of this size has it (manual, 20.4 and 20.5), the same for both sides: fsync and synchronous commits
 * (the product's batches put theirs off until the cut-over, here as at work), memory for a sort or hash join without
 * temporary files, and no checkpoint but those that are asked for.
 */
export const settings = {
  ...{ fsync: "on", synchronous_commit: "on", full_page_writes: "on" },
  ...{ shared_buffers: "1GB", effective_cache_size: "4GB", work_mem: "64MB" },
  ...{ max_wal_size: "16GB", checkpoint_timeout: "1h" },
};

/** Nobody uses v6 while modules are applied here, and the machine may be busy. */
const patient = { GUARDIAN_LOCK_HOLD_MS: "10000", GUARDIAN_LOCK_PAUSE_MS: "100" };

/** Makes a v6 of so many users, with every module applied and not a row moved. */
export async function prepare(server: Server, users: number): Promise<Logins> {
  const logins = await createV6(server, `users_${users}`, { users });
  // Who would come of age while this runs would be in one run and not in another.
  await withClient(logins.admin, (admin) =>
    admin.query("UPDATE auth.users SET created_at = now() WHERE created_at > now() - interval '30 hours'"),
  );
  await applyAll(logins.migrator, undefined, patient);
  await withClient(logins.admin, (admin) => admin.query("VACUUM (ANALYZE)"));
  return logins;
}

/** @returns rows of the migration's target */
export async function countTarget(admin: Login, name: string): Promise<number> {
  const { target } = await loadMigration(name);
  return withClient(admin, async (client) => {
    const { rows } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${quoteName(target)}`);
    return Number(rows[0]?.n ?? 0);
  });
}

/**
 * Empties the target and what the ledger has of its rows, and writes everything out, so that each run begins with the
 * same: a table that was never filled nor analysed. TRUNCATE leaves the count of changes since the last ANALYZE: autovacuum
 * would look at the empty table, and the planner then takes it for empty while one statement fills it (a nested loop over
 * what it wrote itself, minutes instead of seconds).
 */
export async function empty(admin: Login, name: string): Promise<void> {
  const { target } = await loadMigration(name);
  const table = quoteName(target);
  await withClient(admin, async (client) => {
    await client.query(`
      SET session_replication_role = replica;
      TRUNCATE ${table} CASCADE;
      DELETE FROM pg_catalog.pg_statistic WHERE starelid = ${escapeLiteral(table)}::regclass;
      SELECT pg_catalog.pg_stat_reset_single_table_counters(${escapeLiteral(table)}::regclass)`);
    await forgetMigrations(client);
    await client.query("CHECKPOINT");
  });
}
