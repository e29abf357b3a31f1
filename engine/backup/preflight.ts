import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { escapeIdentifier } from "pg";
import { count, type Queryable, type ServerInfo } from "../connect";
import { GuardianError } from "../base/errors";
import { findClient } from "./client";
import { hiddenLargeObjects, type MissingRight, missingRights } from "./tables";

export interface PreflightOptions {
  readonly server: ServerInfo;
  /** "host:port/database as user", for errors. */
  readonly where: string;
  /** Where backups go; need not exist yet. */
  readonly directory: string;
  readonly excludeSchemas: readonly string[];
  /** For PATH and GUARDIAN_PG_BIN. */
  readonly env: NodeJS.ProcessEnv;
}

export interface Preflight {
  /** Each of these would make the backup fail. */
  readonly errors: readonly GuardianError[];
  readonly warnings: readonly string[];
}

/**
 * Finds out, without writing anything anywhere, whether a backup can be made: client programs, rights, folder, space.
 * For preview, and again before the dump.
 */
export async function preflight(db: Queryable, options: PreflightOptions): Promise<Preflight> {
  const { server, where, directory, excludeSchemas, env } = options;
  const errors: GuardianError[] = [];
  const collect = (err: unknown) => {
    if (!(err instanceof GuardianError)) throw err;
    errors.push(err);
  };
  await findClient("pg_dump", server.major, env).catch(collect);
  await findClient("pg_restore", server.major, env).catch(collect);
  await writable(resolve(directory)).catch(collect);
  const missing = await missingRights(db, excludeSchemas);
  if (missing.length > 0) errors.push(rightsError(missing, server.user, where));
  const hidden = await hiddenLargeObjects(db);
  if (hidden > 0) {
    errors.push(
      new GuardianError("right-missing", {
        what: `${server.user} may not read ${hidden} large objects, and a backup must hold all`,
        where,
        todo: ["as their owner: GRANT SELECT ON LARGE OBJECT … TO that role", "connect as a superuser"],
      }),
    );
  }
  return { errors, warnings: await spaceWarning(db, resolve(directory)) };
}

/** Tests without writing; a folder that is not there yet is made later, in the nearest one that is. */
async function writable(directory: string): Promise<void> {
  const base = await nearest(directory);
  try {
    await access(base, constants.W_OK | constants.X_OK);
  } catch (err) {
    throw folderFailure(err, directory);
  }
}

async function nearest(directory: string): Promise<string> {
  for (let at = directory; ; at = dirname(at)) {
    const found = await stat(at).catch((err: unknown) => {
      if (err instanceof Error && "code" in err && err.code === "ENOENT") return undefined;
      throw folderFailure(err, directory);
    });
    if (found && !found.isDirectory()) throw folderFailure(undefined, directory);
    if (found) return at;
  }
}

/** The error for a backup folder that cannot be made, written or read; `err` is what node:fs threw. */
export function folderFailure(err: unknown, directory: string): GuardianError {
  if (err instanceof GuardianError) return err;
  const code = err instanceof Error && "code" in err ? String(err.code) : "ENOTDIR";
  const full = ["ENOSPC", "EDQUOT", "EFBIG"].includes(code);
  const what = full ? "the disk is full" : "the backup folder cannot be written";
  return new GuardianError(full ? "disk-full" : "folder-unusable", {
    what: `${what} (${code})`,
    where: directory,
    todo: [
      full ? "free space there" : "make the folder, for the user that runs this alone (mode 0700)",
      "set guardian:backup.directory to another place",
    ],
  });
}

const shown = 20;

/** Names what is missing by the statements that mend it. */
function rightsError(missing: readonly MissingRight[], user: string, where: string): GuardianError {
  const role = escapeIdentifier(user);
  const bypass = `ALTER ROLE ${role} BYPASSRLS;`;
  const statements = missing.map(({ kind, name }) =>
    kind === "rows"
      ? bypass
      : `GRANT ${kind === "schema" ? "USAGE" : "SELECT"} ON ${kind.toUpperCase()} ${name} TO ${role};`,
  );
  const hiding = missing.filter(({ kind }) => kind === "rows").map(({ name }) => name);
  const unique = [...new Set(statements)];
  const more = unique.length > shown ? [`… and ${unique.length - shown} more of this kind`] : [];
  const objects = missing.length - hiding.length;
  const names = hiding.length > 5 ? [...hiding.slice(0, 5), `${hiding.length - 5} more`] : hiding;
  const parts = [
    ...(objects > 0 ? [`${user} may not read ${objects} ${objects === 1 ? "object" : "objects"}`] : []),
    ...(hiding.length > 0 ? [`row security hides rows of ${names.join(", ")} from ${user}`] : []),
  ];
  return new GuardianError("right-missing", {
    what: `${parts.join(", and ")}; a backup must hold all`,
    where,
    todo: [`as a superuser or the owner: ${[...unique.slice(0, shown), ...more].join(" ")}`, "connect as their owner"],
  });
}

/** A compressed dump is usually smaller than the database, so too little space is a warning. */
async function spaceWarning(db: Queryable, directory: string): Promise<string[]> {
  const text = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes";
  const size = count((await db.query<{ bytes: string }>(text)).rows[0]?.bytes);
  try {
    const disk = await statfs(await nearest(directory));
    const free = disk.bavail * disk.bsize;
    return free >= size
      ? []
      : [`the database has ${mebi(size)}, and only ${mebi(free)} are free for its backup in ${directory}`];
  } catch {
    return []; // no such folder: said as an error
  }
}

function mebi(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
