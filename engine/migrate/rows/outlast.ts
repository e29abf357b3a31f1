import { setTimeout as sleep } from "node:timers/promises";
import type { FencedWriter } from "../../database";
import { GuardianError } from "../../base/errors";
import { quoteName, rows } from "../../base/sql";
import { preparedHolder } from "../../connect/prepared";

interface Writer extends Record<string, unknown> {
  /** The transaction, by its virtual id. */
  id: string;
  who: string;
}

/**
 * Waits until every transaction that has written to a table, and has not ended yet, has ended, as CREATE INDEX
 * CONCURRENTLY does: no statement that comes after it misses what one of them wrote. Nobody is kept from writing, and
 * transactions that begin meanwhile are not waited for.
 * @param deadline Unix time in milliseconds
 * @throws GuardianError naming who is still at it
 */
export async function outlast(fenced: FencedWriter, table: string, deadline: number): Promise<void> {
  const { signal, onProgress } = fenced.options;
  const before = (await writers(fenced, table)).map(({ id }) => id);
  for (let pause = 10; before.length > 0; pause = Math.min(500, 2 * pause)) {
    const left = await writers(fenced, table, before);
    if (left.length === 0) return;
    if (Date.now() > deadline) {
      throw new GuardianError("open-transaction", {
        what: `a transaction that has written to ${table} does not end; what it wrote cannot be seen yet, nor left out of account`,
        where: named(left),
        todo: "end that transaction, then run this again: what is moved stays moved",
      });
    }
    if (pause > 100) onProgress({ phase: "writers", subject: table, reason: named(left) });
    await sleep(pause, undefined, { signal });
  }
}

const named = (writing: readonly Writer[]): string => writing.map(({ who }) => who).join("; ");

/**
 * Every lock mode that a writer may have is held until its transaction ends (PostgreSQL manual, 13.3.1).
 * @param only virtual ids of transactions; all where it is not given
 */
function writers(fenced: FencedWriter, table: string, only?: readonly string[]): Promise<Writer[]> {
  return rows<Writer>(
    fenced.writer,
    `SELECT DISTINCT l.virtualtransaction AS id,
       CASE WHEN l.pid IS NULL THEN ${preparedHolder("l")} ELSE coalesce(nullif(a.application_name, ''), 'a session')
         || ' (' || pg_catalog.concat_ws(', ', 'pid ' || l.pid, 'user ' || a.usename, a.state) || ')' END AS who
     FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'relation' AND l.granted AND l.relation = $1::regclass
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
       AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND ($2::text[] IS NULL OR l.virtualtransaction = ANY ($2))
     ORDER BY 1`,
    [quoteName(table), only ?? null],
  );
}
