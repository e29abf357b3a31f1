import type { Session } from "../../../connect";
import { isPostgres } from "../../../base/errors";
import { first, quoteName } from "../../../base/sql";
import type { Signals } from "./types";

/**
 * Receivers of WAL, physical and logical (manual, pg_stat_replication); base backups and those that only start
 * are left out. A receiver that does not replay, such as pg_receivewal, is behind by what is not sent. Without the
 * rights of pg_read_all_stats only the pid is shown.
 */
const replication = `
  SELECT pg_catalog.count(*) FILTER (WHERE state IS NULL)::pg_catalog.int4 AS hidden,
         coalesce(pg_catalog.max(extract(epoch FROM replay_lag)), 0)::pg_catalog.float8 AS seconds,
         coalesce(pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(),
                                                            coalesce(replay_lsn, sent_lsn))), 0)::pg_catalog.float8 AS bytes
    FROM pg_catalog.pg_stat_replication
   WHERE state IS NULL OR state IN ('catchup', 'streaming')`;

/**
 * Sessions that wait for a lock behind a worker, holding it or ahead in the queue (manual,
 * pg_blocking_pids(), pg_locks.waitstart). Everyone may read both. Workers waiting for one another are not meant.
 */
const blocked = `
  WITH waiting AS MATERIALIZED (
    SELECT pid, pg_catalog.min(waitstart) AS since FROM pg_catalog.pg_locks WHERE NOT granted GROUP BY pid)
  SELECT (coalesce(pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - since)), 0)
          * 1000)::pg_catalog.float8 AS ms
    FROM waiting WHERE pid <> ALL ($1::pg_catalog.int4[]) AND pg_catalog.pg_blocking_pids(pid) && $1::pg_catalog.int4[]`;

/**
 * VACUUMs of our tables and their TOAST tables, by autovacuum or by hand: to the server they are the same work. Who
 * started one and of what table it is shown only to some, but its pid and its lock (SHARE UPDATE EXCLUSIVE; manual,
 * Table-Level Locks) are shown to all. It is against wraparound if the table is older than what autovacuum itself goes by (manual,
 * Preventing Transaction ID Wraparound Failures).
 */
const vacuum = `
  SELECT t.name AS table,
         pg_catalog.bool_or(pg_catalog.age(c.relfrozenxid) > least(o.xid, s.xid)
                         OR pg_catalog.mxid_age(c.relminmxid) > least(o.mxid, s.mxid)) AS wraparound
    FROM pg_catalog.pg_stat_progress_vacuum v
    JOIN pg_catalog.pg_locks l ON l.pid = v.pid AND l.locktype = 'relation' AND l.granted
                              AND l.mode = 'ShareUpdateExclusiveLock'
    JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
    JOIN pg_catalog.pg_class c ON c.oid = l.relation
    JOIN pg_catalog.pg_class m ON c.oid IN (m.oid, m.reltoastrelid)
    JOIN pg_catalog.unnest($1::pg_catalog.text[]) AS t (name) ON m.oid = pg_catalog.to_regclass(t.name)
   CROSS JOIN (SELECT pg_catalog.current_setting('autovacuum_freeze_max_age')::pg_catalog.int8 AS xid,
                      pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::pg_catalog.int8 AS mxid) s
   CROSS JOIN LATERAL (
     SELECT pg_catalog.max(option_value::pg_catalog.int8)
              FILTER (WHERE option_name = 'autovacuum_freeze_max_age') AS xid,
            pg_catalog.max(option_value::pg_catalog.int8)
              FILTER (WHERE option_name = 'autovacuum_multixact_freeze_max_age') AS mxid
       FROM pg_catalog.pg_options_to_table(c.reloptions)
      WHERE option_name LIKE 'autovacuum%freeze_max_age') o
   GROUP BY t.name ORDER BY wraparound DESC, t.name LIMIT 1`;

/**
 * Is WAL archived at all, and may this role count the files that wait (pg_monitor may; manual,
 * Generic File Access Functions)?
 */
const archiving = `
  SELECT pg_catalog.current_setting('archive_mode') <> 'off' AS on,
         pg_catalog.has_function_privilege('pg_catalog.pg_ls_archive_statusdir()', 'EXECUTE') AS counted`;

const archiveQueue = `
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS files
    FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`;

/** Everyone may read it: the last try failed if nothing was archived since (manual, pg_stat_archiver). */
const archiver = `
  SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS fails
    FROM pg_catalog.pg_stat_archiver`;

export const noSignals: Signals = {
  lagSeconds: 0,
  lagBytes: 0,
  blockedMs: 0,
  archiveFiles: undefined,
  archiveFails: false,
  vacuum: undefined,
};

/** Reads what the server says of itself, as far as the role may see it. */
export class Monitor {
  readonly #tables: readonly string[];
  readonly #names: readonly string[];
  readonly #missing = new Set<string>();

  constructor(tables: readonly string[]) {
    this.#tables = tables;
    this.#names = tables.map(quoteName);
  }

  /** What this role cannot see, and what would let it; grows when something turns up. */
  unavailable(): string[] {
    return [...this.#missing];
  }

  /** @throws DatabaseError; ConnectionLostError */
  async read(session: Session, workers: readonly number[]): Promise<Signals> {
    const signals = { ...noSignals };
    const lag = await first<{ hidden: number; seconds: number; bytes: number }>(session, replication);
    signals.lagSeconds = lag?.seconds ?? 0;
    signals.lagBytes = lag?.bytes ?? 0;
    if (lag?.hidden)
      this.#missing.add("replication lag is not watched: its numbers are shown to members of pg_monitor");
    if (workers.length > 0)
      signals.blockedMs = (await first<{ ms: number }>(session, blocked, [[...workers]]))?.ms ?? 0;
    const at = await first<{ table: string; wraparound: boolean }>(session, vacuum, [this.#names]);
    if (at) signals.vacuum = { ...at, table: this.#tables[this.#names.indexOf(at.table)] ?? at.table };
    await this.#archive(session, signals);
    return signals;
  }

  async #archive(session: Session, signals: Signals): Promise<void> {
    const archive = await first<{ on: boolean; counted: boolean }>(session, archiving);
    if (!archive?.on) return;
    signals.archiveFails = (await first<{ fails: boolean }>(session, archiver))?.fails ?? false;
    try {
      if (archive.counted) signals.archiveFiles = (await first<{ files: number }>(session, archiveQueue))?.files ?? 0;
    } catch (err) {
      // The right was taken away in between.
      if (!isPostgres(err) || err.code !== "42501") throw err;
    }
    if (signals.archiveFiles === undefined)
      this.#missing.add(
        "the WAL archive's queue is not counted, only its failures: members of pg_monitor may count it",
      );
  }
}
