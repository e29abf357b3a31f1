import type { QueryResultRow } from "pg";
import { fromPostgres, sqlstateOf } from "../base/errors";
import type { Queryable } from "../base/sql";
import type { Database } from "../database";
import type { KeptOutcome } from "../ledger/details";
import type { SignedOff } from "../../spec/sign-offs";

/** What a check said, as the ledger keeps it, and how long it took. */
export type Outcome = KeptOutcome;

/** What a check found. No row values: names, counts and times. */
export type Finding = Omit<Outcome, "check" | "seconds">;

export type Verdict = Outcome["verdict"];

/** What a check may look at: reading transactions, and what the stack declares. */
export interface Site {
  /** One transaction, with one snapshot. Of a check that reads whole tables, asks others or measures, each statement is one, so that none lasts. */
  readonly db: Queryable;
  readonly host: Database;
  readonly declared: Declared;
  /** What the gate before the schema stage recorded, by the check's name: the baseline of what is measured again. */
  readonly before: ReadonlyMap<string, Outcome>;
  /** Aborted where the run is to end: whoever works for longer than a statement looks at it in between. */
  readonly signal: AbortSignal;
  /** Says how far a check is that takes long, in a few words. */
  say(text: string): void;
}

/**
 * What a check reads, and thereby where it runs. `catalogue`: catalogue, statistics, and counts of tables of up to 200,000
 * rows; in preview too. `queries`: it runs the application's queries, reads rows as users do, or calls functions and rolls back;
 * by `npm run gates` and in an `up`. `pass`: it reads whole tables; only in an `up` that changes their stage.
 */
export type Cost = "catalogue" | "queries" | "pass";

/** What checks judge by: a part of the stack's configuration, and where they run. */
export interface Declared {
  /** For PATH and GUARDIAN_PG_BIN. */
  readonly env: NodeJS.ProcessEnv;
  readonly backup: { readonly directory: string; readonly maxAge: number; readonly verify: "restore" | "list" };
  /** Publications that new tables may join. */
  readonly publications: readonly string[];
  /** Members of guardian_operator that are meant. */
  readonly operators: readonly string[];
  /** False: what reads whole tables goes at full speed, whatever the application feels; for benchmarks. */
  readonly throttled?: boolean;
  /** Shares: 0.25 is a quarter. `guardian:gates`. */
  readonly limits: { readonly maxDataLoss: number; readonly warnSlowdown: number; readonly maxSlowdown: number };
  /** Whether a sign-off that is missing fails, and does not only warn: `guardian:strict`. */
  readonly strict: boolean;
  /** What people have signed off: `guardian:signOff`. */
  readonly signOff: SignedOff;
  /** What must respond: `guardian:endpoints`. */
  readonly endpoints: readonly Endpoint[];
}

/** An endpoint of the application. */
export interface Endpoint {
  readonly url: string;
  /** That it must answer with. */
  readonly status: number;
  /** `env:NAME`, a variable with a header that is sent along. */
  readonly header?: string;
}

/** One question with an answer that was looked up. It leaves nothing behind. */
export interface Check {
  /** As the operator writes it: lower case, with hyphens. */
  readonly name: string;
  /** What it asks, for people. */
  readonly asks: string;
  readonly cost: Cost;
  /**
   * Figures of which more is worse: who accepted a failure did so up to what they were then. Absent: the acceptance is
   * of the faults, or where it keeps none of the evidence, and void once one is there that was not.
   */
  readonly worse?: readonly string[];
  /** Each line of its evidence names a fault: one that is new, but for its numbers, voids an acceptance, whatever the figures. */
  readonly named?: true;
  /** What else of an `up` refuses a failure of it, so that nobody gets past it by accepting it. */
  readonly refused?: string;
  /** Of the gate before: what others are measured against. It is not asked again once the schema stage stands. */
  readonly baseline?: true;
  /** It asks others than the database, and waits for them. */
  readonly outside?: true;
  /** It measures for minutes, in short transactions that it asks its host for. */
  readonly turns?: true;
  run(site: Site): Promise<Finding>;
  /**
   * Asked in preview, of gates after the first: what will keep it from passing, whatever becomes of what it judges, such as a
   * membership that is lacking. It reads the catalogue and what is declared, and works where nothing of v7 is there.
   * @returns as `run` would; undefined where nothing is known to be in its way
   */
  foreseen?(site: Site, plan: Planned): Promise<Finding | undefined>;
}

