import { expect } from "chai";
import { Database } from "../../../engine/database";
import { ahead } from "../../../engine/gates/foreseen";
import type { WantedGate } from "../../../engine/gates/judge";
import { gateChecks, type Gate } from "../../../spec/gates";
import { withV6, type Login } from "../../support/postgres";
import { settingsOf, withEngine } from "../module/harness";
import { declared } from "./asked";

/** What preview says that a gate of a strict stack will stop with; "nothing": it will not, as far as is known. */
async function foreseen(login: Login, gate: Gate, more: Partial<WantedGate> = {}): Promise<string> {
  const host = new Database(settingsOf(login));
  const wanted: WantedGate = {
    ...{ gate, checks: gateChecks[gate], judges: {}, strict: true },
    declared: { ...declared, strict: more.strict ?? true },
    ...more,
  };
  try {
    const refusal = await ahead(wanted, { host, signal: new AbortController().signal }, []);
    return refusal?.message ?? "nothing";
  } finally {
    await host.close();
  }
}

/** The checks that it names. */
const named = (message: string): string => /did not pass \(([^)]*)\)/.exec(message)?.[1] ?? message;

describe("gates: what preview foresees", function () {
  this.timeout(60_000);

  it("19-2 before anything of v7 is there: memberships and sign-offs that are lacking, where the stack is strict", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      expect(await foreseen(db.migrator, "schema")).to.equal("nothing");
      await admin.query("REVOKE anon, authenticated FROM guardian_migrator");
      try {
        const stops = await foreseen(db.migrator, "schema");
        expect(named(stops)).to.equal("strangers, sampled-users");
        expect(stops).to.contain("npm run grants -- --gates").and.contain('guardian:accept["strangers"]');
        const accept = { strangers: "after the first run", "sampled-users": "after the first run" };
        expect(await foreseen(db.migrator, "schema", { accept })).to.equal("nothing");
        expect(await foreseen(db.migrator, "schema", { strict: false })).to.equal("nothing");
      } finally {
        await admin.query("GRANT anon, authenticated TO guardian_migrator");
      }
      expect(await foreseen(db.migrator, "before"), "its checks are asked as they are").to.equal("nothing");
      const always = "api-endpoints, external-systems";
      expect(named(await foreseen(db.migrator, "end"))).to.equal(`${always}, documentation-updated, support-trained`);
      const rollout = { fhir_integration: 5 };
      expect(named(await foreseen(db.migrator, "end", { rollout }))).to.equal(
        `${always}, user-acceptance, user-experience, documentation-updated, support-trained`,
      );
      expect(await foreseen(db.migrator, "end", { strict: false })).to.equal("nothing");
      expect(await foreseen(db.migrator, "end", { checks: ["performance"] })).to.equal("nothing");
    }));

  it("19-4 that nobody will know whether the migration wrote to v6, where the server counts nothing", () =>
    withV6(async (db) => {
      expect(await foreseen(db.migrator, "data")).to.equal("nothing");
      await (await db.connect("admin")).query(`ALTER DATABASE ${db.name} SET track_counts = off`);
      const stops = await foreseen(db.migrator, "data");
      expect(named(stops)).to.equal("v6-written");
      expect(stops).to.contain("track_counts is off").and.contain("mend v6-written: switch track_counts on");
    }));

  it("19-2 of a stack of a release before the gates: that nothing was measured, and how to accept it", () =>
    withEngine(
      async (_engine, db) => {
        const stops = await foreseen(db.migrator, "end", { checks: ["performance"] });
        expect(stops).to.contain("there is no baseline").and.contain('guardian:accept["performance"]');
      },
      { modules: ["000_audit_log", "004_enhanced_consent"] },
    ));
});
