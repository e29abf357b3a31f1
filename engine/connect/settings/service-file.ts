import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { GuardianError } from "../../base/errors";
import { isKeyword, type Keyword } from "./parameters";

export interface Service {
  readonly name: string;
  readonly file: string;
  readonly values: ReadonlyMap<Keyword, string>;
}

/** Where the packagers' libpq looks when PGSYSCONFDIR is absent; `pg_config --sysconfdir` differs from one to the next. */
const systemFolders = [
  "/etc/postgresql-common",
  "/etc/sysconfig/pgsql",
  "/etc/postgresql",
  "/usr/local/etc/postgresql",
];

/** The user's home as libpq finds it: HOME first, then the password database. */
export function home(env: NodeJS.ProcessEnv): string {
  return env.HOME?.length ? env.HOME : homedir();
}

/**
 * Reads the service that PGSERVICE names (manual, libpq, "The Connection Service File"): PGSERVICEFILE or
 * ~/.pg_service.conf first, then pg_service.conf in PGSYSCONFDIR or the system's folder.
 *
 * @param given names another one, and says where it is named
 * @throws GuardianError if PGSERVICEFILE is not there, no file defines the service, or a line is wrong.
 */
export function readService(
  env: NodeJS.ProcessEnv,
  given?: { service?: string | undefined; origin: string },
): Service | undefined {
  const name = given?.service ?? env.PGSERVICE;
  const from = given?.service === undefined ? "PGSERVICE" : given.origin;
  if (!name) return undefined;
  const own = env.PGSERVICEFILE ?? join(home(env), ".pg_service.conf");
  const folders = env.PGSYSCONFDIR ? [env.PGSYSCONFDIR] : systemFolders;
  const files = [own, ...folders.map((folder) => join(folder, "pg_service.conf"))];
  for (const [i, file] of files.entries()) {
    if (!isFile(file)) {
      if (i > 0 || env.PGSERVICEFILE === undefined) continue;
      throw new GuardianError("setting-invalid", {
        what: `the service file ${file} does not exist`,
        where: "PGSERVICEFILE",
        todo: ["create the file", from === "PGSERVICE" ? "unset PGSERVICEFILE and PGSERVICE" : "unset PGSERVICEFILE"],
      });
    }
    const values = parseService(readFileSync(file, "utf8"), name, file);
    if (values) return { name, file, values };
  }
  throw new GuardianError("setting-invalid", {
    what: `no service file defines the service "${name}"`,
    where: `${from}; looked in ${files.join(", ")}`,
    todo: [
      `add a section [${name}] to ${own}`,
      from === "PGSERVICE" ? "unset PGSERVICE" : `correct the service in ${from}`,
    ],
  });
}

/**
 * The named section of a service file, or undefined. As in libpq a line is keyword=value without blanks around "=", the
 * first of two equal keywords wins, and only the named section's lines are looked at.
 */
function parseService(text: string, name: string, file: string): Map<Keyword, string> | undefined {
  let values: Map<Keyword, string> | undefined;
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("[")) {
      if (values) return values;
      if (line.startsWith(`[${name}]`)) values = new Map();
      continue;
    }
    if (!values) continue;
    const at = line.indexOf("=");
    const word = at < 0 ? line : line.slice(0, at);
    if (at < 0 || !isKeyword(word)) throw wrongLine(word, name, file, i + 1);
    if (!values.has(word)) values.set(word, line.slice(at + 1));
  }
  return values;
}

/** Names the keyword only: what follows "=" may be a password. */
function wrongLine(word: string, name: string, file: string, line: number): GuardianError {
  const what = word.startsWith("ldap")
    ? "the service is looked up by LDAP, which is not supported here"
    : word === "service"
      ? "a service cannot name another service"
      : word.length <= 40 && /^\w+\s*$/.test(word)
        ? `"${word}" is no connection parameter of libpq, or blanks stand around its "="`
        : "the line is not of the form keyword=value";
  return new GuardianError("setting-invalid", {
    what,
    where: `${file}:${line}, section [${name}]`,
    todo: "write keyword=value, one a line",
  });
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