/** What an `up` will have done by the time that a gate is asked. */
interface Planned {
  /** Whether a flag is on by then, as the stack declares it. */
  readonly flagOn: boolean;
}

/** How a check speaks while it works, and by what it ends before its time. */
type Watched = Partial<Pick<Site, "signal" | "say">>;

/**
 * Runs a check in a reading transaction of its own, so that one that fails leaves the others alone. Throws nothing.
 * @param before what the gate before recorded: `recordedBefore`
 */
export async function runCheck(
  check: Check,
  host: Database,
  declared: Declared,
  before: Site["before"] = new Map(),
  { signal = new AbortController().signal, say = () => undefined }: Watched = {},
): Promise<Outcome> {
  const began = performance.now();
  const run = (db: Queryable): Promise<Finding> => check.run({ db, host, declared, before, signal, say });
  const apart = check.cost === "pass" || check.outside === true || check.turns === true;
  const finding = await (apart ? run(oneByOne(host)) : host.read(run)).catch((err: unknown): Finding =>
    couldNotRunBy(err, fromPostgres(err, `check ${check.name}`).message),
  );
  return { check: check.name, ...finding, seconds: Math.round(performance.now() - began) / 1000 };
}

/** A snapshot that is held for the hours of a pass, or while others are waited for, keeps the server from clearing up behind everybody. */
const oneByOne = (host: Database): Queryable => ({
  query: <R extends QueryResultRow>(text: string, values?: readonly unknown[]) =>
    host.read((db) => db.query<R>(text, values)),
  script: (text) => host.read((db) => db.script(text)),
});

export const couldNotRun = (reason: string, ...mend: string[]): Finding => ({
  verdict: "could not run",
  evidence: [reason],
  mend,
});

/** The same for an error of the server's: whether it passes by itself is known by its SQLSTATE. */
export const couldNotRunBy = (err: unknown, reason: string, ...mend: string[]): Finding => ({
  ...couldNotRun(reason, ...mend),
  ...(isPassing(err) ? { again: true } : {}),
});

/** SQLSTATEs whose cause passes by itself: a lock, a time limit, a conflict, a full or restarted server, a lost connection. */
const passing = /^(55P03|40001|40P01|57|08|53|25P0[34])/;

/** @param err what was thrown, or its SQLSTATE */
export const isPassing = (err: unknown): boolean =>
  passing.test(typeof err === "string" ? err : (sqlstateOf(err) ?? ""));

/** Of a check that could not run, whether it is worth asking again though nothing was changed. */
export const couldRunAgain = ({ verdict, again }: Pick<Outcome, "verdict" | "again">): boolean =>
  verdict === "could not run" && again === true;

export const notApplicable = (reason: string): Finding => ({ verdict: "not applicable", evidence: [reason] });

/** So many names are told; how many more there are is said. */
const told = 8;

/** @returns lines for people: the first of them, and how many are not told */
export function some(lines: readonly string[]): string[] {
  const more = lines.length - told;
  return more > 0 ? [...lines.slice(0, told), `and ${more} more`] : [...lines];
}

/** @returns how many checks came to what: "12 passed, 1 warned" */
export function tally(outcomes: readonly { verdict: Verdict | "accepted" }[]): string {
  const counts = new Map<string, number>();
  for (const { verdict } of outcomes) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  return [...counts].map(([verdict, n]) => `${n} ${verdict}`).join(", ");
}

/** What all checks together say of a database. */
export type Readiness = "ready" | "ready with warnings" | "not ready";

/** One that failed: not ready. One that warned or could not run: with warnings. */
export function readinessOf(outcomes: readonly Pick<Outcome, "verdict">[]): Readiness {
  const any = (...verdicts: Verdict[]): boolean => outcomes.some(({ verdict }) => verdicts.includes(verdict));
  return any("failed") ? "not ready" : any("warned", "could not run") ? "ready with warnings" : "ready";
}
