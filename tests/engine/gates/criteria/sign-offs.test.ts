import { expect } from "chai";
import type { Outcome } from "../../../../engine/gates/check";
import { signOffs } from "../../../../spec/sign-offs";
import { withV6 } from "../../../support/postgres";
import { items, signed } from "../faults/criteria";
import { withEngine } from "../../module/harness";
import { asked } from "./asked";

const verdicts = (outcomes: readonly Outcome[]): string[] => [...new Set(outcomes.map(({ verdict }) => verdict))];

describe("gates: what people sign off", function () {
  this.timeout(60_000);
  it("19-8 warns where it is missing, fails where the stack is strict, passes once it is signed; a day to come signs nothing, nor one before v7", () =>
    withEngine(
      async (_engine, db) => {
        const others = items.filter((item) => item !== "user-acceptance" && item !== "user-experience");
        const untried = await asked(db.migrator, items, { strict: true });
        expect(
          untried.filter(({ verdict }) => verdict === "failed").map(({ check }) => check),
          "no flag is on",
        ).to.deep.equal(others);
        expect(verdicts(untried.filter(({ verdict }) => verdict !== "failed"))).to.deep.equal(["not applicable"]);
        const admin = await db.connect("admin");
        // For a user by name, as pilots are.
        await admin.query(
          "UPDATE feature_flags SET enabled = true, enabled_for_users = ARRAY(SELECT id FROM auth.users LIMIT 1) WHERE feature_name = 'fhir_integration'",
        );
        const missing = await asked(db.migrator, items, {});
        expect(verdicts(missing)).to.deep.equal(["warned"]);
        expect(missing.map(({ evidence }) => evidence)).to.deep.equal(
          items.map((item) => [`nobody has signed off that ${signOffs[item]}`]),
        );
        expect(missing[0]?.mend?.[0]).to.contain("config set --path guardian:signOff.api-endpoints.by …");
        expect(verdicts(await asked(db.migrator, items, { strict: true }))).to.deep.equal(["failed"]);
        const today = (await admin.query<{ day: string }>("SELECT current_date::text AS day")).rows[0]?.day ?? "";
        const passed = await asked(db.migrator, items, { strict: true, signOff: signed(today) });
        expect(verdicts(passed)).to.deep.equal(["passed"]);
        expect(passed[0]?.evidence).to.deep.equal([`A. Lovelace, ${today}: tried with seven users`]);
        const old = await asked(db.migrator, items, { strict: true, signOff: signed("2020-01-02") });
        expect(old.filter(({ verdict }) => verdict === "passed").map(({ check }) => check)).to.deep.equal([
          "documentation-updated",
          "support-trained",
        ]);
        expect(old[0]?.evidence[1]).to.equal("on that day there was nothing of v7 yet");
        const early = await asked(db.migrator, items, { strict: true, signOff: signed("2126-01-02") });
        expect(verdicts(early)).to.deep.equal(["failed"]);
        expect(early[0]?.evidence[1]).to.equal("that day is still to come");
      },
      { modules: ["000_audit_log", "001_feature_flags", "004_enhanced_consent"] },
    ));

  it("19-8 is asked of nobody where nothing of v7 is there", () =>
    withV6(async (db) =>
      expect(verdicts(await asked(db.migrator, items, { strict: true }))).to.deep.equal(["not applicable"]),
    ));
});
