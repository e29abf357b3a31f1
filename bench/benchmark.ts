import { parseArgs } from "node:util";
import { GuardianError } from "../engine/errors";

/** What a benchmark finds: figures, milliseconds where the name ends so. It is printed as one JSON object. */
export type Figures = Record<string, unknown>;

/** A whole number that the command line may set. */
export interface Option {
  default: number;
  least: number;
  about: string;
}

/** What a benchmark is given to work with. */
export interface Run {
  /** The options by name, all of them set. */
  options: Record<string, number>;
  /** Takes a line for people; it goes to standard error. */
  say: (line: string) => void;
  /** Fires at ^C and SIGTERM: what was started is to be stopped. */
  signal: AbortSignal;
}

/** One benchmark. It starts what it needs and stops it again, whatever happens. */
export interface Benchmark {
  name: string;
  /** One line for --help. */
  about: string;
  /** More lines for --help: what its figures leave out. */
  notes?: readonly string[];
  options: Record<string, Option>;
  run: (run: Run) => Promise<Figures>;
}

/** Wrong use of the command: exit code 2. */
export class UsageError extends GuardianError {}

/** What the command line asks for. */
export interface Command {
  benchmark: Benchmark | undefined;
  json: boolean;
  help: boolean;
  options: Record<string, number>;
}

/**
 * Reads `<name> [--json] [--help] [--option N]`.
 * @throws UsageError naming what is wrong and what there is
 */
export function parse(args: readonly string[], benchmarks: readonly Benchmark[]): Command {
  const flag = { type: "boolean", default: false } as const;
  const names = [...new Set(benchmarks.flatMap((one) => Object.keys(one.options)))];
  const own = Object.fromEntries(names.map((name) => [name, { type: "string" } as const]));
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...own, json: flag, help: { ...flag, short: "h" } },
    });
  } catch (err) {
    throw usage((err as Error).message.split(". ")[0] ?? "wrong option");
  }
  const { json, help, ...given } = parsed.values as Record<string, string | boolean | undefined>;
  const [name, ...more] = parsed.positionals;
  const benchmark = benchmarks.find((one) => one.name === name);
  const known = benchmarks.map((one) => one.name).join(", ");
  if (more.length > 0) throw usage(`Unexpected argument '${more.join(" ")}'`);
  if (name !== undefined && !benchmark) throw usage(`There is no benchmark '${name}'; there are: ${known}`);
  if (!benchmark && help !== true) throw usage(`Name a benchmark: ${known}`);
  const options = benchmark ? numbers(benchmark, given) : {};
  return { benchmark, json: json === true, help: help === true, options };
}

function numbers(benchmark: Benchmark, given: Record<string, string | boolean | undefined>): Record<string, number> {
  const stranger = Object.keys(given).find((key) => given[key] !== undefined && !(key in benchmark.options));
  if (stranger) throw usage(`${benchmark.name} takes no --${stranger}`);
  const entries = Object.entries(benchmark.options).map(([key, option]) => {
    const text = given[key];
    if (text === undefined) return [key, option.default] as const;
    const value = typeof text === "string" && /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (value >= option.least) return [key, value] as const;
    throw usage(`--${key} must be a whole number from ${option.least}, not '${text}'`);
  });
  return Object.fromEntries(entries);
}

function usage(what: string): UsageError {
  return new UsageError({
    what,
    where: "npm run bench",
    todo: "`npm run bench -- --help` lists benchmarks and options",
  });
}

/** The text of --help: of one benchmark, or of all. */
export function help(benchmarks: readonly Benchmark[]): string {
  const lines = benchmarks.flatMap((one) => [
    `  ${one.name.padEnd(10)} ${one.about}`,
    ...(one.notes ?? []).map((note) => `  ${"".padEnd(10)} ${note}`),
    ...Object.entries(one.options).map(
      ([key, option]) => `  ${"".padEnd(10)}   --${key} N  ${option.about} (default ${option.default})`,
    ),
  ]);
  return [
    "npm run bench -- NAME [options]: measures on this machine; starts what it needs and stops it again",
    "",
    ...lines,
    "",
    "  --json     the last line of standard output is one JSON object; progress goes to standard error",
    "  --help     print this",
  ].join("\n");
}

/** @returns the middle value; of an even number of values the mean of the two in the middle */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[half]];
  if (low === undefined || high === undefined) throw new RangeError("no values, no median");
  return (low + high) / 2;
}
