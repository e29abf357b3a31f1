import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { runCheck, type Outcome } from "../../../engine/gates/check";
import { baselineBy } from "../../../engine/gates/performance/performance-baseline";
import { withEngine, type Engine } from "../module/harness";
import { declared, queryTurns, speed, steadily, told, withBaseline } from "./measured";

/** Has every look at the medications take so many milliseconds more, as on a large table or a slow disk. */
const slowed = (admin: Client, ms: number): Promise<unknown> =>
  admin.query(
    `ALTER TABLE public.patient_medications RENAME TO medications_kept;
     CREATE VIEW public.patient_medications AS
       SELECT k.* FROM (SELECT pg_catalog.pg_sleep(${ms / 1000})) s, public.medications_kept k;
     GRANT SELECT ON public.patient_medications TO guardian_migrator`,
  );

/** What the baseline says, and which tests module 009 has a baseline of then, with how many runs. */
async function baselineOf(engine: Engine): Promise<{ before: Outcome; runs: Record<string, number> }> {
  const before = await runCheck(baselineBy({ speed, longest: 100_000, clock: steadily() }), engine.host, declared);
  const runs = Object.entries(before.figures ?? {}).filter(([name]) => /^inServer.*Runs$/.test(name));
  return {
    before,
    runs: Object.fromEntries(runs.map(([name, n]) => [name.slice("inServer".length, -"Runs".length), n])),
  };
}

describe("gates: performance, as module 009 compares with it", function () {
  this.timeout(120_000);

  const early = (test: (engine: Engine, admin: Client) => Promise<void>): Promise<void> =>
    withEngine(async (engine, db) => test(engine, await db.connect("admin")), {
      modules: allModules().filter((name) => name < "003"),
      parameters: { queryTurns },
    });

  it("19-5 has a baseline of a query that takes 10 ms, of which 220 in one statement would be over their time", () =>
    early(async (engine, admin) => {
      await slowed(admin, 10);
      const { before, runs } = await baselineOf(engine);
      expect(runs, told(before)).to.deep.equal({
        ...{ UserAuthentication: 200, DocumentListing: 200, MedicationList: 200, LabResults: 200 },
      });
      expect(before.figures?.["inServerMedicationListP50Ms"]).to.be.at.least(10);
    }));

  it("19-5 says of which query module 009 will have no baseline, and measures the others", () =>
    early(async (engine, admin) => {
      await slowed(admin, 80);
      const { before, runs } = await baselineOf(engine);
      expect(runs, told(before)).to.deep.equal({ UserAuthentication: 200, DocumentListing: 200, LabResults: 200 });
      expect(before.evidence).to.include(
        "module 009 will have no baseline of Medication List: a round of it takes too long",
      );
    }));

  it("19-8 tells first what decided: a summary has one line of it", () =>
    withBaseline(async ({ admin, now }) => {
      await admin.query("DROP INDEX public.patient_lab_results_recent_idx");
      const found = await now(steadily());
      expect(found.evidence[0], told(found)).to.match(/^laboratory results: failed by pages and plan/);
    }));
});
