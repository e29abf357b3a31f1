import { expect } from "chai";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import { readinessOf, runCheck, type Check, type Outcome } from "../../../engine/gates/check";
import { gateChecks } from "../../../spec/gates";
import { withV6 } from "../../support/postgres";
import { settingsOf } from "../module/harness";
import { all, declared } from "./asked";

describe("gates: their checks", function () {
  this.timeout(60_000);

  it("19-1 has a name for each check, and each once", () => {
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^[a-z][a-z0-9-]*$/);
  });

  it("19-1 has every check of a gate under the name that the program declares, and in that order", () => {
    const names = Object.fromEntries(Object.entries(gates).map(([gate, of]) => [gate, of.map(({ name }) => name)]));
    expect(names).to.deep.equal(gateChecks);
  });

  it("19-1 has a check that could not run for a warning, and never for passed", () => {
    const of = (...verdicts: Outcome["verdict"][]) => readinessOf(verdicts.map((verdict) => ({ verdict })));
    expect(of("passed", "not applicable")).to.equal("ready");
    expect(of("passed", "could not run")).to.equal("ready with warnings");
    expect(of("warned", "passed")).to.equal("ready with warnings");
    expect(of("could not run", "failed")).to.equal("not ready");
  });

  it("19-1 tells why a check could not run, without a row's value, and goes on", () =>
    withV6(async (db) => {
      const host = new Database(settingsOf(db.migrator));
      const broken: Check = {
        name: "broken",
        asks: "",
        cost: "catalogue",
        run: async ({ db: session }) => {
          await session.query("SELECT ($1::text)::int", ["secret of a patient"]);
          throw new Error("not reached");
        },
      };
      try {
        const said = await runCheck(broken, host, declared);
        expect(said.verdict).to.equal("could not run");
        expect(said.evidence.join())
          .to.match(/22P02/)
          .and.not.match(/secret/);
        expect((await runCheck(gates.before[0], host, declared)).verdict).to.equal("passed");
      } finally {
        await host.close();
      }
    }));
});
