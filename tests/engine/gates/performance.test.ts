import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DatabaseError } from "pg";
import { validateConfig } from "../../../config";
import { runCheck } from "../../../engine/gates/check";
import { decide, type Decision } from "../../../engine/gates/decide";
import { baselineBy } from "../../../engine/gates/performance/performance-baseline";
import { inServerAccounts, inServerTests } from "../../../engine/gates/performance/in-server";
import { slowdownBy } from "../../../engine/gates/performance/performance";
import { openingSpeed } from "../../../engine/migrate/workers/throttle/control";
import { clockNoiseMs, slowdownBudget } from "../../../spec/slowdown";
import { consent, raw } from "../../support/config";
import { long } from "../../support/long";
import { withEngine } from "../module/harness";
import {
  clockSaying,
  declared,
  noisily,
  noting,
  of,
  queryTurns,
  recorded,
  results,
  speed,
  steadily,
  told,
  withBaseline,
} from "./measured";

const folder = join(__dirname, "../../../sql/009_operations/up");

describe("gates: performance", function () {
  this.timeout(120_000);

  it("19-5 passes where nothing is slower, by the clock, and says what it compared and as whom", () =>
    withBaseline(async ({ before, now }) => {
      const same = await now(steadily());
      expect(same.verdict, told(same)).to.equal("passed");
      expect(of(same, "laboratory results")).to.equal(
        "laboratory results: passed by clock: p95 1.00 ms after 1.00 ms, 0 % more",
      );
      expect(same.evidence.at(-1)).to.equal(
        "asked as guardian_migrator with row security off; within 10 % passes, above 25 % fails",
      );
      expect(of(before, "laboratory results")).to.match(
        /^laboratory results: p50 1.00 ms, p95 1.00 ms, p99 1.00 ms; [\d.]+ pages a run by Limit \(.*patient_lab_results_recent_idx\)+$/,
      );
      expect(of(before, "authentication")).to.match(/Index Scan users_email_partial_key$/);
      const names = [
        "P50Ms",
        "P95Ms",
        "P99Ms",
        "SpreadMs",
        "Runs",
        "Pages",
        "PlanHash",
        "TablePages",
        "WholePages",
        "Rows",
      ];
      expect(before.figures?.["laboratoryResultsTablePages"]).to.be.above(100);
      for (const query of ["authentication", "documentList", "documentSearch", "medicationList", "laboratoryResults"])
        expect(before.figures, query).to.include.all.keys(names.map((name) => `${query}${name}`));
      // By a real clock, of a machine that is not as it was: pages and plan have the word, whatever it says.
      const real = await now(async (query, work) => {
        const began = performance.now();
        await work();
        return performance.now() - began + (query === "control" ? 1000 : 0);
      });
      expect(real.verdict, told(real)).to.equal("passed");
    }));

  it("19-5 fails by pages and plan where an index was dropped, however fast the clock says it is", () =>
    withBaseline(async ({ admin, now }) => {
      await admin.query("DROP INDEX public.patient_lab_results_recent_idx");
      const found = await now(steadily());
      expect(found.verdict, told(found)).to.equal("failed");
      expect(of(found, "laboratory results")).to.match(
        /failed by pages and plan: \d+\.\d pages a run after \d+\.\d, \d+ % more; another plan than then: .*Seq Scan patient_lab_results/,
      );
      expect(found.figures?.["slowerShare"]).to.be.above(0.25);
      expect(found.figures).to.deep.include({ clockAlone: 0, slowQueries: 0 });
      expect(found.mend?.[0]).to.match(/^ANALYZE public\.patient_lab_results/);
      expect(of(found, "medication list")).to.match(/: passed by clock/);
      // Another index in its place, which finds the rows of everybody.
      await admin.query("CREATE INDEX by_date ON public.patient_lab_results (test_date, user_id)");
      await admin.query("VACUUM (ANALYZE) public.patient_lab_results");
      expect(of(await now(noisily()), "laboratory results")).to.match(/failed by pages and plan/);
    }));

  long("19-5 warns above a tenth and fails above a quarter, by the clock, once it was measured again", () =>
    withBaseline(async ({ now }) => {
      const slower = new Map([
        ["documentList", 1.2],
        ["authentication", 1.3],
      ]);
      const found = await now(clockSaying((query) => slower.get(query) ?? 1));
      expect([found.verdict, of(found, "document list"), of(found, "authentication")]).to.deep.equal([
        "failed",
        "document list: warned by clock: p95 1.20 ms after 1.00 ms, 20 % more",
        "authentication: failed by clock: p95 1.30 ms after 1.00 ms, 30 % more",
      ]);
      expect(found.figures).to.deep.include({ clockAlone: 1, slowerShare: 0.3 });
      slower.delete("authentication");
      expect((await now(clockSaying((query) => slower.get(query) ?? 1))).verdict).to.equal("warned");
      // Slow for as long as one measurement lasts: that is no slower plan.
      const once = await now(clockSaying((name, n) => (name === "documentList" && n < 2 * queryTurns ? 2 : 1)));
      expect(once.verdict, told(once)).to.equal("passed");
    }),
  );

  long("19-5 has pages and plan decide where the clock does not agree with itself, and says so", () =>
    withBaseline(async ({ admin, now }) => {
      const noisy = await now(noisily(2));
      expect(noisy.verdict, told(noisy)).to.equal("passed");
      expect(of(noisy, "document list")).to.match(
        /passed by pages and plan: .* \(a query that reads no table takes 3\.00 ms after 1\.00 ms/,
      );
      const unsure = await now(clockSaying((name, n) => (name === "documentList" && n % 2 === 0 ? 2 : 1)));
      expect(unsure.verdict, told(unsure)).to.equal("passed");
      expect(of(unsure, "document list")).to.match(
        /passed by pages and plan: .* \(the clock's own spread, 1\.00 ms between two rounds of the same, is wider than the budget\)$/,
      );
      expect(of(unsure, "authentication")).to.match(/passed by clock/);
      // The application went on: three times the rows, by the same plan, are no slower plan.
      await results(admin, 100);
      await admin.query("VACUUM (ANALYZE)");
      const grown = await now(noisily());
      expect(grown.verdict, told(grown)).to.equal("passed");
      // Nor are they where the clock agrees with itself that they take longer.
      const longerToRead = await now(clockSaying((name) => (name === "laboratoryResults" ? 2 : 1)));
      expect(of(longerToRead, "laboratory results"), told(longerToRead)).to.match(
        /^laboratory results: passed by pages and plan: .* \(an account has \d+\.\d rows after \d+\.\d, which take their time\)$/,
      );
      expect(longerToRead.verdict, told(longerToRead)).to.equal("passed");
      // Or it found the texts of its documents later: these lie apart from the rows.
      await admin.query("SET session_replication_role = replica");
      await admin.query(
        `UPDATE public.documents d SET extracted_text =
           (SELECT string_agg(md5(d.id::text || i), ' ') FROM generate_series(1, 600) i)`,
      );
      await admin.query("RESET session_replication_role");
      await admin.query("VACUUM (ANALYZE) public.documents");
      const longer = await now(noisily());
      expect(of(longer, "document search")).to.match(/passed by pages and plan/);
      expect(longer.verdict, told(longer)).to.equal("passed");
    }),
  );

  it("19-5 what is accepted are those queries: another one as slow voids it, and so does more of the same", () =>
    withBaseline(async ({ now }) => {
      const decided = async (slower: Record<string, number>, before: Decision["accepted"] = {}): Promise<Decision> => {
        const found = await now(clockSaying((query) => slower[query] ?? 1));
        expect(found.verdict, told(found)).to.equal("failed");
        return decide(
          [slowdownBy()],
          [found],
          { gate: "schema", accept: { performance: "known" } },
          before,
          "2026-01-01",
        );
      };
      const worse = ({ stops }: Decision): string[] => stops.flatMap(({ since }) => since?.worse ?? []);
      const { accepted, stops } = await decided({ documentList: 1.5 });
      expect(stops).to.deep.equal([]);
      expect((await decided({ documentList: 1.4 }, accepted)).stops, "less of the same").to.deep.equal([]);
      const other = ["queries: others than then: authentication"];
      for (const slower of [{ authentication: 1.5 }, { authentication: 1.5, documentList: 1.5 }])
        expect(worse(await decided(slower, accepted))).to.deep.equal(other);
      expect(worse(await decided({ documentList: 1.8 }, accepted))).to.deep.equal([
        "slowerShare was 0.5, and is 0.8 now",
      ]);
    }));

  it("19-5 could not run without a baseline, and takes none once v7 touches v6", () =>
    withBaseline(async ({ engine, before }) => {
      const none = await runCheck(slowdownBy({ speed, clock: steadily() }), engine.host, declared);
      expect(told(none)).to.equal("could not run: there is no baseline: nothing was measured before the schema stage");
      expect(none.mend?.join()).to.match(/guardian:through infrastructure/);
      const late = await runCheck(baselineBy({ speed, clock: steadily() }), engine.host, declared);
      expect(told(late)).to.match(/^could not run: 005_user_preferences stands already/);
      const kept = await runCheck(baselineBy({ speed, clock: steadily(9) }), engine.host, declared, recorded(before));
      expect([kept.verdict, kept.figures]).to.deep.equal(["passed", before.figures]);
    }));

  it("19-5 does not apply where there is nobody, nor before v7 touches v6", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        const baseline = () => runCheck(baselineBy({ speed, clock: steadily() }), engine.host, declared);
        const early = await runCheck(slowdownBy({ speed, clock: steadily() }), engine.host, declared);
        expect(told(early)).to.match(/^not applicable: nothing of v7 touches v6/);
        await admin.query("TRUNCATE public.patient_medications");
        const some = await baseline();
        expect([some.verdict, of(some, "medication list")]).to.deep.equal([
          "passed",
          "medication list: nobody to ask for in public.patient_medications",
        ]);
        expect(some.figures).to.deep.include({ medicationListRows: 0 });
        await admin.query("TRUNCATE auth.users CASCADE");
        expect(told(await baseline())).to.match(/^not applicable: v6 has no account/);
      },
      { modules: [] },
    ));

  it("19-5 ends what takes too long, waits for no lock, and tells no value of a row", () =>
    withBaseline(async ({ admin, before, now }) => {
      const late = new DatabaseError("canceling statement due to statement timeout: marked-value", 1, "error");
      late.code = "57014";
      const slow = await now(async (query, work) => {
        if (query === "documentSearch") throw late;
        await work();
        return 1;
      });
      expect([slow.verdict, of(slow, "document search")]).to.deep.equal([
        "failed",
        "document search: failed, no answer in 2 s",
      ]);
      // A server that stood still for one run is no slower query.
      const stalls = [late];
      const stalled = await now(async (query, work) => {
        const stall = query === "documentSearch" ? stalls.pop() : undefined;
        if (stall) throw stall;
        await work();
        return 1;
      });
      expect(of(stalled, "document search")).to.match(/: passed by clock/);
      expect(stalled.verdict, told(stalled)).to.equal("passed");
      await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
      const locked = await now(steadily());
      await admin.query("ROLLBACK");
      // Who holds it lets go afterwards.
      expect(locked.verdict).to.equal("could not run");
      expect(told(locked)).to.match(/55P03/);
      const all = JSON.stringify([before, slow, locked]);
      expect(all).not.to.match(/marked-value|@|[0-9a-f]{8}-[0-9a-f]{4}-/);
    }));

  it("19-5 is the baseline of module 009's functions, which time the same queries", () =>
    withBaseline(async ({ engine, admin, before }) => {
      const kept = { gate: "before", verdict: "ready", judgedAt: "2026-01-01", outcomes: [before], accepted: {} };
      await admin.query(
        `INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail)
         SELECT $1, '', 'Gate', id, 1, 'done', 1, 1, $2::jsonb FROM guardian_migration.ledger`,
        [engine.urn("Gate", "before"), JSON.stringify(kept)],
      );
      await engine.applyReal("009_operations");
      const { rows } = await admin.query<{ name: string; runs: number; p50: number; p95: number; at: number }>(
        `SELECT test_name AS name, runs, p50_ms::float8 AS p50, p95_ms::float8 AS p95, extract(epoch FROM measured_at)::float8 AS at
         FROM public.v6_query_times ORDER BY 1`,
      );
      const expected = Object.keys(inServerTests)
        .sort()
        .map((name) => {
          const figure = (what: string) => before.figures?.[`inServer${name.replaceAll(" ", "")}${what}`];
          return {
            name,
            runs: figure("Runs"),
            p50: figure("P50Ms"),
            p95: figure("P95Ms"),
            at: before.figures?.["measuredAtEpochS"],
          };
        });
      expect(rows).to.deep.equal(expected);
      expect(rows.map(({ runs }) => runs)).to.deep.equal([200, 200, 200, 200]);
      const plain = (text: string): string => text.replaceAll(/\s+/g, " ");
      const sql = plain(readFileSync(join(folder, "01_tables_measures.sql"), "utf8"));
      for (const text of [...Object.values(inServerTests), inServerAccounts]) expect(sql).to.include(plain(text));
    }));

  const turns = 3;
  it("19-5 rests after each turn so that it works a tenth of its time, as the throttle does on a server that it does not know", () =>
    withEngine(
      async (engine) => {
        const { rested, pace } = noting();
        await runCheck(baselineBy({ clock: steadily(), pace }), engine.host, declared);
        expect(rested.map(({ speed: share }) => share)).to.deep.equal([openingSpeed, openingSpeed, openingSpeed]);
        // After each turn: accounts explained, two rounds by the clock, and four tests of module 009's in as many rounds.
        expect(rested.map(({ counted }) => counted.length)).to.deep.equal([turns, 2 * turns, 4 * turns]);
      },
      { modules: [], parameters: { queryTurns: turns } },
    ));

  it("19-5 has one budget: the configuration's defaults, and what module 009 cannot take from there", () => {
    const { warn, max } = slowdownBudget;
    const { config } = validateConfig(raw({ legacyConsent: consent }));
    expect(config?.gates).to.deep.include({ warnSlowdown: warn, maxSlowdown: max });
    const sql = readFileSync(join(folder, "03_performance.sql"), "utf8");
    for (const [share, noise] of [
      [warn, clockNoiseMs],
      [max, 2 * clockNoiseMs],
    ] as const)
      expect(sql).to.include(`greatest(b.p95_ms * ${(1 + share).toFixed(2)}, b.p95_ms + ${noise})`);
  });
});
