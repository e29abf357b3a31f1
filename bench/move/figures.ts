import { fixed, median, type Figures } from "../benchmark";
import type { Job, Outcome } from "./job";

/** The product moves rows at full speed here, as the statement does that it is compared with. */
export const throttled = false;

/** What an operator would choose (guardian:legacyConsent). */
export const parameters: Record<string, object> = {
  consents: { mode: "assumed", legalBasis: "legitimate_interests", statement: "Nobody is real." },
  preferences: {},
};

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

/** What was measured, looked at from several sides. */
function viewOf(measured: readonly Measured[]) {
  const timed = measured.filter(({ warmUp }) => !warmUp);
  const names = [...new Set(measured.map(({ migration }) => migration))];
  const sizes = [...new Set(measured.map(({ size }) => size))];
  const of = (name: string, how: Job["how"], size: number, value: (outcome: Outcome) => number): number =>
    median(
      timed
        .filter((one) => one.migration === name && one.how === how && one.size === size)
        .map(({ outcome }) => value(outcome)),
    );
  const growth = (name: string, time: (outcome: Outcome) => number): number =>
    exponent(sizes.map((size) => [size, of(name, 1, size, time)]));
  // Of the product: one statement has neither.
  const own = measured.filter(({ how }) => typeof how === "number");
  const most = (value: (outcome: Outcome) => number, size?: number): number =>
    fixed(Math.max(...own.filter((one) => one.size === (size ?? one.size)).map(({ outcome }) => value(outcome))));
  const memoryMbBySize = Object.fromEntries(sizes.map((size) => [size, most(({ memoryMb }) => memoryMb, size)]));
  const costs = { longestTransactionMs: most(({ longestMs }) => longestMs), peakMemoryMb: most((it) => it.memoryMb) };
  return { names, sizes, of, growth, most, costs: { ...costs, memoryMbBySize } };
}

/** @returns how the product's time grows with one worker: the worse of both migrations, and each by its own */
export function growthOf(measured: readonly Measured[]): Figures {
  const { names, sizes, of, growth, costs } = viewOf(measured);
  const each = names.map((name) => {
    const seconds = sizes.map((size) => [size, fixed(of(name, 1, size, comparable) / 1000)] as const);
    const growthExponent = fixed(growth(name, comparable));
    const growthExponentWithProof = fixed(growth(name, whole));
    return [name, { growthExponent, growthExponentWithProof, secondsBySize: Object.fromEntries(seconds) }] as const;
  });
  return {
    growthExponent: Math.max(...each.map(([, one]) => one.growthExponent)),
    growthExponentWithProof: Math.max(...each.map(([, one]) => one.growthExponentWithProof)),
    ...costs,
    migrations: Object.fromEntries(each),
    rows: Math.max(...sizes),
  };
}

/** Everything but pauses for locks of others. Milliseconds. */
const whole = ({ totalMs, lockWaitMs }: Outcome): number => totalMs - lockWaitMs;

/**
 * @param largest the size at which ways are compared
 * @returns the lower ratio of both migrations, the worse of all else; each by its own beside
 */
export function figuresOf(measured: readonly Measured[], largest: number): Figures {
  const { names, of: medianOf, growth, most, costs } = viewOf(measured);
  const each = names.map((name) => {
    const of = (how: Job["how"], value: (outcome: Outcome) => number): number => medianOf(name, how, largest, value);
    const looking = measured.some((one) => one.migration === name && one.how === "looking");
    const raw = of("raw", ({ totalMs }) => totalMs);
    return {
      name,
      ratio: raw / of(1, comparable),
      ratioTwoWorkers: raw / of(2, comparable),
      withProofRatio: raw / of(1, whole),
      withProofRatioTwoWorkers: raw / of(2, whole),
      rowsPerSecond: of(1, ({ rows, ...times }) => (1000 * rows) / comparable({ rows, ...times })),
      rowsPerSecondWithProof: of(1, ({ rows, ...times }) => (1000 * rows) / whole({ rows, ...times })),
      batches: of(1, ({ batches }) => batches),
      rawSeconds: raw / 1000,
      ...(looking && {
        ratioToLooking: of("looking", ({ totalMs }) => totalMs) / of(1, comparable),
        lookingSeconds: of("looking", ({ totalMs }) => totalMs) / 1000,
      }),
      oneWorkerSeconds: of(1, comparable) / 1000,
      twoWorkersSeconds: of(2, comparable) / 1000,
      proofSeconds: of(1, ({ proofMs }) => proofMs) / 1000,
      growthExponent: growth(name, comparable),
      growthExponentWithProof: growth(name, whole),
    };
  });
  type Figure = Exclude<keyof (typeof each)[number], "name" | "ratioToLooking" | "lookingSeconds">;
  const worst = (sort: "min" | "max", name: Figure): number => fixed(Math[sort](...each.map((one) => one[name])));
  const { memoryMbBySize, ...costliest } = costs;
  return {
    ratio: worst("min", "ratio"),
    ratioTwoWorkers: worst("min", "ratioTwoWorkers"),
    rowsPerSecond: Math.round(worst("min", "rowsPerSecond")),
    batches: worst("max", "batches"),
    ...costliest,
    growthExponent: worst("max", "growthExponent"),
    // What they leave out (move's --help): the throttle, and the comparison, which is in these two.
    throttled,
    withProofRatio: worst("min", "withProofRatio"),
    withProofRatioTwoWorkers: worst("min", "withProofRatioTwoWorkers"),
    proofSeconds: worst("max", "proofSeconds"),
    lockWaitSeconds: most(({ lockWaitMs }) => lockWaitMs / 1000),
    memoryMbBySize,
    migrations: Object.fromEntries(
      each.map(({ name, ...values }) => [
        name,
        Object.fromEntries(Object.entries(values).map(([key, value]) => [key, fixed(value)])),
      ]),
    ),
    rows: largest,
  };
}
