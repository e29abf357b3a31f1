import { fromPostgres } from "../base/errors";
import type { Queryable } from "../base/sql";
import type { Database } from "../database";

/** `could not run` is not passed. The last two come with the reason. */
type Verdict = "passed" | "warned" | "failed" | "could not run" | "not applicable";

/** What a check found. No row values: names, counts and times. */
export interface Finding {
  readonly verdict: Verdict;
  /** What was seen, a line each; names at most as many as one reads. */
  readonly evidence: readonly string[];
  /** What was measured, by name; the name ends in its unit. */
  readonly figures?: Readonly<Record<string, number>>;
  /** What mends it, a line each; of what did not pass. */
  readonly mend?: readonly string[];
}

/** What a check may look at: reading transactions, and what the stack declares. */
export interface Site {
  readonly db: Queryable;
  readonly host: Database;
  readonly declared: Declared;
  /** What the gate before the schema stage recorded, by the check's name: the baseline of what is measured again. */
  readonly before: ReadonlyMap<string, Outcome>;
}

/**
 * What a check reads, and thereby where it runs. `catalogue`: catalogue, statistics, and counts of tables of up to 200,000
 * rows; in preview too. `queries`: it runs the application's queries, or calls functions and rolls back; by `npm run gates`
 * and in an `up`. `pass`: it reads whole tables; only in an `up` that changes their stage.
 */
export type Cost = "catalogue" | "queries" | "pass";

/** What checks judge by: a part of the stack's configuration, and where they run. */
export interface Declared {
  /** For PATH and GUARDIAN_PG_BIN. */
  readonly env: NodeJS.ProcessEnv;
  readonly backup: { readonly directory: string; readonly maxAge: number; readonly verify: "restore" | "list" };
  /** Publications that new tables may join. */
  readonly publications: readonly string[];
  /** Shares: 0.25 is a quarter. `guardian:gates`. */
  readonly limits: { readonly maxDataLoss: number; readonly warnSlowdown: number; readonly maxSlowdown: number };
}

/** One question with an answer that was looked up. It leaves nothing behind. */
export interface Check {
  /** As the operator writes it: lower case, with hyphens. */
  readonly name: string;
  /** What it asks, for people. */
  readonly asks: string;
  readonly cost: Cost;
  run(site: Site): Promise<Finding>;
}

/** What a check said, and how long it took. */
export interface Outcome extends Finding {
  readonly check: string;
  readonly seconds: number;
}

/** Runs a check in a reading transaction of its own, so that one that fails leaves the others alone. Throws nothing. */
export async function runCheck(
  check: Check,
  host: Database,
  declared: Declared,
  before: Site["before"] = new Map(),
): Promise<Outcome> {
  const began = performance.now();
  const finding = await host
    .read((db) => check.run({ db, host, declared, before }))
    .catch((err: unknown): Finding => couldNotRun(fromPostgres(err, `check ${check.name}`).message));
  return { check: check.name, ...finding, seconds: Math.round(performance.now() - began) / 1000 };
}

export const couldNotRun = (reason: string, ...mend: string[]): Finding => ({
  verdict: "could not run",
  evidence: [reason],
  mend,
});

export const notApplicable = (reason: string): Finding => ({ verdict: "not applicable", evidence: [reason] });

/** So many names are told; how many more there are is said. */
const told = 8;

/** @returns lines for people: the first of them, and how many are not told */
export function some(lines: readonly string[]): string[] {
  const more = lines.length - told;
  return more > 0 ? [...lines.slice(0, told), `and ${more} more`] : [...lines];
}

/** What all checks together say of a database. */
export type Readiness = "ready" | "ready with warnings" | "not ready";

/** One that failed: not ready. One that warned or could not run: with warnings. */
export function readinessOf(outcomes: readonly Pick<Outcome, "verdict">[]): Readiness {
  const any = (...verdicts: Verdict[]): boolean => outcomes.some(({ verdict }) => verdicts.includes(verdict));
  return any("failed") ? "not ready" : any("warned", "could not run") ? "ready with warnings" : "ready";
}
