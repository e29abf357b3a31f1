import { v6Tables } from "../../../spec/roles";
import { first, rows, type Queryable } from "../../base/sql";
import { v6Definitions, type Definitions } from "../../module/v6/definitions";

/** What the server has counted since it last forgot it (manual, 27.2, "The Cumulative Statistics System"). */
export interface Statistics {
  /** When somebody had the database's counters set to 0; null: never. */
  readonly resetAt: string | null;
  /** The same for the archiver's, which a crash sets to 0 with all others, and which nobody else has a reason to. */
  readonly discardedAt: string | null;
  /** Transactions of this database: counters that fell were set to 0. */
  readonly commits: number;
  /** Rows of v6's tables, or of their partitions, that were ever deleted, by the table's oid. Also by what was rolled back. */
  readonly deleted: Readonly<Record<string, number>>;
  /** Whether rows are counted at all (track_counts), as far as this session's settings say. Absent of a backup that did not note it. */
  readonly counted?: boolean;
}

/** What was so at the moment of a backup's snapshot, besides the rows. */
export interface Moment {
  readonly statistics: Statistics;
  /**
   * The oldest transaction that was still running (xid8, with its epoch): whatever is of an earlier one was seen by the
   * backup as it is. One of a later id may be of a subtransaction of somebody who had not ended; a snapshot does not tell these.
   */
  readonly oldestRunning: string;
  /** Tables that hold v6's rows, by oid: which of v6's they are, or are partitions of, as `schema.name`. */
  readonly roots: Readonly<Record<string, string>>;
  readonly definitions: Definitions;
}

/**
 * SQL: the tables that hold v6's rows, which of one that is partitioned are its partitions, and those that inherit from one: oid,
 * schema and name of each, and which of v6's it is (`root`, as `schema.name`). `$1` names v6's tables.
 */
export const v6Family = `
  SELECT l.oid, ln.nspname AS schema, l.relname AS name, n.nspname || '.' || c.relname AS root
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (WITH RECURSIVE heirs (relid) AS (SELECT c.oid
        UNION SELECT h.inhrelid FROM heirs a JOIN pg_catalog.pg_inherits h ON h.inhparent = a.relid)
      SELECT relid FROM heirs) t
    JOIN pg_catalog.pg_class l ON l.oid = t.relid JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace
   WHERE n.nspname || '.' || c.relname = ANY ($1) AND c.relkind IN ('r', 'p') AND l.relkind = 'r'`;

/**
 * Asked before the snapshot is taken, in a transaction of its own: what is deleted between the two is then counted twice at
 * most, and never not at all.
 */
export async function readStatistics(db: Queryable): Promise<Statistics> {
  const of = await first<Omit<Statistics, "deleted">>(
    db,
    `SELECT d.stats_reset::text AS "resetAt", a.stats_reset::text AS "discardedAt", d.xact_commit::float8 AS commits,
            pg_catalog.current_setting('track_counts')::boolean AS counted
       FROM pg_catalog.pg_stat_database d, pg_catalog.pg_stat_archiver a WHERE d.datname = pg_catalog.current_database()`,
  );
  const found = await rows<{ oid: string; deleted: number }>(
    db,
    `SELECT f.oid::text AS oid, pg_catalog.pg_stat_get_tuples_deleted(f.oid)::float8 AS deleted FROM (${v6Family}) f`,
    [v6Tables],
  );
  const deleted = Object.fromEntries(found.map(({ oid, deleted: n }) => [oid, n]));
  return { ...(of ?? { resetAt: null, discardedAt: null, commits: 0 }), deleted };
}

/** The rest of it, in the snapshot itself. */
export async function readMoment(db: Queryable): Promise<Omit<Moment, "statistics">> {
  const snapshot = await first<{ oldest: string }>(
    db,
    "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text AS oldest",
  );
  const found = await rows<{ oid: string; root: string }>(
    db,
    `SELECT f.oid::text AS oid, f.root FROM (${v6Family}) f`,
    [v6Tables],
  );
  return {
    oldestRunning: snapshot?.oldest ?? "0",
    roots: Object.fromEntries(found.map(({ oid, root }) => [oid, root])),
    definitions: await v6Definitions(db),
  };
}
