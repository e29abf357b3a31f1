import { join } from "node:path";
import type { Queryable } from "../base/sql";
import { toClientEnv } from "../connect";
import { runClient } from "./child";
import type { CountedTable } from "./contents";
import { dumpFolder } from "./manifest";
import { clientFailure } from "./messages";
import type { ProgressReport } from "./progress";
import { countLargeObjects, countRows, listTables } from "./tables";
import type { DumpOptions, Work } from "./work";

/** What was in the database at one moment, as counted there. */
export interface Snapshot {
  /** The server's clock, UTC, microseconds. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly tables: readonly CountedTable[];
  readonly largeObjects: number;
}

const utcNow = `pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/**
 * One REPEATABLE READ transaction exports its snapshot to pg_dump (manual, 9.28, "Snapshot Synchronization Functions"),
 * counts meanwhile, and stays open until pg_dump has ended.
 *
 * @throws the first failure of the two; the other has been stopped by then.
 */
export function dumpAndCount(work: Work, report: ProgressReport, options: DumpOptions): Promise<Snapshot> {
  return work.reader.read(async (db) => {
    // Rows that a policy hides would be missing from the counts in silence: an error instead.
    await db.query("SET LOCAL row_security = off");
    const text = `SELECT pg_catalog.pg_export_snapshot() AS snapshot, ${utcNow} AS at`;
    const start = (await db.query<{ snapshot: string; at: string }>(text)).rows[0];
    if (!start) throw new Error("pg_export_snapshot gave no row");
    const failures: unknown[] = [];
    const failed = (err: unknown) => {
      failures.push(err);
      work.stop.abort();
      return undefined;
    };
    const [, counted] = await Promise.all([
      runDump(work, start.snapshot, options).catch(failed),
      countAll(db, options.excludeSchemas, report, work.signal).catch(failed),
    ]);
    if (!counted || failures.length > 0) throw failures[0];
    const end = (await db.query<{ at: string }>(`SELECT ${utcNow} AS at`)).rows[0];
    return { startedAt: start.at, finishedAt: end?.at ?? start.at, ...counted };
  });
}

async function runDump(work: Work, snapshot: string, options: DumpOptions): Promise<void> {
  const { settings, jobs, excludeSchemas, lockWait = 60 } = options;
  const args = [
    "--format=directory",
    `--file=${join(work.folder.path, dumpFolder)}`,
    `--jobs=${jobs}`,
    `--snapshot=${snapshot}`,
    `--lock-wait-timeout=${lockWait * 1000}`,
    "--no-password",
    // The migration waits for the backup: gzip's level 1 takes half of level 6's time, for a fifth more bytes.
    "--compress=1",
    // A quoted name is a literal one and no pattern (manual, psql, Patterns).
    ...excludeSchemas.map((schema) => `--exclude-schema="${schema.replaceAll('"', '""')}"`),
  ];
  const client = { env: toClientEnv(settings, "backup"), signal: work.signal };
  const result = await runClient(work.pgDump.path, args, client);
  if (result.code !== 0) throw clientFailure("pg_dump", result, `backup of ${settings.toString()}`);
}

async function countAll(
  db: Queryable,
  excluded: readonly string[],
  report: ProgressReport,
  signal: AbortSignal,
): Promise<Pick<Snapshot, "tables" | "largeObjects">> {
  const list = await listTables(db, excluded);
  report.tables = list.length;
  const tables: CountedTable[] = [];
  for (const table of list) {
    signal.throwIfAborted();
    tables.push({ ...table, rows: await countRows(db, table) });
    report.tablesCounted++;
  }
  return { tables, largeObjects: await countLargeObjects(db) };
}
