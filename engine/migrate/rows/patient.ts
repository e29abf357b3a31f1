import { setTimeout as sleep } from "node:timers/promises";
import type { FencedWriter } from "../../database";
import { sqlstateOf } from "../../base/errors";
import type { Queryable } from "../../base/sql";

/**
 * How long a batch waits for a row that v6 has locked, in milliseconds. It is below deadlock_timeout (1 s as PostgreSQL
 * ships it, manual, 20.12): where a batch and a transaction of v6 wait for each other, the batch is the one to yield.
 */
const rowWait = 400;
/** For so long such a batch is tried anew, in milliseconds. */
const patience = 30_000;

/** lock_not_available, deadlock_detected (PostgreSQL manual, appendix A): the same may work a moment later. */
const isInTheWay = (err: unknown): boolean => /^(55P03|40P01)$/.test(sqlstateOf(err) ?? "");

/**
 * One transaction of a migration, that waits for no row for long, because v6 waits for all that it has locked meanwhile;
 * it is rolled back and tried anew. The last try waits as usual, and its error names the holder.
 */
export async function patiently<T>(fenced: FencedWriter, work: (db: Queryable) => Promise<T>): Promise<T> {
  const { signal, onProgress } = fenced.options;
  const began = Date.now();
  for (let tries = 1; ; tries++) {
    const last = Date.now() - began > patience;
    try {
      return await fenced.transaction(async (db) => {
        if (!last) await db.query(`SET LOCAL lock_timeout = ${rowWait}`);
        return work(db);
      });
    } catch (err) {
      if (!isInTheWay(err) || last) throw err;
      onProgress({ phase: "rows locked", tries });
      await sleep(Math.min(2000, 100 * tries) * (1 + Math.random()), undefined, { signal });
    }
  }
}
