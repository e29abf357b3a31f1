import { clockNoiseMs } from "../../../../spec/slowdown";
import type { Session } from "../../../connect";

/** What makes a data migration go slower. */
export interface ThrottleOptions {
  /** Opens a connection of the throttle's own; called twice, and again for one that was lost. The throttle closes it. */
  connect: () => Promise<Session>;
  /** Tables read and written, schema-qualified. */
  tables: readonly string[];
  /** A cheap representative read of the application; parameters bound. */
  probe: { text: string; values: () => unknown[] };
  /** Server pids that work for this migration: sessions blocked behind them count. */
  workers: () => readonly number[];
  /** Slowdown of the probes' p95 that is tolerated, 0.10 = 10 %. */
  budget: number;
  /** How many workers there are at full speed. */
  maxWorkers: number;
  signal: AbortSignal;
  /** Other limits than defaultLimits; tests lower them. */
  limits?: Partial<Limits>;
}

/** From where on the migration stands still, or goes slower. */
export interface Limits {
  /** Replication: seconds that a standby replays behind (replay_lag). */
  lagSeconds: number;
  /** Replication: bytes of WAL that a standby is behind. */
  lagBytes: number;
  /** Milliseconds that another session may wait for a lock of ours. */
  blockedMs: number;
  /** WAL files that wait to be archived. */
  archiveFiles: number;
  /** Milliseconds added to the baseline's p95 that are taken for noise, whatever the budget. */
  noiseMs: number;
  /**
   * Milliseconds after which it goes on at the floor though what it stands still for has not passed: a standby that is
   * behind on purpose, or an archive that fails, would keep a migration, and its rollback, for ever.
   */
  standStillMs: number;
  /** The lowest speed but for standing still: share of the time that one worker works. */
  floor: number;
}

/** 64 MiB are four WAL files, as wal_segment_size comes; 16 files are a minute's work of a slow archive_command. */
export const defaultLimits: Limits = {
  lagSeconds: 5,
  lagBytes: 64 * 1024 * 1024,
  blockedMs: 500,
  archiveFiles: 16,
  noiseMs: clockNoiseMs,
  standStillMs: 5 * 60_000,
  floor: 0.02,
};

/** What the server says of itself, at one moment. */
export interface Signals {
  /** The worst of the standbys and other receivers of WAL. */
  lagSeconds: number;
  lagBytes: number;
  /** Milliseconds that the longest waiting session has been blocked behind a worker. */
  blockedMs: number;
  /** WAL files waiting; undefined where archiving is off or the role may not count them. */
  archiveFiles: number | undefined;
  /** The archiver's last try failed; known also where the files may not be counted. */
  archiveFails: boolean;
  /** A VACUUM at work on one of the tables. */
  vacuum: { table: string; wraparound: boolean } | undefined;
}

/** What probes took before the migration began, in milliseconds. */
export interface Usual {
  p95: number;
  /**
   * The p95 of a hundred is measured no better. With a chance of 0.96 the true one lies below it (all but one of a
   * hundred independent probes do, if each does with 0.95).
   */
  p99: number;
}

/** The probes that count now. */
export interface Latency {
  /** Milliseconds; nearest rank. */
  p95: number;
  /** How many there are, at most 100. */
  count: number;
  /** What those took that were sent as often, before the migration began. */
  usual: Usual;
}
