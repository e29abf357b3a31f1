import { sqlstateOf } from "../../base/errors";
import type { Queryable } from "../../base/sql";

/** Once, before `inTime` is asked in a transaction: what is set until then stays set. One savepoint does, since nothing is written. */
export async function mayTakeTooLong(db: Queryable): Promise<void> {
  await db.query("SAVEPOINT in_time");
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
