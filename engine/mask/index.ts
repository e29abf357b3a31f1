import { dirname, join, resolve } from "node:path";
import { fromPostgres, GuardianError } from "../base/errors";
import type { FoundBackup } from "../backup/adopt";
import { clientBeside, findClient } from "../backup/client";
import { leftBehind, removeFolder, removeStale, startFolder } from "../backup/folder";
import { dumpFolder, type Manifest, verifyBackup } from "../backup/manifest";
import { folderFailure, lookAt } from "../backup/place";
import { readToc, type TocEntry } from "../backup/prove/toc";
import { mebi } from "../backup/room";
import type { Rules } from "./file";
import { planTables } from "./plan";
import { declaredColumns } from "./schema";
import { writeMasked } from "./write";

export { readRules, type Rules } from "./file";

export interface MaskOptions {
  readonly rules: Rules;
  /** Where the masked copy is written; default: beside the backup. */
  readonly directory?: string;
  /** Stops it, and removes what was written. */
  readonly signal: AbortSignal;
  /** Is told the tables that are through, of how many, and their rows. */
  readonly onProgress?: (progress: { tables: number; of: number; rows: number }) => void;
  /** Gets what somebody should look at, and what stops nothing. */
  readonly onWarning?: (line: string) => void;
  /** For PATH and GUARDIAN_PG_BIN. Default: the process's. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A backup with other values in the place of a person's; it is restored as any other. */
export interface MaskedBackup extends FoundBackup {
  /** Tables that come without rows, with their schema. */
  readonly empty: readonly string[];
  /** Whether an entry of the dump must not be restored: it holds what was not masked. */
  leavesOut(entry: Pick<TocEntry, "kind">): boolean;
  /** Removes it. May be called twice. */
  close(): Promise<void>;
}

/**
 * What a dump's table of contents holds besides definitions: passwords of other servers, and samples of rows (--statistics of
 * pg_dump 18). Settings of the database (DATABASE PROPERTIES) may be secrets; only --create restores them.
 */
const unmasked = /^(USER MAPPING|SUBSCRIPTION|SUBSCRIPTION TABLE|STATISTICS DATA|DATABASE|DATABASE PROPERTIES)$/;

/**
 * Makes a masked copy of a backup. The rows go from the backup's files through this process into those of the copy: no
 * database, here or where it is restored, ever holds an original one, nor do that server's WAL, replicas or backups. Definitions
 * come over as they are; what follows from rows (generated columns, indexes, keys, materialised views) is made anew by the
 * restore, which also tries every constraint. Large objects come over empty.
 *
 * If it fails, the copy is removed; after a kill -9 the next run does so (removeStale), and what lies there until then is
 * masked.
 *
 * @throws GuardianError masking-incomplete naming every column without a rule, before anything is written; backup-broken
 */
export async function maskBackup(backup: FoundBackup, options: MaskOptions): Promise<MaskedBackup> {
  const { signal, rules } = options;
  const directory = resolve(options.directory ?? dirname(resolve(backup.path)));
  const manifest = await verifyBackup(backup.path, { sha: true });
  leftBehind(await removeStale(directory)).forEach((line) => options.onWarning?.(line));
  const folder = await startFolder(directory, `${manifest.server.database}-masked`);
  try {
    if (manifest.formatVersion === 1) throw tooOld(backup.path);
    const path = await restorerOf(manifest, options.env);
    const restorer = { path, env: { LC_ALL: "C" }, signal, folder: folder.path };
    const dump = join(backup.path, dumpFolder);
    const toc = await readToc(restorer, dump);
    const plans = planTables(manifest, await declaredColumns(restorer, dump, toc), rules, backup.path);
    await refuseFull(directory, manifest);
    const copy = join(folder.path, "masked");
    const masking = { path: backup.path, manifest, toc, plans, rules };
    const masked = await writeMasked(masking, copy, options);
    const empty = plans.flatMap(({ table, columns }) => (columns ? [] : [`${table.schema}.${table.table}`]));
    return {
      name: folder.name,
      path: copy,
      manifest: masked,
      empty,
      leavesOut: ({ kind }) => unmasked.test(kind),
      close: () => removeFolder(folder),
    };
  } catch (err) {
    await removeFolder(folder);
    throw failure(err, signal, directory);
  }
}

function failure(err: unknown, signal: AbortSignal, directory: string): GuardianError {
  if (signal.aborted)
    return new GuardianError("interrupted", {
      what: "the masking of a backup was stopped; the backup stays, and what was masked of it is removed",
      where: directory,
      todo: "run it again",
    });
  return err instanceof Error && "syscall" in err ? folderFailure(err, directory) : fromPostgres(err, directory);
}

function tooOld(path: string): GuardianError {
  return new GuardianError("masking-incomplete", {
    what: "an older release made the backup, and does not say which columns it holds",
    where: path,
    todo: "mask a newer one",
  });
}

async function restorerOf({ pgDump }: Manifest, env?: NodeJS.ProcessEnv): Promise<string> {
  return clientBeside("pg_restore", await findClient("pg_dump", Number.parseInt(pgDump.version, 10), env), env);
}

/** What is masked compresses worse: nothing in it comes twice by chance. */
const growth = 2;

async function refuseFull(directory: string, { files }: Manifest): Promise<void> {
  const wanted = files.reduce((sum, { size }) => sum + size, 0) * growth;
  const { free } = await lookAt(directory);
  if (free >= wanted) return;
  throw new GuardianError("disk-too-small", {
    what: `the masked copy may take ${mebi(wanted)}, and ${mebi(free)} are free`,
    where: directory,
    todo: ["free space there", "name another folder for it"],
  });
}
