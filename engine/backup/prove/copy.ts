import { join } from "node:path";
import { toClientEnv, type ConnectionSettings } from "../../connect";
import { runClient } from "../child";
import { clientFailure } from "../messages";
import { digestGrowing, type Digest } from "./digest";
import { differs } from "./differs";
import type { Restorer } from "./toc";

/** What runs the clients: whence, how parallel, and as which version. */
export interface Clients {
  readonly pgDump: string;
  /** Major version of both. */
  readonly major: number;
  readonly restorer: Restorer;
  readonly jobs: number;
}

/** A database by its name alone: libpq would take one with a = in it for more. */
const named = (database: string): string => `--dbname=dbname='${database.replace(/[\\']/g, "\\$&")}'`;

/**
 * Restores a dump into an empty database; whatever the server refuses is the end of it.
 * @param extra more of pg_restore's options
 * @throws GuardianError: backup-differs where the dump is to blame, else what was
 */
export async function restoreInto(
  { restorer, jobs }: Clients,
  dump: string,
  settings: ConnectionSettings,
  extra: readonly string[],
): Promise<void> {
  const args = [
    named(settings.fields.database),
    `--jobs=${jobs}`,
    "--exit-on-error",
    "--no-password",
    "--no-tablespaces",
    // A subscription's drop would reach for its publisher.
    "--no-subscriptions",
    ...extra,
    dump,
  ];
  const { signal } = restorer;
  const result = await runClient(restorer.path, args, { env: toClientEnv(settings, "proof"), signal });
  signal.throwIfAborted();
  if (result.code === 0) return;
  const failure = clientFailure("pg_restore", result, settings.toString());
  if (failure.code !== "backup-failed") throw failure;
  throw differs("restore", `${failure.what} (${failure.where ?? ""})`, dump);
}

/**
 * Dumps the copy, uncompressed, and reads what is written as it comes.
 * @returns the folder, and the digests of its files
 */
export async function dumpAgain(
  { pgDump, major, restorer, jobs }: Clients,
  settings: ConnectionSettings,
  encoding: string,
): Promise<{ folder: string; digests: Map<string, Digest> }> {
  const folder = join(restorer.folder, "again");
  const args = [
    "--format=directory",
    `--file=${folder}`,
    `--jobs=${jobs}`,
    `--compress=${major < 16 ? "0" : "none"}`,
    `--encoding=${encoding}`,
    "--no-sync",
    "--no-password",
  ];
  const { signal } = restorer;
  const work = async (): Promise<void> => {
    const result = await runClient(pgDump, args, { env: toClientEnv(settings, "proof"), signal });
    signal.throwIfAborted();
    if (result.code !== 0) throw clientFailure("pg_dump", result, settings.toString());
  };
  return { folder, digests: await digestGrowing(folder, work()) };
}
