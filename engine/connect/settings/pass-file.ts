import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "./secret";
import { home } from "./service-file";

/** What an entry of the password file is matched against: what was asked for, not what it resolves to. */
export interface PassKey {
  /** Host name, or socket folder; "localhost" stands for the default socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

export interface PassResult {
  readonly password?: Secret;
  /** Why the file was not used, as libpq warns; never its contents. */
  readonly warning?: string;
}

/**
 * Looks the password up in PGPASSFILE or ~/.pgpass (manual, libpq, "The Password File"). As in libpq a file that is not
 * there counts as empty, one that others can read is left aside with a warning, and the first matching line wins. The
 * `pgpass` package is not used: it reads process.env by itself, and takes `\\:` for an escaped colon.
 */
export function readPassword(file: string | undefined, key: PassKey, env: NodeJS.ProcessEnv): PassResult {
  const path = file ?? join(home(env), ".pgpass");
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return {};
  if (!stats.isFile()) return { warning: `password file ${path} is not a plain file and was not used` };
  if (process.platform !== "win32" && (stats.mode & 0o077) !== 0) {
    return { warning: `password file ${path} can be read by others and was not used; mend: chmod 0600 ${path}` };
  }
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return { warning: `password file ${path} could not be read` };
  }
  for (const line of text.split(/\r?\n/)) {
    const password = line === "" || line.startsWith("#") ? undefined : match(line, key);
    if (password !== undefined) return { password: new Secret(password) };
  }
  return {};
}

/** The line's password if its four fields match, each literally (after unescaping) or by "*". */
function match(line: string, key: PassKey): string | undefined {
  const fields = splitFields(line);
  if (fields.length < 5) return undefined;
  const wanted = [key.host, String(key.port), key.database, key.user];
  const fits = wanted.every((value, i) => fields[i] === "*" || unescape(fields[i] ?? "") === value);
  return fits ? unescape(fields[4] ?? "") : undefined;
}

/** Splits at the colons that no backslash escapes; as in libpq the password, too, ends at such a colon. */
function splitFields(line: string): string[] {
  return line.match(/(?<=^|:)(\\.|[^:\\]|\\$)*/g) ?? [];
}

function unescape(field: string): string {
  return field.replace(/\\(.)/g, "$1");
}
