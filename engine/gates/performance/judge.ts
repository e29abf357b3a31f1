import { clockNoiseMs } from "../../../spec/slowdown";
import type { Declared } from "../check";
import type { Measured, Timed } from "./measure";

type Limits = Declared["limits"];

const order = ["passed", "warned", "failed"] as const;
/** Within the budget, above it, above what stops. */
type Level = (typeof order)[number];

/** With fewer runs the slowest of them is the 95th percentile, and that is chance. */
export const fewestRuns = 20;
/**
 * Pages by which one run may differ without anybody's doing: one more level of an index, a version of a row that is not
 * cleared away yet. What fails is more than twice of it above, as it is with the clock.
 */
export const pagesNoise = 1;
/** Pages from the root of an index to its leaves, where a table is as large as any of v6's. */
const levels = 4;
/** A table of so many pages is read whole, out of memory, within what clocks differ by: the planner may do so, or no more. */
export const smallPages = 32;

/** What came of one query. */
export interface Judged {
  readonly level: Level;
  /** Who decided: the clock, or the server's own account of pages and plans. */
  readonly by: "clock" | "pages and plan";
  /** By how much more there is of what decided, as a share of what there was then: 0.1 is a tenth more. */
  readonly more: number;
  /** Why the clock did not decide; undefined where it did. */
  readonly unsure: string | undefined;
}

/**
 * One query now against then. The clock decides, unless it does not agree with itself: then pages and plans do, which know
 * no noise. Another plan that reads more than the budget allows counts whatever the clock says: on a table that fits into
 * memory today it is fast.
 *
 * @param unsure why the clock is of no use in this measurement as a whole: `driftOf`
 */
export function judge(then: Measured, now: Measured, limits: Limits, unsure: string | undefined): Judged {
  const clock = levelOf(then.p95, now.p95, clockNoiseMs, limits);
  const allowed = allowedPages(then, now);
  const pages = levelOf(allowed, now.pages, pagesNoise, limits);
  const why = unsure ?? unsureOf(then, now, limits) ?? (clock === "passed" ? undefined : moreToRead(then, now, limits));
  const byPages = { level: pages, by: "pages and plan", more: share(allowed, now.pages), unsure: why } as const;
  if (why !== undefined) return byPages;
  const byClock = { level: clock, by: "clock", more: share(then.p95, now.p95), unsure: undefined } as const;
  const anotherPlan = then.plan !== now.plan && order.indexOf(pages) > order.indexOf(clock);
  return anotherPlan ? byPages : byClock;
}

/**
 * Whether the two were explained for the same accounts: for all that there were, or until the time was over after the same
 * one. A mean over some of them is not that over others. An account that is gone, or came in its place, is none of it.
 */
export const alike = (then: Measured, now: Measured): boolean =>
  then.explained === now.explained || [then, now].every(({ accounts, explained }) => explained >= accounts);

/**
 * Where the time was over before as many accounts were explained as then: those that are lacking count as having read
 * nothing, and by what plan is left open. What fails even so has failed.
 * @returns undefined where nothing is certain
 */
export function judgeCut(then: Measured, now: Measured, limits: Limits): Judged | undefined {
  if (now.explained >= then.explained) return undefined;
  const least = { ...now, pages: (now.pages * now.explained) / then.explained };
  const why = `the time was over after ${now.explained} accounts, and ${then.explained - now.explained} more count as no pages`;
  const judged = judge(then, least, limits, why);
  const samePlan = judge(then, { ...least, plan: then.plan }, limits, why);
  return judged.level === "failed" && samePlan.level === "failed" ? judged : undefined;
}

/** @returns why the clock says nothing of what was measured at two times: whatever reads no table takes another time too */
export function driftOf(then: Timed, now: Timed, limits: Limits): string | undefined {
  const limit = noticeable(Math.min(then.p95, now.p95), limits);
  if (Math.abs(then.p95 - now.p95) <= limit) return undefined;
  return `a query that reads no table takes ${ms(now.p95)} after ${ms(then.p95)}: the server, the network or this machine is not as it was`;
}

function unsureOf(then: Timed, now: Timed, limits: Limits): string | undefined {
  const fewest = Math.min(then.runs, now.runs);
  if (fewest < fewestRuns) return `${fewest} runs are too few for the clock`;
  const [widest, p95] = then.spread > now.spread ? [then.spread, then.p95] : [now.spread, now.p95];
  if (widest <= noticeable(p95, limits)) return undefined;
  return `the clock's own spread, ${ms(widest)} between two rounds of the same, is wider than the budget`;
}

/**
 * Weeks of rollout later an account has more rows: a clock that says more for them says nothing of what is slower. Pages know
 * how many were allowed for.
 */
function moreToRead({ rows: before }: Measured, { rows: now }: Measured, { warnSlowdown }: Limits): string | undefined {
  if (before === undefined || now === undefined || now <= Math.max(1, before) * (1 + warnSlowdown)) return undefined;
  return `an account has ${now.toFixed(1)} rows after ${before.toFixed(1)}, which take their time`;
}

/** What differs by less is the same: the budget, or what clocks differ by anyway. */
const noticeable = (value: number, { warnSlowdown }: Limits): number => Math.max(value * warnSlowdown, clockNoiseMs);

function levelOf(then: number, now: number, noise: number, { warnSlowdown, maxSlowdown }: Limits): Level {
  if (now <= Math.max(then * (1 + warnSlowdown), then + noise)) return "passed";
  return now <= Math.max(then * (1 + maxSlowdown), then + 2 * noise) ? "warned" : "failed";
}

/**
 * What the application has added in weeks of rollout is read by more pages, and nobody slowed it down: the accounts have more
 * rows, or with the same plan the table has more pages. The planner may also go about it in another way, since there are
 * more rows or it knows them better; that is as good as long as it reads no more than an index takes to find them one by one.
 */
function allowedPages(then: Measured, now: Measured): number {
  const rows = then.rows === undefined || now.rows === undefined ? 1 : now.rows / Math.max(1, then.rows);
  if (then.plan !== now.plan) return Math.max(then.pages * Math.max(1, rows), (now.rows ?? 0) + levels, smallPages);
  // Either: who reads rows alone meets growth of the table itself, and who reads their long values what lies apart.
  const whole = then.wholePages > 0 ? now.wholePages / then.wholePages : 1;
  return then.pages * Math.max(1, rows, whole, now.tablePages / Math.max(1, then.tablePages));
}

const share = (then: number, now: number): number => (then > 0 ? now / then - 1 : 0);

/** Milliseconds as people read them. */
export const ms = (value: number): string => `${value.toFixed(2)} ms`;
