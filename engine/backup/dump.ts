import { join, resolve } from "node:path";
import { connectReader, type Reader, toClientEnv } from "../connect";
import { GuardianError, fromPostgres } from "../base/errors";
import type { FoundBackup } from "./adopt";
import { findClient } from "./client";
import { chooseCompression } from "./compression";
import { checkContents } from "./contents";
import { finishFolder, leftBehind, lockDown, removeFolder, removeStale, startFolder, writeDurably } from "./folder";
import { dumpFolder, hashFiles, type Manifest, manifestFile, type ManifestFile, sha256Of } from "./manifest";
import { folderFailure } from "./place";
import { preflight } from "./preflight";
import { plainName } from "./prove/digest";
import { ProgressReport } from "./progress";
import { dumpAndCount, type Snapshot } from "./snapshot";
import type { DumpOptions, Work } from "./work";

export interface BackupResult extends Required<FoundBackup> {
  readonly bytes: number;
  readonly rows: number;
  readonly warnings: readonly string[];
}

/**
 * Makes a backup: pg_dump in directory format and exact row counts, both in one exported snapshot, and the roles; seen to be
 * readable by pg_restore --list; hashed; renamed into place last. What fails leaves nothing behind. That it can be
 * restored is another's to prove (prove/).
 *
 * @throws GuardianError
 */
export async function dump(options: DumpOptions): Promise<BackupResult> {
  const { settings } = options;
  const directory = resolve(options.directory);
  // Aborted by the caller, or by whichever of pg_dump and the counting fails first.
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const reader = await connectReader(settings, { detail: "backup", idleInTransaction: 0, signal });
  try {
    const env = options.env ?? process.env;
    const warnings = await refuseUnfit(reader, { ...options, directory, env });
    const pgDump = await findClient("pg_dump", reader.server.major, env);
    const compression = await chooseCompression(pgDump);
    const left = await removeStale(directory);
    warnings.push(...leftBehind(left));
    const folder = await startFolder(directory, settings.fields.database);
    try {
      const work = { reader, pgDump, compression, folder, stop, signal };
      return { ...(await write(work, { ...options, directory })), warnings };
    } catch (err) {
      await removeFolder(folder);
      throw err;
    }
  } catch (err) {
    if (options.signal?.aborted) throw cancelled(directory);
    throw fromPostgres(err, `backup of ${settings.toString()}`);
  } finally {
    await reader.close();
  }
}

async function refuseUnfit(reader: Reader, options: DumpOptions & { env: NodeJS.ProcessEnv }): Promise<string[]> {
  const { directory, excludeSchemas, env, room } = options;
  const about = { server: reader.server, where: options.settings.toString(), directory, excludeSchemas, env, room };
  const { errors, warnings } = await reader.read((db) => preflight(db, about));
  if (errors[0]) throw errors[0];
  return [...warnings];
}

async function write(work: Work, options: DumpOptions): Promise<Omit<BackupResult, "warnings">> {
  const { pgDump, folder, signal } = work;
  let silent: Error | undefined;
  const report = new ProgressReport(folder.path, options.onProgress ?? (() => undefined), (err) => {
    silent = fromPostgres(err, folder.path);
    work.stop.abort(err);
  });
  try {
    const snapshot = await dumpAndCount(work, report, options);
    report.phase = "checking";
    const env = toClientEnv(options.settings, "backup");
    const dumped = await checkContents(join(folder.path, dumpFolder), pgDump, snapshot.tables, { env, signal });
    await lockDown(folder.path);
    report.phase = "hashing";
    const files = await hashFiles(folder.path, signal);
    const manifest = makeManifest(work, snapshot, { files, dumped }, options);
    const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
    await writeDurably(join(folder.path, manifestFile), text);
    signal.throwIfAborted();
    const path = await finishFolder(folder, options.directory);
    return {
      name: folder.name,
      path,
      manifest,
      manifestSha256: sha256Of(text),
      bytes: files.reduce((sum, file) => sum + file.size, 0),
      rows: snapshot.tables.reduce((sum, table) => sum + table.rows, 0),
    };
  } catch (err) {
    if (silent) throw silent;
    // What node:fs throws has a syscall; anything else says by itself what it is.
    throw err instanceof Error && "syscall" in err ? folderFailure(err, options.directory) : err;
  } finally {
    report.stop();
  }
}

function makeManifest(
  work: Work,
  snapshot: Snapshot,
  { files, dumped }: { files: ManifestFile[]; dumped: ReadonlyMap<number, string> },
  options: DumpOptions,
): Manifest {
  const { version, systemIdentifier, database } = work.reader.server;
  return {
    formatVersion: 2,
    server: { version, systemIdentifier, database },
    ledgerId: options.ledgerId,
    protects: options.protects,
    startedAt: snapshot.startedAt,
    finishedAt: snapshot.finishedAt,
    pgDump: {
      version: work.pgDump.version,
      jobs: options.jobs,
      excludedSchemas: options.excludeSchemas,
      compression: work.compression,
    },
    largeObjects: snapshot.largeObjects,
    tables: snapshot.tables.map(({ extension, ...table }) => ({
      ...table,
      ...(extension === null ? {} : { extension }),
      ...fileOf(files, dumped.get(table.oid)),
    })),
    around: snapshot.around,
    moment: snapshot.moment,
    files,
  };
}

/** @param id the dump's number for a table's rows */
function fileOf(files: readonly ManifestFile[], id: string | undefined): { file?: string } {
  const found = files.find(({ path }) => plainName(path) === `${dumpFolder}/${id}.dat`);
  return found ? { file: found.path } : {};
}

function cancelled(directory: string): GuardianError {
  return new GuardianError("interrupted", {
    what: "the backup was cancelled; what it had written is removed",
    where: directory,
    todo: "run again to make it",
  });
}
