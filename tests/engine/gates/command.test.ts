import { expect } from "chai";
import { gates } from "../../../engine/gates";
import type { Outcome } from "../../../engine/gates/check";
import { runGates } from "../../support/gates-command";
import { withV6 } from "../../support/postgres";

describe("gates: the command", function () {
  this.timeout(120_000);

  it("19-2 is a command: what is ready, exit codes, one object on the last line", () =>
    withV6(async (db) => {
      const run = async (...args: string[]): Promise<{ code: number; said: string; printed: string[] }> => {
        const { said, ...ran } = await runGates(db.migrator, { through: "schema" }, ...args);
        return { ...ran, said: said.join("\n") };
      };
      const ready = await run("--json", "--stage", "before");
      const told = JSON.parse(ready.printed[0] ?? "") as { verdict: string; checks: Outcome[] };
      expect(told.checks.map(({ check }) => check)).to.deep.equal(gates.before.map(({ name }) => name));
      expect([ready.code, told.verdict], ready.said).to.deep.equal([3, "ready with warnings"]);
      expect(ready.said).to.match(/could not run {3}transactions: .*\n +→ GRANT pg_read_all_stats/);
      const admin = await db.connect("admin");
      await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
      const broken = await run();
      const report = broken.printed.join("\n");
      expect(broken.code, report).to.equal(1);
      expect(broken.said).to.match(/^stack night, [^\n]*$/);
      expect(report).to.match(/^failed .*v6: public.patient_vitals lacks row security/m);
      expect(report).to.match(/\nnot ready: /);
      expect((await run("--stage", "after")).code).to.equal(2);
      expect(report + broken.said + ready.said).not.to.include(db.migrator.password);
    }));
});
