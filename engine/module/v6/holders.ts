import { quoteName, rows, type Queryable } from "../../base/sql";
import { preparedHolder } from "../../connect/prepared";
import { withPartitions } from "./relations";

/** SHARE ROW EXCLUSIVE to make foreign keys and triggers, ACCESS EXCLUSIVE to drop them (PostgreSQL manual, 13.3.1). */
export type LockMode = "SHARE ROW EXCLUSIVE" | "ACCESS EXCLUSIVE";

/** Modes of who writes a table, or changes it (PostgreSQL manual, 13.3.1, table 13.2). */
const changing = ["RowExclusive", "ShareUpdateExclusive", "Share", "ShareRowExclusive", "Exclusive", "AccessExclusive"];

/** Modes that stand in the way of each of the two (the same table). */
const conflicting: Record<LockMode, readonly string[]> = {
  "SHARE ROW EXCLUSIVE": changing,
  "ACCESS EXCLUSIVE": ["AccessShare", "RowShare", ...changing],
};

/** @returns who holds a lock in the way, as far as this role may see it, partitions included; empty if nobody does now */
export async function readHolders(db: Queryable, relations: readonly string[], mode: LockMode): Promise<string> {
  const holders = await rows<{ who: string }>(
    db,
    `${withPartitions}
     SELECT DISTINCT pg_catalog.concat(l.relation::regclass, ' is held by ', CASE WHEN l.pid IS NULL THEN ${preparedHolder("l")}
       ELSE coalesce(nullif(a.application_name, ''), a.backend_type, 'a session') || ' (' || pg_catalog.concat_ws(', ',
         'pid ' || l.pid, 'user ' || a.usename, a.state,
         'for ' || extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::int || ' s') || ')' END) AS who
     FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.relation IN (SELECT oid FROM kin) AND l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
       AND l.mode = ANY ($2)
     LIMIT 3`,
    [relations.map(quoteName), conflicting[mode].map((one) => `${one}Lock`)],
  );
  return holders.map((holder) => holder.who).join("; ");
}
