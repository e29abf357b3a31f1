import type { Logins } from "../../scripts/v6/database";
import type { Run } from "../benchmark";
import { withServer } from "../server";
import { Contents, contentOf } from "./content";
import { countTarget, empty, prepare, settings } from "./data";
import type { Measured } from "./figures";
import { runJob, type Job, type Outcome } from "./job";

const migrations = ["consents", "preferences"] as const;
/** The ways by which each migration is moved at the largest size; at the others one worker is enough. */
export type Ways = Record<(typeof migrations)[number], readonly Job["how"][]>;

/** The sizes for growth: 10,000, 100,000 … and the largest. */
export function sizesUpTo(rows: number): number[] {
  const sizes: number[] = [];
  for (let size = 10_000; size < rows; size *= 10) sizes.push(size);
  return [...sizes, rows];
}

/** Moves both migrations at every size with one worker, and at the largest by the ways that are given. */
export function measureEach(run: Run, ways: Ways): Promise<Measured[]> {
  const { say, signal, options } = run;
  const { rows = 1_000_000, rounds = 3 } = options;
  return withServer(run, { settings }, async (server) => {
    const measured: Measured[] = [];
    for (const size of sizesUpTo(rows)) {
      signal.throwIfAborted();
      say(`v6 with ${size.toLocaleString("en")} users, every module applied`);
      const logins = await prepare(server, size);
      const largest = size === rows;
      const times = size <= 100_000 ? 2 * rounds - 1 : rounds; // what is short varies more
      for (const migration of migrations) {
        const runs = await alternate(logins, migration, largest ? ways[migration] : [1], times, {
          ...{ say, signal },
          warm: size <= 1_000_000,
        });
        measured.push(...runs.map((one) => ({ ...one, size })));
      }
    }
    return measured;
  });
}

type One = Omit<Measured, "size">;

/**
 * All ways in turn, each round beginning with another; before them one run that warms up, whose times do not count. It
 * is left out where a single run takes minutes.
 */
async function alternate(
  { admin, migrator }: Logins,
  migration: string,
  ways: readonly Job["how"][],
  rounds: number,
  { say, signal, warm }: Pick<Run, "say" | "signal"> & { warm: boolean },
): Promise<One[]> {
  const contents = new Contents(migration);
  const one = async (how: Job["how"]): Promise<One> => {
    signal.throwIfAborted();
    await empty(admin, migration);
    const outcome = await runJob({ login: migrator, migration, how }, signal);
    const there = await countTarget(admin, migration);
    if (there !== outcome.rows) throw new Error(`${migration} by ${how}: ${outcome.rows} rows said, ${there} there`);
    if (contents.lacks(how)) contents.add(how, await contentOf(admin, migration));
    say(`  ${line(migration, how, outcome)}`);
    return { migration, how, outcome };
  };
  const runs: One[] = warm ? [{ ...(await one(ways[0] ?? 1)), warmUp: true }] : [];
  for (let round = 0; round < rounds; round++) {
    const order = ways.map((_way, i) => ways[(i + round) % ways.length] ?? 1);
    for (const how of order) runs.push(await one(how));
  }
  const counts = new Map(runs.map(({ how, outcome }) => [outcome.rows, how]));
  if (counts.size > 1)
    throw new Error(`${migration}: ${[...counts].map(([n, how]) => `${n} rows by ${how}`).join(", ")}`);
  await empty(admin, migration);
  return runs;
}

function line(migration: string, how: Job["how"], outcome: Outcome): string {
  const { rows, totalMs, proofMs, lockWaitMs, longestMs, longest, memoryMb } = outcome;
  const text = `${migration}, ${typeof how === "number" ? `${how} worker${how > 1 ? "s" : ""}` : how === "raw" ? "one statement" : "one statement that looks first"}: ${rows} rows in ${Math.round(totalMs)} ms`;
  if (typeof how !== "number") return text;
  const wait = lockWaitMs > 0 ? `, ${Math.round(lockWaitMs)} ms pauses for locks` : "";
  return `${text}, of these ${Math.round(proofMs)} ms comparison${wait}; longest transaction ${Math.round(longestMs)} ms (${longest}), ${memoryMb.toFixed(1)} MiB`;
}
