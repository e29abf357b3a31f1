import { join } from "node:path";
import { GuardianError } from "../../base/errors";
import { toClientEnv, type ConnectionSettings } from "../../connect";
import type { Scratch } from "../../scratch/scratch";
import { runClient } from "../child";
import { clientFailure, isSpent } from "../messages";
import { digestGrowing, type Digest } from "./digest";
import { differs } from "./differs";
import type { Restorer } from "./toc";

/** What runs the clients: whence, how parallel, and as which version. */
export interface Clients {
  readonly pgDump: string;
  /** Major version of both. */
  readonly major: number;
  /** The scratch's. */
  readonly server: number;
  /** Whose the scratch is; absent where they work on something else. */
  readonly scratch?: Scratch["kind"] | undefined;
  /** As the scratch says. */
  readonly networked?: boolean | undefined;
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
  { restorer, jobs, major, server, scratch, networked = false }: Clients,
  dump: string,
  settings: ConnectionSettings,
  extra: readonly string[],
): Promise<void> {
  const args = [
    named(settings.fields.database),
    `--jobs=${jobs}`,
    ...(major > server ? [] : ["--exit-on-error"]),
    "--no-password",
    "--no-tablespaces",
    ...extra,
    dump,
  ];
  const { signal } = restorer;
  const result = await runClient(restorer.path, args, { env: toClientEnv(settings, "proof"), signal });
  signal.throwIfAborted();
  if (result.code === 0 || (major > server && onlyTooNew(result.stderr))) return;
  const failure = clientFailure("pg_restore", result, settings.toString());
  const blamed = scratch && ofScratch(failure, result.stderr, { ours: scratch === "embedded", networked });
  if (blamed) throw blamed;
  if (failure.code !== "backup-failed" || isSpent(result)) throw failure;
  throw differs("restore", `${failure.what} (${failure.where ?? ""})`, dump);
}

/** What the scratch is to blame for: nothing that the backup lacks. */
function ofScratch(
  failure: GuardianError,
  said: string,
  { ours, networked }: { ours: boolean; networked: boolean },
): GuardianError | undefined {
  const { where = "" } = failure;
  if (failure.code === "disk-full") {
    return new GuardianError("disk-full", {
      what: "the disk of the scratch server, on which the backup is restored, is full",
      where,
      todo: ours
        ? ["free space there", "set TMPDIR to a folder on a larger disk, with a short name"]
        : ["free space on the server that guardian:scratch names"],
    });
  }
  if (ours && /ERROR: +could ?n[o']t (establish connection|connect|resolve)/i.test(said)) {
    return new GuardianError("backup-unproven", {
      what: `rows cannot be restored on the scratch server, ${networked ? "from which another server was not reached" : "which has no network"}: a CHECK, an index, a generated column or a domain asks another server for each of them`,
      where,
      todo: [
        "see which function calls dblink or its like, and take it out of what is evaluated for each row",
        "restore where it may ask: a server of your own, by guardian:scratch",
      ],
    });
  }
  if (ours || !/ERROR: +(permission denied|must be (superuser|owner|able))/i.test(said)) return undefined;
  return new GuardianError("right-missing", {
    what: "the role of guardian:scratch may not make all that is in the backup, such as an extension or an event trigger",
    where,
    todo: ["name a superuser there in guardian:scratch", "take it out: an embedded server is used then"],
  });
}

const tooNew = 'could not execute query: ERROR: +unrecognized configuration parameter "transaction_timeout"$';

/**
 * A client of 17 and later sets transaction_timeout in each of its sessions, and older servers do not know it: nothing else
 * may have failed.
 */
function onlyTooNew(stderr: string): boolean {
  const errors = stderr.match(/^pg_restore: error: .*$/gm) ?? [];
  const ended = /^pg_restore: warning: errors ignored on restore: \d+$/m.test(stderr);
  return ended && errors.every((line) => new RegExp(`^pg_restore: error: ${tooNew}`).test(line));
}

/**
 * Dumps the copy, uncompressed, and reads what is written as it comes.
 * @param settings its database
 * @param written how the first dump wrote texts, and bytea; the latter is left to the server where absent
 * @returns the folder, and the digests of its files
 */
export async function dumpAgain(
  { pgDump, major, restorer, jobs }: Clients,
  settings: ConnectionSettings,
  written: { encoding: string; bytea?: string | undefined },
): Promise<{ folder: string; digests: Map<string, Digest> }> {
  const { encoding, bytea } = written;
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
    const env = toClientEnv(settings, "proof");
    if (bytea !== undefined) env["PGOPTIONS"] = `${env["PGOPTIONS"] ?? ""} -c bytea_output=${bytea}`.trim();
    const result = await runClient(pgDump, args, { env, signal });
    signal.throwIfAborted();
    if (result.code !== 0) throw clientFailure("pg_dump", result, settings.toString());
  };
  return { folder, digests: await digestGrowing(folder, work()) };
}
