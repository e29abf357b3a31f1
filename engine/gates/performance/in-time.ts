import { sqlstateOf } from "../../base/errors";
import type { Queryable } from "../../base/sql";

/**
 * Runs some work in a transaction under statement_timeout.
 * @returns undefined where a statement was ended for taking longer than it may; the transaction is as before then
 */
export async function inTime<T>(db: Queryable, work: () => Promise<T>): Promise<T | undefined> {
  await db.query("SAVEPOINT in_time");
  try {
    const done = await work();
    await db.query("RELEASE SAVEPOINT in_time");
    return done;
  } catch (err) {
    if (sqlstateOf(err) !== "57014") throw err;
    await db.query("ROLLBACK TO SAVEPOINT in_time");
    return undefined;
  }
}
