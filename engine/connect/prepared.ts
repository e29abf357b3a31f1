import { escapeLiteral } from "pg";

/**
 * SQL: whether a lock is held by the prepared transaction `p` of pg_prepared_xacts. No session holds it any more. All its
 * locks have one virtual transaction: that of its session, or `-1/xid` after a restart; the one on its own number says
 * which (manual, 54.12, pg_locks).
 * @param lock the alias of a row of pg_locks
 */
export const isPrepared = (lock: string): string =>
  `${lock}.pid IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_locks x WHERE x.pid IS NULL AND x.locktype = 'transactionid'
     AND x.granted AND x.transactionid = p.transaction AND x.virtualtransaction = ${lock}.virtualtransaction)`;

/** SQL: what there is to say of the prepared transaction `p`; NULL where there is none. */
export const preparedText = `'prepared transaction ' || pg_catalog.quote_literal(p.gid) || ' (' || pg_catalog.concat_ws(', ', 'user ' || p.owner,
  'database ' || p.database, 'prepared since ' || extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::int || ' s') || ')'`;

/** SQL: who holds a lock that no session holds, and what ends it; a text. @param lock the alias of a row of pg_locks */
export const preparedHolder = (lock: string): string =>
  `coalesce((SELECT ${preparedText} || '; if nobody will end it: ROLLBACK PREPARED ' || pg_catalog.quote_literal(p.gid)
     FROM pg_catalog.pg_prepared_xacts p WHERE ${isPrepared(lock)} LIMIT 1), 'a prepared transaction')`;

/** How to end a prepared transaction: it outlives its session and the server, and would be waited for in vain. */
export function endPrepared(gid: string): string {
  return `a prepared transaction does not end by itself; if nobody will end it, as its owner or a superuser: ROLLBACK PREPARED ${escapeLiteral(gid)}; (or COMMIT PREPARED, which keeps what it did)`;
}
