import { expect } from "chai";
import { allModules } from "../../../components/plan";
import type { Outcome } from "../../../engine/gates/check";
import { breached } from "../../../engine/gates/breach";
import { decide, refusalOf } from "../../../engine/gates/decide";
import { slowdownBy } from "../../../engine/gates/performance/performance";
import { readFlags, writeFlag } from "../../../engine/flags";
import { withEngine } from "../module/harness";

const flag = "event_sourcing";

describe("gates: what sets flags back", function () {
  this.timeout(60_000);

  it("19-8 is a performance that pages and plans say has become worse, and never the clock alone", () =>
    withEngine(
      async (engine) => {
        const now = () => engine.host.read(async (db) => (await readFlags(db)).get(flag));
        const { description, ...seed } = (await now())!;
        expect(description, "module 001's").to.be.a("string");
        await engine.write("FeatureFlag", flag, (fenced) =>
          writeFlag(fenced, flag, { ...seed, enabled: true, rolloutPercentage: 30 }, undefined),
        );
        const stoppedBy = async (figures: Outcome["figures"]): Promise<string> => {
          const outcome: Outcome = {
            ...{ check: "performance", verdict: "failed", evidence: ["slower"], seconds: 1 },
            ...(figures ? { figures } : {}),
          };
          const gate = "end";
          const decision = decide([slowdownBy()], [outcome], { gate }, {}, "");
          const refusal = refusalOf({ gate }, decision, 1)!;
          const by = { gate, onBreach: "rollback" } as const;
          const told = await engine.write("Gate", "gate-end", (fenced) => breached(fenced, by, decision, refusal));
          return told.message;
        };
        for (const figures of [{ clockAlone: 1 }, undefined]) {
          expect(await stoppedBy(figures), JSON.stringify(figures))
            .to.contain("[gate-failed]")
            .and.not.contain("rollback:");
          expect(await now()).to.deep.include({ enabled: true, rolloutPercentage: 30 });
        }
        expect(await stoppedBy({ clockAlone: 0 })).to.contain("rollback: Performance degradation > 25% (performance)");
        expect(await now()).to.deep.include({ enabled: false, rolloutPercentage: 0 });
      },
      { modules: allModules().filter((name) => name < "003") },
    ));
});
