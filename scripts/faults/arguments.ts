import { parseArgs } from "node:util";
import { GuardianError } from "../../engine/errors";

export const help = `npm run faults [-- options]: kill the migration again and again, and compare with a run that nobody disturbed

Starts a PostgreSQL of its own with made-up users of a Guardian v6 and the real Pulumi engine. One undisturbed run there
and back is the measure. Then SIGKILL hits, at random instants of up, of rolling back the data stage and of destroy: the
CLI, the plugin, one of the plugin's backends, or the whole server. Each time it goes on as an operator would (pulumi
cancel, refresh --clear-pending-creates where operations are pending, the same command again) and compares what is in
the database. While it goes up, v6 is written to (accounts that come and go, profiles that change and change back); between
the runs users of v7 write rows, which must survive. Ranges of the plan are so short that the data moves in dozens of
batches. Everything is in a temporary folder.

  --kills N   signals that must hit a running process (default 20)
  --seed S    what is killed when follows from it (default 1); instants shift with the machine's speed
  --users N   users of v6 (default 22000: enough for two workers and the throttle)
  --json      standard output is one JSON line alone, without the table of kills
  --help      print this

Compared are the rows of every table, v6's own and those in the archive among them, and every definition: columns, keys,
rights, policies, functions, views, indexes. What differs by nature, such as times of the run, is listed in tables.ts.

The figures: kills; lost (rows of v6, of the undisturbed run or of users that are missing or changed); twice (rows of a key
beyond the first); both summed over all runs; converged (every run ended like the undisturbed one, rolled back: the
database as it was before, no CLI hung and no process outlived its CLI by 6 s); maxLostRows (the most that one run lost).

Exit codes: 0 converged, none lost, none twice; 1 not so, or failed; 2 wrong use; 130 stopped by ^C.`;

/** Wrong use of the command: exit code 2. */
export class UsageError extends GuardianError {}

export interface FaultOptions {
  kills: number;
  seed: string;
  users: number;
  json: boolean;
  help: boolean;
}

/** Reads the command line. @throws UsageError naming what is wrong with it. */
export function parse(args: readonly string[]): FaultOptions {
  const [text, flag] = [{ type: "string" }, { type: "boolean" }] as const;
  const options = { kills: text, seed: text, users: text, json: flag, help: { ...flag, short: "h" } } as const;
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (err) {
    throw usage((err as Error).message.split(". ")[0] ?? "wrong option");
  }
  const { seed = "1", json = false, help = false } = values;
  return {
    kills: whole("kills", values.kills ?? "20", 1, 100_000),
    seed,
    // Fewer have neither a profile nor an account of each kind.
    users: whole("users", values.users ?? "22000", 20, 10_000_000),
    json,
    help,
  };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw usage(`--${name} must be a whole number from ${least} to ${most}, not '${text}'`);
}

function usage(what: string): UsageError {
  return new UsageError({ what, where: "npm run faults", todo: "`npm run faults -- --help` lists the options" });
}
