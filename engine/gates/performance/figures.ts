import type { Outcome } from "../check";
import type { Measured, Measurement, Result, Timed } from "./measure";
import { appQueries } from "./queries";

type Figures = NonNullable<Outcome["figures"]>;

/**
 * A measurement as a gate keeps it. A query that was not measured has no figures but its rows: 0 where its table had nobody
 * to ask for, none where it was slow, or nobody was found in time.
 */
export function figuresOf({ at, control, queries }: Measurement): Record<string, number> {
  const figures: Record<string, number> = { measuredAtEpochS: at, ...timesOf("control", control) };
  for (const [name, result] of queries) {
    if (result === "empty") figures[`${name}Rows`] = 0;
    if (typeof result === "string") continue;
    Object.assign(figures, timesOf(name, result));
    const { pages, accounts, explained, plan, tablePages, wholePages, rows } = result;
    Object.assign(figures, { [`${name}Pages`]: pages, [`${name}PlanHash`]: plan });
    Object.assign(figures, { [`${name}TablePages`]: tablePages, [`${name}WholePages`]: wholePages });
    Object.assign(figures, { [`${name}Accounts`]: accounts, [`${name}Explained`]: explained });
    if (rows !== undefined) figures[`${name}Rows`] = rows;
  }
  return figures;
}

const rounded = (ms: number): number => Number(ms.toFixed(4));

const timesOf = (name: string, { p50, p95, p99, spread, runs }: Timed): Record<string, number> => ({
  [`${name}P50Ms`]: rounded(p50),
  [`${name}P95Ms`]: rounded(p95),
  [`${name}P99Ms`]: rounded(p99),
  [`${name}SpreadMs`]: rounded(spread),
  [`${name}Runs`]: runs,
});

/** @returns what figuresOf made figures of; undefined of figures that are none of a measurement */
export function recordedIn(figures: Figures = {}): Measurement | undefined {
  const at = figures["measuredAtEpochS"];
  const control = timedIn("control", figures);
  if (at === undefined || !control) return undefined;
  const queries = new Map<string, Result>();
  for (const { name } of appQueries) queries.set(name, resultIn(name, figures));
  return { at, role: "", control, queries };
}

function resultIn(name: string, figures: Figures): Result {
  const names = ["Rows", "Pages", "PlanHash", "TablePages", "WholePages", "Accounts", "Explained"];
  const [rows, pages, plan, tablePages = 0, wholePages = 0, accounts = 0, explained = 0] = names.map(
    (what) => figures[`${name}${what}`],
  );
  const timed = timedIn(name, figures);
  if (!timed || pages === undefined || plan === undefined) return rows === 0 ? "empty" : "slow";
  const size = { rows, tablePages, wholePages };
  return { ...timed, pages, accounts, explained, plan, shapes: [], ...size } satisfies Measured;
}

function timedIn(name: string, figures: Figures): Timed | undefined {
  const [p50, p95, p99, spread, runs] = ["P50Ms", "P95Ms", "P99Ms", "SpreadMs", "Runs"].map(
    (what) => figures[`${name}${what}`],
  );
  if (p50 === undefined || p95 === undefined || p99 === undefined) return undefined;
  return { p50, p95, p99, spread: spread ?? 0, runs: runs ?? 0 };
}
