import { setTimeout as sleep } from "node:timers/promises";
import type { Statistics } from "../../../backup/snapshot/moment";
import { first, type Queryable } from "../../../base/sql";

/** Rows deleted since the backup, by oid; a text where it cannot be told, and why. */
export type Deleted = (oid: string) => number | string;

const reset = "the server's statistics were set to 0 since the backup";
const off = "the server does not count them: track_counts is off";

/** @returns how many rows of a table were deleted between two readings; also those whose deletion was rolled back */
export function deletedBetween(was: Statistics, now: Statistics): Deleted {
  const uncounted = was.counted === false || now.counted === false ? off : undefined;
  const forgot =
    uncounted ??
    (was.resetAt !== now.resetAt || was.discardedAt !== now.discardedAt || now.commits < was.commits
      ? reset
      : undefined);
  return (oid) => {
    if (forgot !== undefined) return forgot;
    // One that was made since has counted from 0 on.
    const [before, after] = [was.deleted[oid] ?? 0, now.deleted[oid] ?? 0];
    return after < before ? reset : after - before;
  };
}

/**
 * A session tells what it has deleted at most a second after its transaction, or ten where it sits idle (pgstat.c,
 * PGSTAT_MIN_INTERVAL, PGSTAT_IDLE_INTERVAL): who looks earlier takes for lost what the application deleted.
 * @param enough whether what is missing is told by now
 * @param patienceMs as long as it is looked again
 */
export async function patiently(
  read: () => Promise<Statistics>,
  enough: (now: Statistics) => boolean,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Statistics> {
  const until = Date.now() + patienceMs;
  for (;;) {
    const now = await read();
    if (enough(now) || Date.now() >= until) return now;
    await sleep(Math.min(500, Math.max(10, until - Date.now())), undefined, { signal });
  }
}

/**
 * SQL: a session that was at work for so long ($1, in milliseconds), and since when. Of one whose state this role is not shown, or
 * which does not tell it (track_activities), the lock on its own transaction says that it is in one now: pg_locks hides none.
 */
const atWork = `
  SELECT a.pid, pg_catalog.date_trunc('second', least(a.xact_start, a.query_start))::text AS since
    FROM pg_catalog.pg_stat_activity a
   WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
     -- Who is not shown what it is sees all the same that autovacuum is nobody's.
     AND a.usesysid IS NOT NULL AND coalesce(a.backend_type, '') <> ALL ('{walsender,parallel worker}'::text[])
     AND CASE WHEN coalesce(a.state, 'disabled') = 'disabled'
           THEN EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.locktype = 'virtualxid')
           ELSE a.state <> 'idle'
             AND least(a.xact_start, a.query_start) < pg_catalog.clock_timestamp() - $1::float8 * interval '1 ms' END
   ORDER BY 2 NULLS LAST LIMIT 1`;

/**
 * A session tells what it has deleted only where it is idle outside of a transaction: not while a procedure runs that commits
 * now and then, nor in the statement after the one that deleted, if that began within a second.
 * @param forMs so long it must have been at work
 * @returns why deletions may be untold; nothing where nobody is at work who may not have told
 */
export async function untold(db: Queryable, forMs: number): Promise<string | undefined> {
  const found = await first<{ pid: number; since: string | null }>(db, atWork, [forMs]);
  if (!found) return undefined;
  const since = found.since === null ? "" : ` since ${found.since}`;
  return `a session that is at work${since} (pid ${found.pid}) may not have told its deletions yet; ask again once it has ended`;
}
