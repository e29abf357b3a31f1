import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { DatabaseError } from "pg";
import type { Queryable } from "../../../engine/base/sql";
import type { Database } from "../../../engine/database";
import { runCheck, type Site } from "../../../engine/gates/check";
import { baselineBy } from "../../../engine/gates/performance/performance-baseline";
import { judgeCut } from "../../../engine/gates/performance/judge";
import type { Means, Measured, Stopwatch } from "../../../engine/gates/performance/measure";
import { countedMs } from "../../../engine/gates/performance/pacing";
import { slowdownBy } from "../../../engine/gates/performance/performance";
import { withEngine } from "../module/harness";
import { declared, noting, of, queryTurns, recorded, speed, steadily, told, withBaseline } from "./measured";

/** Takes no time, and asks nothing. */
const atOnce: Stopwatch = () => Promise.resolve(1);

/** Rests past the end of the time while accounts are explained, which come first, and not at all by the clock. */
function lateFirst(): NonNullable<Means["pace"]> {
  let first = true;
  return () => {
    const ms = first ? 1100 : 0;
    first = false;
    return { rest: () => sleep(ms) };
  };
}

const tooLate = (): DatabaseError =>
  Object.assign(new DatabaseError("canceling statement due to statement timeout", 1, "error"), { code: "57014" });

describe("gates: performance, and what it takes of time", function () {
  this.timeout(120_000);

  it("19-5 rests no longer after a turn that is waited for, as over a slow network, than after one that works", () =>
    withEngine(
      async (engine) => {
        const slowly: Stopwatch = async () => {
          await sleep(2 * countedMs);
          return 1;
        };
        const { rested, pace } = noting();
        const found = await runCheck(baselineBy({ clock: slowly, pace }), engine.host, declared);
        expect(found.verdict, told(found)).to.equal("passed");
        // Two turns of six runs are timed, each twice as long as what counts of a turn.
        expect(rested[1]?.counted).to.deep.equal([countedMs, countedMs]);
      },
      { modules: [], parameters: { queryTurns: 1 } },
    ));

  it("19-5 holds no snapshot from one turn to the next, so that the server clears up behind whoever writes meanwhile", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        const reading = "application_name = 'guardian-migration reading' AND datname = current_database()";
        const since = new Set<string>();
        /** Looks since when the gate's session holds a snapshot. */
        const looking: Stopwatch = async () => {
          const { rows } = await admin.query<{ began: string }>(
            `SELECT xact_start::text AS began FROM pg_stat_activity WHERE ${reading} AND backend_xmin IS NOT NULL`,
          );
          for (const { began } of rows) since.add(began);
          return 1;
        };
        const found = await runCheck(baselineBy({ speed, clock: looking }), engine.host, declared);
        expect(found.verdict, told(found)).to.equal("passed");
        expect(since.size, "a transaction a turn").to.equal(2 * queryTurns);
      },
      { modules: [], parameters: { queryTurns } },
    ));

  it("19-5 could not run where the time was over after other accounts than now; the clock has a time of its own", () =>
    withBaseline(
      async ({ before, now }) => {
        const { documentListAccounts: accounts, documentListExplained: explained = 0 } = before.figures ?? {};
        expect(accounts).to.equal(queryTurns);
        expect(explained).to.equal(1);
        expect(before.figures?.["documentListRuns"]).to.be.above(1);
        expect(of(before, "document list")).to.match(/; the time was over after \d of 10 accounts$/);
        const found = await now(steadily());
        expect([found.verdict, of(found, "document list")]).to.deep.equal([
          "could not run",
          `document list: could not run, the time was over after 10 of 10 accounts, and then after ${explained}`,
        ]);
        expect(found.mend?.join()).to.match(/ask again/);
      },
      { longest: 1000, clock: atOnce, pace: lateFirst() },
    ));

  it("19-5 could not run for one query alone where whom to ask for is not found in time", () =>
    withBaseline(async ({ engine, before }) => {
      const check = slowdownBy({ speed, clock: steadily() });
      /** A disk that gives the rows of one table after 2 s. */
      const cold = (db: Queryable): Queryable => ({
        script: (text) => db.script(text),
        query: (text, values) =>
          /FROM public.patient_medications\s+WHERE/.test(text) ? Promise.reject(tooLate()) : db.query(text, values),
      });
      const run = (site: Site) => {
        const read: Database["read"] = (work) => site.host.read((db) => work(cold(db)));
        return check.run({ ...site, host: Object.assign(Object.create(site.host) as Database, { read }) });
      };
      const found = await runCheck({ ...check, run }, engine.host, declared, recorded(before));
      expect([found.verdict, of(found, "medication list"), of(found, "document list")]).to.deep.equal([
        "could not run",
        "medication list: could not run, whom to ask for was not found in 2 s",
        "document list: passed by clock: p95 1.00 ms after 1.00 ms, 0 % more",
      ]);
    }));

  it("19-5 fails all the same where those that were explained have read too much for all", () => {
    const then: Measured = {
      ...{ p50: 1, p95: 1, p99: 1, spread: 0, runs: 40 },
      ...{ pages: 10, accounts: 20, explained: 20, plan: 1, shapes: [], rows: 5, tablePages: 1000, wholePages: 1000 },
    };
    const { limits } = declared;
    const now = { ...then, explained: 4, plan: 2 };
    expect(judgeCut(then, { ...now, pages: 1000 }, limits)).to.deep.include({ level: "failed", by: "pages and plan" });
    expect(judgeCut(then, { ...now, pages: 200 }, limits), "40 pages where 32 may be").to.equal(undefined);
    expect(judgeCut({ ...then, explained: 3 }, { ...now, pages: 1000 }, limits), "of whom more is known").to.equal(
      undefined,
    );
  });
});
