import type { Command, Values } from "../command/description";

const options = {
  kills: { least: 1, most: 100_000, default: 20, about: "signals that must hit a running process" },
  seed: {
    value: "S",
    default: "1",
    about: "what is killed when follows from it; instants shift with the machine's speed",
  },
  // Fewer have neither a profile nor an account of each kind.
  users: {
    least: 20,
    most: 10_000_000,
    default: 22_000,
    about: "users of v6; enough for two workers and the throttle",
  },
  proof: {
    about: "every backup is restored and compared, and kills hit that too: the run in it, and its scratch server",
  },
  json: { about: "standard output is one JSON line alone, without the table of kills" },
} as const;

export type FaultOptions = Values<typeof options>;

export const command = {
  name: "npm run faults",
  purpose: "kill the migration again and again, and compare with a run that nobody disturbed",
  about: `Starts a PostgreSQL of its own with made-up users of a Guardian v6 and the real Pulumi engine. One undisturbed run there
and back is the measure. Then SIGKILL hits, at random instants of up, of rolling back the data stage and of destroy: the
CLI, the plugin, one of the plugin's backends, or the whole server. Each time it goes on as an operator would (pulumi
cancel, refresh --clear-pending-creates where operations are pending, the same command again) and compares what is in
the database. While it goes up, v6 is written to (accounts that come and go, profiles that change and change back); between
the runs users of v7 write rows, which must survive. Ranges of the plan are so short that the data moves in dozens of
batches. Everything is in a temporary folder.`,
  options,
  notes: `Compared are the rows of every table, v6's own and those in the archive among them, and every definition: columns, keys,
rights, policies, functions, views, indexes. What differs by nature, such as times of the run, is listed in tables.ts.

The figures: kills; lost (rows of v6, of the undisturbed run or of users that are missing or changed); twice (rows of a key
beyond the first); both summed over all runs; converged (every run ended like the undisturbed one, rolled back: the
database as it was before, no CLI hung and no process outlived its CLI by 6 s); maxLostRows (the most that one run lost).`,
  exits: { "0": "converged, none lost, none twice", "1": "not so, or failed", "130": "stopped by ^C" },
} satisfies Command;
