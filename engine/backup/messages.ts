import type { ErrorCode } from "../../spec/codes";
import { GuardianError } from "../base/errors";
import type { ChildResult } from "./child";

interface Cause {
  /** Looked for in all that the program said; what it matches is not shown. */
  readonly sign: RegExp;
  readonly code: ErrorCode;
  readonly what: string;
  readonly todo: readonly string[];
}

/** What goes wrong with pg_dump and pg_restore in practice; the first that fits wins. */
const causes: readonly Cause[] = [
  {
    sign: /No space left on device|File too large|Disk quota exceeded/,
    code: "disk-full",
    what: "the disk is full, or a limit on file size is reached",
    todo: ["free space there", "set guardian:backup.directory to a larger disk"],
  },
  {
    sign: /row-level security/,
    code: "right-missing",
    what: "row security hides rows from this role, and a backup must hold all",
    todo: ["as a superuser: ALTER ROLE … BYPASSRLS", "connect as the owner of the tables"],
  },
  {
    sign: /permission denied for|must be owner of/,
    code: "right-missing",
    what: "this role may not read all that a backup must hold",
    todo: ["grant SELECT on what is named and USAGE on its schema", "connect as a role that owns the tables"],
  },
  {
    sign: /server version mismatch|unsupported version \(.*\) in file header/,
    code: "client-missing",
    what: "the client program is older than what it has to read",
    todo: ["install PostgreSQL client programs of the server's major version, or later"],
  },
  {
    // pg_dump implements --lock-wait-timeout by statement_timeout.
    sign: /due to (lock|statement) timeout/,
    code: "lock-timeout",
    what: "another session holds an exclusive lock on a table, and the lock was not to be had in time",
    todo: ["see who holds it in pg_locks and pg_stat_activity, let it end, then run again"],
  },
  {
    sign: /too many (clients|connections)|connection slots/,
    code: "too-many-connections",
    what: "the server has no free connection for the dump's jobs",
    todo: ["lower guardian:backup.jobs", "raise max_connections"],
  },
  {
    sign: /snapshot|could not import/,
    code: "backup-failed",
    what: "the transaction whose snapshot the dump shares is gone",
    todo: ["run again"],
  },
  {
    sign: /server closed the connection|terminating connection|connection to server .* failed|connection .* (lost|closed)|SSL error/,
    code: "connection-lost",
    what: "the connection to the server was lost or refused",
    todo: ["check that the server runs and has free connections, then run again"],
  },
  {
    sign: /could not create directory|could not open output file|Permission denied|Read-only file system/,
    code: "folder-unusable",
    what: "the backup's folder cannot be written",
    todo: ["set guardian:backup.directory to a folder that this user may write"],
  },
];

/** Lines that name objects only, in the words of pg_dump 15 to 18; all other text may quote a row. */
const harmless = [
  /^permission denied for \w+( \w+)? \S+$/,
  /^Dumping the contents of table "[^"]*" failed: PQget\w+\(\) failed\.?$/,
  /^could not (write to|open|close|create|read)( \w+)* (file|directory)( "[^"]*")?: [\w ]+$/,
  /^aborting because of server version mismatch$/,
  /^a worker process died unexpectedly$/,
  /^could not obtain lock on relation "[^"]*"$/,
  /^no matching (tables|schemas) were found$/,
  /^(role|schema|relation|type|extension|language|access method|collation "[^"]*" for encoding) "[^"]*" does not exist$/,
  /^extension "[^"]*" is not available$/,
];

/**
 * What of a client's standard error may be shown: of each "pg_dump: error:" line the text if it can only name objects,
 * else what comes before the server's own words. Details, hints, statements and continued lines are dropped.
 */
export function speakable(stderr: string): string[] {
  const lines: string[] = [];
  for (const line of stderr.split("\n")) {
    const text = /^pg_\w+: error: (.*)$/.exec(line)?.[1]?.trim();
    if (text === undefined) continue;
    const server = text.replace(/^(query failed|could not execute query): ERROR: +/, "");
    if (harmless.some((one) => one.test(server))) lines.push(server);
    else lines.push(`${/^[\w ()-]*/.exec(text)?.[0].trim() ?? ""} (the rest is withheld: it may quote a row)`.trim());
  }
  return [...new Set(lines)].slice(0, 5);
}

/**
 * Whether pg_restore ended for want of memory, by itself, its server's, or because it or a worker was killed: nothing is said
 * of the dump then. A worker that met an error says so in a line of its own, before it is missed.
 */
export function isSpent({ code, stderr }: ChildResult): boolean {
  const errors = stderr.match(/^pg_\w+: error: .*$/gm) ?? [];
  const lost = errors.length > 0 && errors.every((line) => line.endsWith(": a worker process died unexpectedly"));
  return (
    code > 128 || lost || errors.some((line) => /^pg_\w+: error: (.*: ERROR: +)?out of (shared )?memory/.test(line))
  );
}

/** The error for a client program that failed. */
export function clientFailure(program: string, result: ChildResult, where: string): GuardianError {
  const all = `${result.stderr}\n${result.stdout}`;
  const cause = result.code === 128 + 25 ? causes[0] : causes.find((one) => one.sign.test(all));
  const said = speakable(result.stderr).map((line) => `${program} said: ${line}`);
  return new GuardianError(cause?.code ?? "backup-failed", {
    what: `${program} failed: ${cause?.what ?? ended(result.code)}`,
    where: [where, ...said].join("; "),
    todo: cause?.todo ?? ["run again", `run ${program} by hand against the same database to see all it says`],
  });
}

function ended(code: number): string {
  return code > 128 ? `signal ${code - 128} ended it` : `it ended with code ${code}`;
}
