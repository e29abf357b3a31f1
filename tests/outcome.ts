/** A test or hook that failed, and what the error said first. */
export interface Failure {
  title: string;
  said: string;
}

/** What came of a test file, as tests/support/reporter.cjs hands it over. */
export interface Counts {
  passed: number;
  skipped: number;
  failures: Failure[];
  /** Milliseconds. */
  ms: number;
  /** What took more than a third of its time limit (both in milliseconds): on a machine three times slower it would fail. */
  late: { title: string; ms: number; limit: number }[];
}

/** By file; "" for what mocha says of no file. */
export type Files = Record<string, Counts>;

/** @returns the counts of a file in which nothing ran */
export const none = (): Counts => ({ passed: 0, skipped: 0, failures: [], ms: 0, late: [] });

/** @returns the counts of all files together */
export function total(files: Files): Counts {
  return Object.values(files).reduce((sum, one) => plus(sum, one), none());
}

/** Adds what came of some files to what is known, as the same file runs on several versions of PostgreSQL. */
export function add(known: Files, more: Files): void {
  for (const [file, counts] of Object.entries(more)) known[file] = plus(known[file] ?? none(), counts);
}

const plus = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
  ms: a.ms + b.ms,
  late: [...a.late, ...b.late],
});

/** More failed files than these are no noise of the machine: nothing is tried again. */
const mostTried = 12;

/** @returns the files to run a second time, each by itself; none where too many failed or what failed belongs to no file */
export function worthAnotherTry(files: Files): string[] {
  const failed = Object.keys(files).filter((file) => (files[file]?.failures.length ?? 0) > 0);
  return failed.length > mostTried || failed.includes("") ? [] : failed;
}

/**
 * Takes what a second run of a file came to for what came of it, if that run was whole.
 *
 * @returns what failed at first, and passed when nothing ran beside it
 */
export function takeSecond(files: Files, file: string, second: Counts | undefined): Failure[] {
  const first = files[file];
  if (!first || !second || ran(second) < ran(first)) return [];
  const still = new Set(second.failures.map(({ title }) => title));
  files[file] = { ...second, ms: first.ms + second.ms };
  return first.failures.filter(({ title }) => !still.has(title));
}

const ran = ({ passed, skipped, failures }: Counts): number => passed + skipped + failures.length;
