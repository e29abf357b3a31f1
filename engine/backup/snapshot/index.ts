import { join } from "node:path";
import type { Queryable } from "../../base/sql";
import { toClientEnv } from "../../connect";
import { textSettings } from "../../fingerprint/content";
import { runClient } from "../child";
import { compressArgument } from "../compression";
import type { CountedTable } from "../contents";
import { dumpFolder, type Surroundings } from "../manifest";
import { clientFailure } from "../messages";
import { readMoment, readStatistics, type Moment } from "./moment";
import type { ProgressReport } from "../progress";
import { dumpRoles, readSetForAll, readSurroundings } from "../surroundings";
import { countLargeObjects, countRows, listTables } from "../tables";
import type { DumpOptions, Work } from "../work";

/** What was in the database at one moment, as counted there. */
export interface Snapshot {
  /** The server's clock, UTC, microseconds. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly tables: readonly CountedTable[];
  readonly largeObjects: number;
  readonly around: Surroundings;
  readonly moment: Moment;
}

/** SQL: the server's clock, UTC, to the microsecond, as ISO 8601. */
export const utcNow = `pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/**
 * One REPEATABLE READ transaction exports its snapshot to pg_dump (manual, 9.28, "Snapshot Synchronization Functions"),
 * counts meanwhile, and stays open until pg_dump has ended. Roles, which have no snapshot, are dumped beside it.
 *
 * @throws the first failure of the three; the others have been stopped by then.
 */
export async function dumpAndCount(work: Work, report: ProgressReport, options: DumpOptions): Promise<Snapshot> {
  const statistics = await work.reader.read(readStatistics);
  return work.reader.read(async (db) => {
    // Among them row_security = off: rows that a policy hides would be missing from the counts in silence.
    await db.script(textSettings);
    const text = `SELECT pg_catalog.pg_export_snapshot() AS snapshot, ${utcNow} AS at`;
    const start = (await db.query<{ snapshot: string; at: string }>(text)).rows[0];
    const forAll = await readSetForAll(db);
    if (!start) throw new Error("pg_export_snapshot gave no row");
    const failures: unknown[] = [];
    const failed = (err: unknown) => {
      failures.push(err);
      work.stop.abort();
      return undefined;
    };
    const [, , counted] = await Promise.all([
      runDump(work, start.snapshot, options).catch(failed),
      dumpRoles(work, options, forAll).catch(failed),
      // Beside the dump, which waits for a lock as long as it is told to.
      readMoment(db)
        .then(async (rest) => ({ rest, ...(await countAll(db, options.excludeSchemas, report, work.signal)) }))
        .catch(failed),
    ]);
    if (!counted || failures.length > 0) throw failures[0];
    const end = (await db.query<{ at: string }>(`SELECT ${utcNow} AS at`)).rows[0];
    const { rest, ...all } = counted;
    return { startedAt: start.at, finishedAt: end?.at ?? start.at, moment: { statistics, ...rest }, ...all };
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
    compressArgument(work.compression, work.pgDump),
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
): Promise<Omit<Snapshot, "startedAt" | "finishedAt" | "moment">> {
  const around = await readSurroundings(db, excluded);
  const list = await listTables(db, excluded);
  report.tables = list.length;
  const tables: CountedTable[] = [];
  for (const table of list) {
    signal.throwIfAborted();
    tables.push({ ...table, rows: await countRows(db, table) });
    report.tablesCounted++;
  }
  return { tables, largeObjects: await countLargeObjects(db), around };
}
