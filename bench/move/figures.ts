import { median, type Figures } from "../benchmark";
import type { Job, Outcome } from "./job";

/** The product moves rows at full speed here, as the statement does that it is compared with. */
export const throttled = false;

/** One run. */
export interface Measured {
  migration: string;
  how: Job["how"];
  /** Users of the database. */
  size: number;
  outcome: Outcome;
  /** It came before the others and warmed up: no time of it counts, but its memory and its transactions do. */
  warmUp?: true;
}

/** What a run is compared by: all of it but what the single statement does not do either. Milliseconds. */
export function comparable({ totalMs, proofMs, lockWaitMs }: Outcome): number {
  return totalMs - proofMs - lockWaitMs;
}

/** @returns the slope of log(y) over log(x), by least squares: 1 where y grows as x does, 2 where it grows as its square */
export function exponent(points: readonly (readonly [x: number, y: number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (of: 0 | 1): number => logs.reduce((sum, log) => sum + log[of], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  return covariance / logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
}

/** @returns how the product's time grows with one worker: the worse of both migrations, and each by its own */
export function growthOf(measured: readonly Measured[]): Figures {
  const names = [...new Set(measured.map(({ migration }) => migration))];
  const sizes = [...new Set(measured.map(({ size }) => size))];
  const timed = measured.filter(({ warmUp }) => !warmUp);
  const each = names.map((name) => {
    const at = (size: number, value: (outcome: Outcome) => number): number =>
      median(timed.filter((one) => one.migration === name && one.size === size).map(({ outcome }) => value(outcome)));
    const growth = (time: (outcome: Outcome) => number): number =>
      exponent(sizes.map((size) => [size, at(size, time)]));
    const seconds = sizes.map((size) => [size, round(at(size, comparable) / 1000)] as const);
    return [
      name,
      {
        growthExponent: round(growth(comparable)),
        growthExponentWithProof: round(growth(whole)),
        secondsBySize: Object.fromEntries(seconds),
      },
    ] as const;
  });
  const most = (value: (outcome: Outcome) => number): number =>
    round(Math.max(...measured.map(({ outcome }) => value(outcome))));
  return {
    growthExponent: Math.max(...each.map(([, one]) => one.growthExponent)),
    growthExponentWithProof: Math.max(...each.map(([, one]) => one.growthExponentWithProof)),
    longestTransactionMs: most(({ longestMs }) => longestMs),
    peakMemoryMb: most(({ memoryMb }) => memoryMb),
    memoryMbBySize: memoryBySize(measured, sizes),
    migrations: Object.fromEntries(each),
    rows: Math.max(...sizes),
  };
}

/** Everything but pauses for locks of others. Milliseconds. */
const whole = ({ totalMs, lockWaitMs }: Outcome): number => totalMs - lockWaitMs;

function memoryBySize(measured: readonly Measured[], sizes: readonly number[]): { [size: string]: number } {
  const most = (size: number): number =>
    round(Math.max(...measured.filter((one) => one.size === size).map(({ outcome }) => outcome.memoryMb)));
  return Object.fromEntries(sizes.map((size) => [size, most(size)]));
}

/**
 * @param largest the size at which ways are compared
 * @returns the lower ratio of both migrations, the worse of all else; each by its own beside
 */
export function figuresOf(measured: readonly Measured[], largest: number): Figures {
  const names = [...new Set(measured.map(({ migration }) => migration))];
  const sizes = [...new Set(measured.map(({ size }) => size))];
  const own = measured.filter(({ how }) => typeof how === "number");
  const timed = measured.filter(({ warmUp }) => !warmUp);
  const each = names.map((name) => {
    const of = (how: Job["how"], size: number, value: (outcome: Outcome) => number): number =>
      median(
        timed
          .filter((one) => one.migration === name && one.how === how && one.size === size)
          .map(({ outcome }) => value(outcome)),
      );
    const looking = measured.some((one) => one.migration === name && one.how === "looking");
    const raw = of("raw", largest, (outcome) => outcome.totalMs);
    const ratio = (how: 1 | 2, time: (outcome: Outcome) => number): number => raw / of(how, largest, time);
    const growth = (time: (outcome: Outcome) => number): number =>
      exponent(sizes.map((size) => [size, of(1, size, time)]));
    return {
      name,
      ratio: ratio(1, comparable),
      ratioTwoWorkers: ratio(2, comparable),
      withProofRatio: ratio(1, whole),
      withProofRatioTwoWorkers: ratio(2, whole),
      rowsPerSecond: of(1, largest, ({ rows, ...times }) => (1000 * rows) / comparable({ rows, ...times })),
      rowsPerSecondWithProof: of(1, largest, ({ rows, ...times }) => (1000 * rows) / whole({ rows, ...times })),
      batches: of(1, largest, (outcome) => outcome.batches),
      rawSeconds: raw / 1000,
      ...(looking && {
        ratioToLooking: of("looking", largest, (outcome) => outcome.totalMs) / of(1, largest, comparable),
        lookingSeconds: of("looking", largest, (outcome) => outcome.totalMs) / 1000,
      }),
      oneWorkerSeconds: of(1, largest, comparable) / 1000,
      twoWorkersSeconds: of(2, largest, comparable) / 1000,
      proofSeconds: of(1, largest, ({ proofMs }) => proofMs) / 1000,
      growthExponent: growth(comparable),
      growthExponentWithProof: growth(whole),
    };
  });
  const worst = (
    sort: "min" | "max",
    name:
      | "ratio"
      | "ratioTwoWorkers"
      | "withProofRatio"
      | "withProofRatioTwoWorkers"
      | "rowsPerSecond"
      | "batches"
      | "growthExponent"
      | "proofSeconds",
  ): number => round(Math[sort](...each.map((one) => one[name])));
  const most = (value: (outcome: Outcome) => number): number =>
    round(Math.max(...own.map(({ outcome }) => value(outcome))));
  return {
    ratio: worst("min", "ratio"),
    ratioTwoWorkers: worst("min", "ratioTwoWorkers"),
    rowsPerSecond: Math.round(worst("min", "rowsPerSecond")),
    batches: worst("max", "batches"),
    longestTransactionMs: most(({ longestMs }) => longestMs),
    peakMemoryMb: most(({ memoryMb }) => memoryMb),
    growthExponent: worst("max", "growthExponent"),
    // What they leave out (move's --help): the throttle, and the comparison, which is in these two.
    throttled,
    withProofRatio: worst("min", "withProofRatio"),
    withProofRatioTwoWorkers: worst("min", "withProofRatioTwoWorkers"),
    proofSeconds: worst("max", "proofSeconds"),
    lockWaitSeconds: most(({ lockWaitMs }) => lockWaitMs / 1000),
    memoryMbBySize: memoryBySize(own, sizes),
    migrations: Object.fromEntries(
      each.map(({ name, ...values }) => [
        name,
        Object.fromEntries(Object.entries(values).map(([key, value]) => [key, round(value)])),
      ]),
    ),
    rows: largest,
  };
}

const round = (value: number): number => Number(value.toFixed(3));
