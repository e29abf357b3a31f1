import { GuardianError, sqlstateOf } from "../base/errors";
import type { Writer } from "../connect";
import { first, rows, type Queryable } from "../base/sql";
import { ledgerSchema } from "./schema";

/*
 * Who holds the lock has it on lease: its backend must show a sign of life, for pg_stat_activity has the time of its last
 * statement. An operator that was stopped, or whose network is gone, shows none; the next one ends its backends and
 * raises the epoch, and whatever it still sends commits nothing.
 */

/** Asks the server something every third of the lease, so that a session that waits for others is not taken for dead. */
export function keepLease(writer: Writer, lease: number): { end: () => void } {
  let asking = false;
  const beat = setInterval(() => {
    if (asking) return;
    asking = true;
    // In the middle of a transaction too; one that failed refuses it, which is a sign of life as well.
    void writer
      .query("SELECT 1")
      .catch(() => undefined)
      .finally(() => (asking = false));
  }, lease / 3);
  return { end: () => clearInterval(beat) };
}

/**
 * Raises the epoch, which fences all earlier operators. Their transactions hold the ledger's row while they last: one that
 * its operator left open is ended when its lease is over.
 * @param holder who writes now, for the ledger
 * @param own the epoch of an operator that lost its session and goes on: only while it is the newest
 * @throws GuardianError naming who does not let go of the ledger's row, or saying that another operator has taken over
 */
export async function raiseEpoch(
  writer: Writer,
  holder: string,
  { patience, lease }: { patience: number; lease: number },
  own?: string,
): Promise<string> {
  const until = Date.now() + patience + lease;
  for (;;) {
    try {
      return await writer.transaction(async (db) => {
        await db.query("SELECT pg_catalog.set_config('lock_timeout', $1, true)", [`${Math.max(50, lease / 10)}ms`]);
        const text = `UPDATE ${ledgerSchema}.ledger SET epoch = epoch + 1, holder = $1
          WHERE epoch = coalesce($2::bigint, epoch) RETURNING epoch`;
        const row = await first<{ epoch: string }>(db, text, [holder, own ?? null]);
        if (!row && own !== undefined) throw takenOver(own);
        return row?.epoch ?? "0";
      });
    } catch (err) {
      if (sqlstateOf(err) !== "55P03") throw err;
      await endForsaken(writer, lease);
      if (Date.now() > until) throw stuck(await inTheWay(writer), err);
    }
  }
}

/**
 * Keeps the epoch from rising until the open transaction ends.
 * @throws GuardianError if another operator has taken over
 */
export async function holdEpoch(db: Queryable, epoch: string): Promise<void> {
  const row = await first(db, `SELECT 1 FROM ${ledgerSchema}.ledger WHERE epoch = $1 FOR SHARE`, [epoch]);
  if (!row) throw takenOver(epoch);
}

/** What an operator is told whose epoch is no longer the newest. */
function takenOver(epoch: string): GuardianError {
  return new GuardianError("taken-over", {
    what: "another operator has taken over; this one commits nothing more",
    where: `epoch ${epoch} of the ledger`,
    todo: "see who runs a migration on this database, then run this again",
  });
}

/** Ends transactions that are fenced by an earlier epoch and whose operator has shown no sign of life. */
async function endForsaken(db: Queryable, lease: number): Promise<void> {
  await db.query(
    `SELECT pg_catalog.pg_terminate_backend(a.pid) FROM (${fenced}) a
     WHERE a.state LIKE 'idle in transaction%' AND a.state_change < pg_catalog.clock_timestamp() - $1 * interval '1 ms'`,
    [lease],
  );
}

const fenced = `SELECT DISTINCT a.* FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE l.relation = '${ledgerSchema}.ledger'::regclass AND a.datname = pg_catalog.current_database() AND l.mode = 'RowShareLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()`;

async function inTheWay(db: Queryable): Promise<string[]> {
  const found = await rows<{ who: string }>(
    db,
    `SELECT pg_catalog.concat(a.application_name, ' (pid ', a.pid, ', user ', a.usename, ', ', a.state, ')') AS who FROM (${fenced}) a`,
  );
  return found.map((row) => row.who);
}

function stuck(who: readonly string[], cause: unknown): GuardianError {
  return new GuardianError("migration-locked", {
    what: "an earlier operator does not let go of the ledger",
    where: who.join("; ") || `${ledgerSchema}.ledger`,
    todo: "see what these sessions do and end them (pg_terminate_backend), then run this again",
    cause,
  });
}
