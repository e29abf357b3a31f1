import { expect } from "chai";
import type { V6 } from "../support/postgres";
import { outcome, withWalk, withWalkOn, type Made, type Walk } from "../support/walk";
import { secretly } from "../support/wire";

const user = "11111111-2222-4333-8444-555555555555";

describe("provider: a flag", function () {
  this.timeout(60_000);
  const walking = (test: (walk: Walk, made: Made, db: V6) => Promise<void>): Promise<void> =>
    withWalkOn(["000_audit_log", "001_feature_flags"], test);

  it("shows the configuration of a flag that was changed by hand, and what up makes of it, and refuses it unseen", () =>
    walking(async (walk, { ledger }, db) => {
      const ledgerId = ledger.state["ledgerId"]!;
      const off = { flag: "event_sourcing", enabled: false, rolloutPercentage: 0, enabledForUsers: [], ledgerId };
      const flag = await walk.create("FeatureFlag", "event_sourcing", off);
      const client = await db.connect();
      await client.query(`UPDATE public.feature_flags SET configuration = '{"by": "hand"}'`);
      await withWalk({ database: db.migrator, env: { GUARDIAN_PULUMI: "npm run pulumi --" } }, async (next) => {
        expect(await next.diff(flag)).to.deep.equal({ changes: "some", paths: { configuration: "update, output" } });
        // As npm run pulumi starts it: the way out is a command that is there.
        expect(await outcome(next.update(flag, flag.inputs, { preview: true })))
          .to.contain("[flag-changed]")
          .and.contain("state: npm run pulumi -- refresh; then up");
        const told = next.plugin.engine.logs.length;
        const read = await next.read(flag);
        const warned = next.plugin.engine.logs.slice(told).map(({ severity, message }) => `${severity}: ${message}`);
        expect(warned, "16-11").to.have.lengthOf(1);
        expect(warned[0]).to.match(/^warning: drift: flag event_sourcing is not what this stack wrote; changed \S+/);
        const planned = await next.update({ ...flag, state: read.state }, flag.inputs, { preview: true });
        expect(planned.state["configuration"]).to.deep.equal(flag.state["configuration"]);
      });
    }));

  it("keeps who is on an allow-list secret on every way", () =>
    walking(async (walk, { ledger }) => {
      const args = {
        flag: "fhir_integration",
        enabled: true,
        rolloutPercentage: 10,
        enabledForUsers: [user],
        ledgerId: ledger.state["ledgerId"]!,
      };
      const held = await walk.create("FeatureFlag", "fhir_integration", args);
      const wrapped = secretly([user]);
      expect([held.inputs["enabledForUsers"], held.state["enabledForUsers"]]).to.deep.equal([wrapped, wrapped]);
      const read = await walk.read(held);
      expect([read.state["enabledForUsers"], read.inputs["enabledForUsers"]]).to.deep.equal([wrapped, wrapped]);
      const wrong = walk.check("FeatureFlag", "fhir_integration", {
        ...args,
        enabledForUsers: secretly(["hunter2"]),
      });
      expect(await outcome(wrong)).to.equal("enabledForUsers: every entry must be a uuid in lower case");
      expect(JSON.stringify(walk.plugin.engine.logs)).not.to.contain(user);
    }));
});
