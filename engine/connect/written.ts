import type { GuardianError } from "../base/errors";
import { first, type Askable } from "../base/sql";

/** Tables that no transaction of a session may write to. */
export interface Untouched {
  /** As `schema.name`; their partitions, and what inherits from them, are meant too. */
  readonly tables: readonly string[];
  /** @param written which of them a transaction wrote to, or which partitions of theirs, as `schema.name` */
  refusal(written: readonly string[], where: string): GuardianError;
}

/** @returns whether the server counts the rows that this session writes, as far as its settings say */
export const countsRows = async (db: Askable): Promise<boolean> =>
  (await first<{ on: boolean }>(db, "SELECT pg_catalog.current_setting('track_counts')::boolean AS on"))?.on === true;

/**
 * SQL, one column: of the tables in $1 (text[], `schema.name`), their partitions and what inherits from them, those of which
 * the open transaction has inserted, updated or deleted a row, as `schema.name`. The server counts each row where it happens
 * (manual, "The Cumulative Statistics System", pg_stat_xact_user_tables): in a subtransaction too, also one that was
 * rolled back, by a trigger, a rule, a foreign key, or a function with other rights. TRUNCATE and a table's rewrite count no row,
 * and nobody counts where track_counts is off.
 *
 * What the session has not told yet of its last transactions is counted as well, for a second at most (pgstat.c,
 * PGSTAT_MIN_INTERVAL): who goes on after one that was rolled back has it told first, by pg_stat_force_next_flush().
 */
export const writtenTables = `
  WITH RECURSIVE family (oid) AS (
    SELECT pg_catalog.to_regclass(w.name)::pg_catalog.oid FROM pg_catalog.unnest($1::pg_catalog.text[]) AS w (name)
    UNION SELECT h.inhrelid FROM family f JOIN pg_catalog.pg_inherits h ON h.inhparent = f.oid)
  SELECT (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, f.oid, 0)).identity AS name
    FROM family f
   WHERE pg_catalog.pg_stat_get_xact_tuples_inserted(f.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(f.oid)
       + pg_catalog.pg_stat_get_xact_tuples_deleted(f.oid) > 0
   ORDER BY 1`;
