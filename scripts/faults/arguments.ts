import type { Command, Values } from "../command/description";

/** With --clean, in seconds: what an up may take, and what all of them may take for each, beside one that takes so long. */
export const cleanLimits = { up: 180, each: 90 };

/** What is taken where it is not said. */
export const usually = { kills: 20, users: 22_000, usersOfClean: 300 };

const options = {
  kills: { least: 1, most: 100_000, about: `signals that must hit a running process (default ${usually.kills})` },
  clean: { least: 1, most: 1000, about: "kill nothing: so many runs of up on a v6 in use, in which no gate may fail" },
  seed: {
    value: "S",
    default: "1",
    about: "what is killed when follows from it; instants shift with the machine's speed",
  },
  // Fewer have neither a profile nor an account of each kind.
  users: {
    least: 20,
    most: 10_000_000,
    about: `users of v6 (default ${usually.users}, enough for two workers and the throttle; with --clean ${usually.usersOfClean})`,
  },
  proof: {
    about: "every backup is restored and compared, and kills hit that too: the run in it, and its scratch server",
  },
  json: { about: "standard output is one JSON line alone, without the table" },
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
database as it was before, no CLI hung and no process outlived its CLI by 6 s); maxLostRows (the most that one run lost).

With --clean nothing is killed. Each run is the stack dev's whole up with its preview, every backup proven and every gate asked, on a
fresh v6 that an application uses meanwhile: it reads, registers, uploads, changes, deletes for good, and closes accounts, that one
first whom the gates choose. The figures: clean (runs in which up succeeded, every check was asked and none failed, and nothing was
refused to the application); failed, warned, couldNotRun and checks (what each check of each gate said how often); upSeconds;
transactions and refused (of the application while up ran). An up has ${cleanLimits.up} s, all of them ${cleanLimits.up} s and
${cleanLimits.each} s for each.`,
  exits: {
    "0": "converged, none lost, none twice; with --clean every run clean",
    "1": "not so, or failed",
    "130": "stopped by ^C",
  },
} satisfies Command;
