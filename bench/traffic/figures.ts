import { slowdownBudget } from "../../spec/slowdown";
import { fixed, median, type Figures } from "../benchmark";
import { filter, percentile, within, type Seen, type Span } from "./record";
import { classes } from "./requests";
import { blame, type Blame, type Step } from "./steps";

/** What was seen in one stretch of time. */
export interface Window {
  record: Seen;
  span: Span;
}

/** A stretch in which the whole `up` ran. */
export interface UpWindow extends Window {
  steps: Step[];
}

const shares = { p50: 0.5, p95: 0.95, p99: 0.99 };
type Name = keyof typeof shares;
type ByName = { [name in Name]: number };

/** All that is printed; how far the control's windows are apart tells whether the rest means anything. */
export type Found = Figures & { controlSpread: ByName };

const names = Object.keys(shares) as Name[];

/** The ledger's name of what is timed and printed apart. */
const backup = "Backup";

/**
 * Percentiles are taken of each window, and of those of all windows the median: a neighbour on the machine who spoils one
 * window must not be taken for the product. The worst windows are there too.
 * @param controls without, @param ups with the whole `up`; each of at least one
 */
export function figures(controls: readonly Window[], ups: readonly UpWindow[]): Found {
  const apart = ups.map(({ record, steps }) => {
    const dump = steps.filter(({ kind }) => kind === backup);
    return {
      dump: filter(record, (at) => within(dump, at)),
      rest: filter(record, (at) => !within(dump, at)),
      seconds: dump.reduce((sum, { from, to }) => sum + (to - from) / 1000, 0),
    };
  });
  const [quiet, rests, dumps] = [
    controls.map(({ record }) => record),
    apart.map((one) => one.rest),
    apart.map((one) => one.dump),
  ];
  const ratio = (records: readonly Seen[], name: Name): number => of(records, name) / of(quiet, name);
  const p99s = each(quiet, "p99");
  const failures = [...controls, ...ups].flatMap(({ record }) => record.failures);
  const slow = of(quiet, "p99");
  const limit = (1 + slowdownBudget.warn) * of(quiet, "p95");
  return {
    p50Ratio: fixed(ratio(rests, "p50")),
    p95Ratio: fixed(ratio(rests, "p95")),
    p99Ratio: fixed(ratio(rests, "p99")),
    controlP99Spread: fixed(Math.max(...p99s) / Math.min(...p99s)),
    backupP95Ratio: fixed(ratio(dumps, "p95")),
    failedTransactions: failures.length,
    upSeconds: fixed(median(ups.map(({ span }) => (span.to - span.from) / 1000))),
    backupSeconds: fixed(median(apart.map(({ seconds }) => seconds))),
    failures: count(failures.map(({ code, name }) => `${code} ${name}`)),
    p99RatioWorst: fixed(Math.max(...each(rests, "p99")) / slow),
    controlSpread: Object.fromEntries(names.map((name) => [name, fixed(spread(each(quiet, name)))])) as ByName,
    controlMs: table(quiet),
    upMs: table(rests),
    backupMs: table(dumps),
    slowestMs: { control: each(quiet, 1), up: each(rests, 1), backup: each(dumps, 1) },
    classP99Ratio: Object.fromEntries(classes.map(({ name }) => [name, fixed(ratioOf(rests, quiet, name))])),
    lateP99Ms: { control: late(quiet), up: late(rests), backup: late(dumps) },
    ...{ slow: blamed(ups, slow), slowFromMs: fixed(slow) },
    // What p95Ratio is made of: its limit is over where these are more than 5 % of all.
    ...{ overLimit: blamed(ups, limit), limitMs: fixed(limit) },
  };
}

function blamed(ups: readonly UpWindow[], from: number): Blame[] {
  return blame(ups, from).map((one) => ({ ...one, seconds: fixed(one.seconds), worstMs: fixed(one.worstMs) }));
}

/** One class's p99 beside that of the control. */
function ratioOf(records: readonly Seen[], quiet: readonly Seen[], wanted: string): number {
  const only = (all: readonly Seen[]): Seen[] => all.map((one) => filter(one, (_, name) => name === wanted));
  return of(only(records), "p99") / of(only(quiet), "p99");
}

/** A percentile (1: the slowest) of each window that had requests at all: a window of a small test may have none. */
function each(records: readonly Seen[], which: Name | 1): number[] {
  return records
    .filter(({ latency }) => latency.length > 0)
    .map(({ latency }) => fixed(percentile(latency, which === 1 ? 1 : shares[which])));
}

function of(records: readonly Seen[], name: Name): number {
  return median(each(records, name));
}

function late(records: readonly Seen[]): number {
  return fixed(median(records.filter((one) => one.late.length > 0).map((one) => percentile(one.late, 0.99))));
}

function spread(values: readonly number[]): number {
  return Math.max(...values) / Math.min(...values);
}

function table(records: readonly Seen[]): ByName {
  return { p50: of(records, "p50"), p95: of(records, "p95"), p99: of(records, "p99") };
}

function count(codes: readonly string[]): { [code: string]: number } {
  const counted: { [code: string]: number } = {};
  for (const code of codes) counted[code] = (counted[code] ?? 0) + 1;
  return counted;
}
