import { parseConninfo, resolveConnection, type ConnectionSettings } from "../../engine/connect";
import type { Restored, RestoredTable, RestoreProgress } from "../../engine/backup/restore";
import { figure, table } from "../demo/table";

/** Ways to say a password that no list of processes and no history of a shell shows. */
export const passwordWays = [
  "change it, since the shell's history has it; leave it out there, and set the variable PGPASSWORD",
  "write it into ~/.pgpass (mode 0600): HOST:PORT:DATABASE:USER:PASSWORD",
  "name it: --password-from env:NAME, or --password-from file:PATH",
];

/**
 * The connection that --to names; what it leaves out is libpq's own variables and files.
 * @param exposed called where it holds a password, which everybody sees who lists the processes
 */
export function target(
  to: string,
  passwordFrom: string | undefined,
  env: NodeJS.ProcessEnv,
  exposed: () => Error,
): ConnectionSettings {
  const conninfo = parseConninfo(to, "--to");
  if (conninfo.exposed) throw exposed();
  const input = passwordFrom === undefined ? undefined : { passwordFrom };
  const { values, service } = conninfo;
  return resolveConnection(input, env, { values, service, origin: "--to", passwordFrom: "--password-from" });
}

/** Says what a restore is at, when it changes and every ten seconds. */
export function progress(say: (line: string) => void): (progress: RestoreProgress) => void {
  let last: { phase: string; at: number } = { phase: "", at: 0 };
  return ({ phase, seconds }) => {
    if (phase === last.phase && seconds < last.at + 10) return;
    last = { phase, at: seconds };
    say(`${doing[phase]} (${Math.round(seconds)} s)`);
  };
}

const doing: Record<RestoreProgress["phase"], string> = {
  hashing: "reading the backup, and comparing its hashes",
  roles: "making roles and the database",
  restoring: "restoring the content",
  comparing: "comparing what was restored with what was dumped",
  finishing: "setting what is set of the database",
};

/** What a restore has done, in lines for people. */
export function report(done: Restored): string[] {
  const { roles, passwords, left, tables, rows, where, restoreSeconds, seconds } = done;
  const whole = left.length === 0;
  return [
    `restored into ${where}: ${figure(rows)} rows of ${figure(tables)} tables, compared with what was dumped; ${restoreSeconds} s to be back, ${seconds} s with the comparison`,
    ...(roles.length > 0 ? [`roles that were made: ${roles.join(", ")}`] : []),
    ...(passwords.length > 0
      ? [`a backup holds no password; these log in and need one (ALTER ROLE … PASSWORD): ${passwords.join(", ")}`]
      : []),
    whole
      ? "rows, definitions, roles and settings are as they were"
      : "rows and definitions are as they were; these are not:",
    ...(whole ? [] : table(left.map(({ what, why }) => ({ what, why })))),
  ];
}

/** The same of one table. */
export function tableReport({ where, table: name, name: now, rows, left, seconds }: RestoredTable): string[] {
  return [
    `restored ${name} as ${now} in ${where}: ${figure(rows)} rows, compared with what was dumped; ${seconds} s`,
    "only its owner may read it; it is not logged, so that no replica has it. Drop its schema when it is not needed",
    ...(left.length > 0 ? ["without:", ...table(left.map(({ what, why }) => ({ what, why })))] : []),
  ];
}
