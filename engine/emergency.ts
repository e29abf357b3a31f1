import { GuardianError } from "./base/errors";
import { exists, quoteName, rows, type Queryable } from "./base/sql";
import { readWaiting } from "./ledger/archived";
import { readLedger } from "./ledger/identity";
import { acknowledgedRollbacks } from "./ledger/steps";
import { pulumiCommand } from "../spec";

const table = "public.migration_sessions";

/** An emergency rollback in the database: all features were switched off outside the stack (module 009). */
export interface EmergencyRollback {
  /** Its session's. */
  id: string;
  /** By the server's clock. */
  at: string;
  /** The ledger says that somebody acknowledged it. */
  acknowledged: boolean;
  /** The row of the ledger that said so first. */
  acknowledgedBy?: string | undefined;
}

/** @returns all emergency rollbacks, the newest first; those that wait in the archive after a destroy are among them */
export async function readRollbacks(db: Queryable): Promise<EmergencyRollback[]> {
  const ledger = (await readLedger(db)) !== undefined;
  const archived = ledger ? (await readWaiting(db, [table])).filter(({ there }) => there) : [];
  const tables = [...((await exists(db, table)) ? [table] : []), ...archived.map(({ archivedAs }) => archivedAs)];
  if (tables.length === 0) return [];
  const each = tables.map(
    (name) => `SELECT id, created_at FROM ${quoteName(name)} WHERE status = 'emergency_rollback'`,
  );
  const found = await rows<{ id: string; at: string }>(
    db,
    `SELECT id::text AS id, min(created_at)::text AS at FROM (${each.join(" UNION ALL ")}) r
     GROUP BY id ORDER BY min(created_at) DESC, id`,
  );
  const acknowledged = ledger && found.length > 0 ? await acknowledgedRollbacks(db) : new Map<string, string>();
  return found.map((one) => ({
    ...one,
    acknowledged: acknowledged.has(one.id),
    acknowledgedBy: acknowledged.get(one.id),
  }));
}

/**
 * Records that this stack itself set flags back: from then on it switches nothing on until somebody acknowledges it, as
 * after module 009's function.
 * @param why without row values
 * @returns its session's id
 */
export async function recordRollback(db: Queryable, changed: number, why: string): Promise<string> {
  const [row] = await rows<{ id: string }>(
    db,
    `INSERT INTO ${table} (migration_type, source_version, target_version, status, total_steps, completed_steps,
       started_at, completed_at, records_processed, migration_environment, created_at, notes)
     SELECT 'v7_to_v6_rollback', 'v7.0', 'v6.0', 'emergency_rollback', 1, 1, now(), pg_catalog.clock_timestamp(), $1,
       coalesce((SELECT s.migration_environment FROM ${table} s WHERE s.migration_type = 'v6_to_v7'
         ORDER BY s.created_at DESC LIMIT 1), 'production'), pg_catalog.clock_timestamp(), $2 RETURNING id::text`,
    [changed, why],
  );
  return row?.id ?? "";
}

/** @returns those that nobody acknowledged, the newest first: while there is one, the stack switches nothing on */
export const waiting = (rollbacks: readonly EmergencyRollback[]): EmergencyRollback[] =>
  rollbacks.filter(({ acknowledged }) => !acknowledged);

/** @returns the newest that waits, unless the program acknowledges it */
export function unacknowledged(
  rollbacks: readonly EmergencyRollback[],
  acknowledge: string | undefined,
): EmergencyRollback | undefined {
  const [newest] = waiting(rollbacks);
  return newest?.id === acknowledge ? undefined : newest;
}

/** @returns those that an acknowledgement of the newest covers, itself first; none where it names another, or nothing waits */
export function covered(
  rollbacks: readonly EmergencyRollback[],
  acknowledge: string | undefined,
): readonly EmergencyRollback[] {
  return unacknowledged(rollbacks, acknowledge) ? [] : waiting(rollbacks);
}

/** @returns what an acknowledgement means, for people; undefined where nothing waits for one */
export function describeAcknowledgement(
  rollbacks: readonly EmergencyRollback[],
  acknowledge: string | undefined,
): string | undefined {
  const [newest, ...older] = covered(rollbacks, acknowledge);
  if (!newest) return undefined;
  const also = older.length > 0 ? `, and with it the older ${older.map(named).join(", ")}` : "";
  return `acknowledges the emergency rollback ${named(newest)}${also}: what it switched off is as the program says again`;
}

const named = ({ id, at }: EmergencyRollback): string => `${id} of ${at}`;

/**
 * Refuses to switch anything on while an emergency rollback waits to be acknowledged.
 * @param what that would be on
 * @throws GuardianError with the id to set
 */
export function refuseUnacknowledged(
  rollbacks: readonly EmergencyRollback[],
  what: string,
  acknowledge: string | undefined,
): void {
  const newest = unacknowledged(rollbacks, acknowledge);
  if (!newest) return;
  const older = waiting(rollbacks).slice(1);
  const besides = older.length > 0 ? `; it covers the older ${older.map(named).join(", ")}` : "";
  const given = acknowledge === undefined ? "" : `; guardian:acknowledge names another, ${acknowledge}`;
  throw new GuardianError("emergency-rollback", {
    what: "all features were switched off by an emergency rollback in the database; this stack switches nothing on until it is acknowledged",
    where: `${what}, rollback session ${named(newest)}${besides}${given}`,
    todo: [
      `when the cause is mended: ${pulumiCommand(`config set guardian:acknowledge ${newest.id}`)}, then up`,
      "set the rollout of the flags to 0",
    ],
  });
}
