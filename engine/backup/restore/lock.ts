import { GuardianError } from "../../base/errors";
import { type Askable, first } from "../../base/sql";
import { describeHolder, tryLock } from "../../ledger/lock";
import { onTarget, type Target } from "./target";

/** "GRST" in ASCII: half of the key of the lock on a name that no database has yet. */
const nameClass = 0x47525354;

/**
 * Does a piece of work while nobody else restores into that database, nor migrates it: through one session of its own it holds
 * the lock that every write of ours takes there; where the database is not there yet, one on its name in the one it is made
 * from. It goes with the session, whatever becomes of this process.
 * @param lost told that the session ended before the work did, and the lock with it
 * @throws GuardianError restore-refused where somebody has it
 */
export function whileLocked<T>(target: Target, lost: (err: GuardianError) => void, work: () => Promise<T>): Promise<T> {
  const { settings, maintenance, exists } = target;
  const { database } = settings.fields;
  // What stops the work is the work's to say.
  const { signal } = new AbortController();
  return onTarget(maintenance, signal, async (client) => {
    const took = exists ? await tryLock(client) : await tryName(client, database);
    if (took !== true) {
      throw new GuardianError("restore-refused", {
        what: `another restore, or another command, is at work in ${database}; nothing was written`,
        where: `${settings.explain()}${took ? `; by ${describeHolder(took)}` : ""}`,
        todo: [
          "wait until it is through, then run this again",
          "name another database, which is made: --to '… dbname=NAME'",
        ],
      });
    }
    let over = false;
    client.once("end", () => {
      if (over) return;
      const what = "the session that kept others from this database ended";
      lost(new GuardianError("connection-lost", { what, where: settings.toString() }));
    });
    try {
      return await work();
    } finally {
      over = true;
    }
  });
}

async function tryName(client: Askable, database: string): Promise<true | undefined> {
  const text = "SELECT pg_catalog.pg_try_advisory_lock($1, pg_catalog.hashtext($2)) AS got";
  const found = await first<{ got: boolean }>(client, text, [nameClass, database]);
  return found?.got === true ? true : undefined;
}
