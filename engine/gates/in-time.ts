import { sqlstateOf } from "../base/errors";
import type { Queryable } from "../base/sql";

/** How long one run may take, in milliseconds; a query that takes longer is slow, whatever it took before. */
export const patienceMs = 2000;

/**
 * Sets time limits in a transaction, and the savepoint to which `inTime` goes back: what was set before it stays. One is
 * enough for all runs, since nothing is written that a later run would lose.
 * @param lockMs as long as a lock is waited for
 */
export async function mayTakeTooLong(db: Queryable, lockMs: number): Promise<void> {
  await db.script(
    `SET LOCAL row_security = off; SET LOCAL statement_timeout = ${patienceMs}; SET LOCAL lock_timeout = ${lockMs}; SAVEPOINT in_time`,
  );
}

/**
 * Runs some work under statement_timeout, in a transaction that may take too long.
 * @returns undefined where a statement was ended for taking longer than it may; the transaction goes on
 */
export async function inTime<T>(db: Queryable, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (err) {
    if (sqlstateOf(err) !== "57014") throw err;
    await db.query("ROLLBACK TO SAVEPOINT in_time");
    return undefined;
  }
}
