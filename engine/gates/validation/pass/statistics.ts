import { setTimeout as sleep } from "node:timers/promises";
import type { Statistics } from "../../../backup/snapshot/moment";

/** Rows deleted since the backup, by oid; a text where it cannot be told, and why. */
export type Deleted = (oid: string) => number | string;

const reset = "the server's statistics were set to 0 since the backup";

/** @returns how many rows of a table were deleted between two readings; also those whose deletion was rolled back */
export function deletedBetween(was: Statistics, now: Statistics): Deleted {
  const forgot =
    was.resetAt !== now.resetAt || was.discardedAt !== now.discardedAt || now.commits < was.commits ? reset : undefined;
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
