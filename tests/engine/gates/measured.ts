import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { runCheck, type Declared, type Outcome, type Site } from "../../../engine/gates/check";
import { baselineBy } from "../../../engine/gates/performance/performance-baseline";
import type { Means, Stopwatch } from "../../../engine/gates/performance/measure";
import { slowdownBy } from "../../../engine/gates/performance/performance";
import { slowdownBudget } from "../../../spec/slowdown";
import { withEngine, type Engine } from "../module/harness";
import { declared as base } from "./asked";

export const declared: Declared = {
  ...base,
  backup: { ...base.backup, directory: join(tmpdir(), "guardian-gates") },
  limits: { maxDataLoss: 0.001, warnSlowdown: slowdownBudget.warn, maxSlowdown: slowdownBudget.max },
};

/** Enough runs for the clock, 20 of both rounds. */
export const queryTurns = 10;
/** Nobody is spared here. */
export const speed = 1;

/** What a measurement would rest for. */
export interface Rested {
  /** The share of its time that it may work. */
  readonly speed: number;
  /** Milliseconds that count, turn by turn. */
  readonly counted: number[];
}

/** Rests not at all, and notes what it was to rest for: no clock says here whether it did. */
export function noting(): { rested: Rested[]; pace: NonNullable<Means["pace"]> } {
  const rested: Rested[] = [];
  const pace: Means["pace"] = (share) => {
    const counted: number[] = [];
    rested.push({ speed: share, counted });
    return { rest: (_worker, workMs) => Promise.resolve(void counted.push(workMs)) };
  };
  return { rested, pace };
}

/** Does the work, and says of each query what this test wants: the n-th run of it from 0. */
export function clockSaying(ms: (query: string, n: number) => number): Stopwatch {
  const runs = new Map<string, number>();
  return async (query, work) => {
    const n = runs.get(query) ?? 0;
    runs.set(query, n + 1);
    await work();
    return ms(query, n);
  };
}

/** Always the same. */
export const steadily = (ms = 1): Stopwatch => clockSaying(() => ms);
/** One round half as slow again as the other. */
export const noisily = (ms = 1): Stopwatch => clockSaying((_query, n) => (n % 2 === 0 ? ms : 1.5 * ms));

export const recorded = (baseline: Outcome): Site["before"] => new Map([[baseline.check, baseline]]);

/** The line of evidence about a query. */
export const of = (outcome: Outcome, title: string): string =>
  outcome.evidence.find((line) => line.startsWith(`${title}: `)) ?? outcome.evidence.join("; ");

export const told = (outcome: Outcome): string => `${outcome.verdict}: ${outcome.evidence.join("; ")}`;

/** So many laboratory results of each of 300 accounts, so that it matters by what index they are found. */
export const results = (client: Client, each: number): Promise<unknown> =>
  client.query(
    `INSERT INTO public.patient_lab_results (user_id, test_name, result_value, test_date, source_document_id)
     SELECT u.id, 'marked-value', '<5', date '2020-01-01' + i, d.id
     FROM auth.users u, generate_series(1, $1::integer) i, (SELECT id FROM public.documents ORDER BY id LIMIT 1) d`,
    [each],
  );

/** What a test has: a v6 whose baseline is taken, with a module that touches it. */
export interface Measured {
  engine: Engine;
  admin: Client;
  before: Outcome;
  now: (clock?: Stopwatch) => Promise<Outcome>;
}

/** @param means of the baseline */
export function withBaseline(test: (it: Measured) => Promise<void>, means: Means = {}): Promise<void> {
  return withEngine(
    async (engine, db) => {
      const admin = await db.connect("admin");
      await results(admin, 50);
      await admin.query("VACUUM (ANALYZE)");
      const before = await runCheck(baselineBy({ speed, clock: steadily(), ...means }), engine.host, declared);
      expect(before.verdict, told(before)).to.equal("passed");
      await engine.applyReal("005_user_preferences");
      const now = (by?: Stopwatch): Promise<Outcome> =>
        runCheck(slowdownBy({ speed, ...(by && { clock: by }) }), engine.host, declared, recorded(before));
      await test({ engine, admin, before, now });
    },
    { modules: allModules().filter((name) => name < "003"), parameters: { queryTurns } },
  );
}
