import { json, type Command, type Whole } from "../scripts/command/description";

/** What a benchmark finds: figures, milliseconds where the name ends so. It is printed as one JSON object. */
export type Figures = Record<string, unknown>;

/** A whole number that the command line may set. */
type Numbered = Whole & { default: number };

/** What a benchmark is given to work with. */
export interface Run {
  /** The options by name, all of them set. */
  options: Partial<Record<string, number>>;
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
  options: Record<string, Numbered>;
  run: (run: Run) => Promise<Figures>;
}

/** `npm run bench` with these benchmarks. */
export function commandOf(benchmarks: readonly Benchmark[]): Command<{ json: typeof json }, Record<string, Numbered>> {
  const words = benchmarks.map(({ name, about, notes = [], options }) => {
    return [name, { about: [about, ...notes].join("\n"), options }] as const;
  });
  return {
    name: "npm run bench",
    purpose: "measures on this machine; starts what it needs and stops it again",
    words: { noun: "benchmark", placeholder: "NAME", each: Object.fromEntries(words) },
    options: { json },
    exits: { "0": "measured", "1": "it could not be", "130": "stopped by ^C" },
  };
}

/** A figure as it is printed, to thousandths. */
export const fixed = (value: number): number => Number(value.toFixed(3));

/** @returns the middle value; of an even number of values the mean of the two in the middle */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[half]];
  if (low === undefined || high === undefined) throw new RangeError("no values, no median");
  return (low + high) / 2;
}
