import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { GuardianError } from "../base/errors";

export type ClientName = "pg_dump" | "pg_dumpall" | "pg_restore";

/** A PostgreSQL client program that was found and asked for its version. */
export interface ClientProgram {
  readonly path: string;
  /** Major version, such as 17. */
  readonly major: number;
  /** As the program says it, such as "17.4". */
  readonly version: string;
}

/**
 * Where packages put client programs, "*" standing for one folder: PGDG and Debian, Red Hat, Alpine, Homebrew on both
 * kinds of Mac, MacPorts, the installers of EDB and Postgres.app, and SUSE.
 */
const packaged = [
  "/usr/lib/postgresql/*/bin",
  "/usr/pgsql-*/bin",
  "/usr/libexec/postgresql*",
  "/opt/homebrew/opt/libpq/bin",
  "/opt/homebrew/opt/postgresql@*/bin",
  "/usr/local/opt/libpq/bin",
  "/usr/local/opt/postgresql@*/bin",
  "/opt/local/lib/postgresql*/bin",
  "/Library/PostgreSQL/*/bin",
  "/Applications/Postgres.app/Contents/Versions/*/bin",
  "/usr/lib/postgresql*/bin",
];

/**
 * Finds the program of the lowest major version that is not older than the server: pg_dump refuses newer servers
 * (manual, pg_dump, Notes). GUARDIAN_PG_BIN, if set, is the only folder looked in; else PATH, then the packages' folders.
 *
 * @throws GuardianError naming the package to install.
 */
export async function findClient(
  name: ClientName,
  serverMajor: number,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ClientProgram> {
  const folders = env.GUARDIAN_PG_BIN ? [env.GUARDIAN_PG_BIN] : [...pathFolders(env), ...packaged.flatMap(expand)];
  const found: ClientProgram[] = [];
  for (const path of programs(name, folders)) {
    const program = await askVersion(path);
    if (program) found.push(program);
  }
  const [best] = found.filter((one) => one.major >= serverMajor).sort((a, b) => a.major - b.major);
  if (best) return best;
  throw noClient(name, serverMajor, found, env);
}

/**
 * The path of another program of the same installation: what one writes the other reads, and pg_dumpall runs no pg_dump
 * but its own version's.
 * @throws GuardianError naming the package to install, where neither that folder nor another has it
 */
export async function clientBeside(name: ClientName, pgDump: ClientProgram, env?: NodeJS.ProcessEnv): Promise<string> {
  const beside = join(dirname(pgDump.path), name);
  return existsSync(beside) ? beside : (await findClient(name, pgDump.major, env)).path;
}

function pathFolders(env: NodeJS.ProcessEnv): string[] {
  return (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
}

/** The program in each folder that has it, each file once. Debian's wrapper, which picks a version itself, is left out. */
function programs(name: ClientName, folders: readonly string[]): string[] {
  const real = new Map<string, string>();
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      const target = realpathSync(path);
      if (statSync(target).isFile() && !target.endsWith("/pg_wrapper") && !real.has(target)) real.set(target, path);
    } catch {
      // not there, or not for us to run
    }
  }
  return [...real.values()];
}

function expand(pattern: string): string[] {
  const star = pattern.indexOf("*");
  if (star < 0) return [pattern];
  const base = pattern.slice(0, pattern.lastIndexOf("/", star));
  const prefix = pattern.slice(base.length + 1, star);
  const rest = pattern.slice(star + 1);
  try {
    const names = readdirSync(base).filter((entry) => entry.startsWith(prefix));
    return names.map((entry) => `${base}/${entry}${rest}`);
  } catch {
    return [];
  }
}

async function askVersion(path: string): Promise<ClientProgram | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000, env: { LC_ALL: "C" } });
    const version = /\(PostgreSQL\) (\S+)/.exec(stdout)?.[1];
    const major = Number.parseInt(version ?? "", 10);
    return version && major > 0 ? { path, major, version } : undefined;
  } catch {
    return undefined;
  }
}

function noClient(name: ClientName, major: number, found: ClientProgram[], env: NodeJS.ProcessEnv): GuardianError {
  const named = env.GUARDIAN_PG_BIN;
  const none = named ? "none is in the folder that GUARDIAN_PG_BIN names" : "none is installed";
  const old = found.map((one) => `${one.path} is ${one.version}`).join(", ");
  return new GuardianError("client-missing", {
    what: `${name} ${major} or later is needed for a PostgreSQL ${major} server; ${old === "" ? none : `only older ones are here: ${old}`}`,
    where: named ? `GUARDIAN_PG_BIN=${named}` : "PATH and the folders that packages use",
    todo: [
      ...(named
        ? ["correct GUARDIAN_PG_BIN, or unset it: then PATH and the folders that packages use are looked in"]
        : []),
      `Debian, Ubuntu: apt-get install postgresql-client-${major} (from the PGDG repository, apt.postgresql.org, if yours lacks it)`,
      `Fedora, Red Hat: dnf install postgresql${major} (PGDG repository, yum.postgresql.org)`,
      `macOS: brew install postgresql@${major}`,
      ...(named ? [] : ["set GUARDIAN_PG_BIN to the folder that holds pg_dump and pg_restore"]),
    ],
  });
}
