import { expect } from "chai";
import { outcome, walkModules, withWalk, withWalkOn, type Held } from "../support/walk";
import { schemaGate, stands, type Bag } from "./gated";

describe("provider: gates, what people say and what becomes of flags", function () {
  this.timeout(120_000);

  it("19-8 without a sign-off the last gate of a strict stack stops; with it it goes on, is shown, and is told what the endpoints said", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const checks = ["support-trained", "api-endpoints"];
      const gate = (more: Bag): Bag => schemaGate(made, { gate: "end", checks, ...more });
      const signOff = (note: string): Bag => ({ "support-trained": { by: "A. Lovelace", on: "2020-11-30", note } });
      const endpoints = [{ url: "http://127.0.0.1:1/", status: 200 }];
      const warned = await walk.create(
        "Gate",
        "gate-schema",
        gate({ endpoints, accept: { "api-endpoints": "a drill" } }),
      );
      expect(warned.state).to.deep.include({ verdict: "ready with warnings", accepted: ["api-endpoints"] });
      const strictly = { strict: true, endpoints, accept: { "api-endpoints": "a drill" } };
      expect(await outcome(walk.change(warned, gate(strictly)))).to.match(
        /^gate end: 1 of 2 checks did not pass \(support-trained\); the session is not completed \[gate-failed\]/,
      );
      const signed = gate({ ...strictly, signOff: signOff("a course of two days") });
      const passed = await walk.change(warned, signed);
      expect(passed.state, JSON.stringify(passed)).to.deep.include({ verdict: "ready with warnings" });
      const news = await walk.check(
        "Gate",
        "gate-schema",
        gate({ ...strictly, signOff: signOff("three days") }),
        passed.inputs,
      );
      const { paths } = await walk.diff(passed, news);
      expect(Object.keys(paths)).to.deep.equal(['signOff["support-trained"].note']);
      // A baseline is one at the gate before alone: with the schema stage there, the end asks the endpoints anew.
      await stands(await db.connect("admin"), walk, "SqlModule", "Schema");
      const more = {
        endpoints: [...endpoints, { url: "http://127.0.0.1:2/", status: 200 }],
        accept: { "api-endpoints": "both" },
      };
      const asked = await walk.change(passed, gate({ ...strictly, signOff: signOff("three days"), ...more }));
      expect(JSON.stringify(asked), "the endpoints").to.contain("0 of 2 respond");
    }));

  it("19-8 a gate that passed is asked anew when a sign-off is another, or an endpoint", () =>
    withWalkOn(walkModules, async (walk, made) => {
      const checks = ["support-trained", "external-systems"];
      const gate = (more: Bag): Bag =>
        schemaGate(made, { gate: "end", checks, accept: { "external-systems": "a drill" }, ...more });
      const said = ({ state }: Held): string => JSON.stringify(state["outcomes"]);
      const signed = (note: string): Bag => ({ "support-trained": { by: "A. Lovelace", on: "2020-11-30", note } });
      const first = await walk.create("Gate", "gate-schema", gate({}));
      expect(first.state["verdict"]).to.equal("ready with warnings");
      const second = await walk.change(first, gate({ signOff: signed("a course of two days") }));
      expect(said(second)).to.contain("a course of two days");
      const third = await walk.change(second, gate({ signOff: signed("three days") }));
      expect(said(third)).to.contain("three days");
      const endpoints = [{ url: "http://127.0.0.1:1/metadata", status: 200 }];
      const fourth = await walk.change(third, gate({ signOff: signed("three days"), endpoints }));
      expect(said(fourth)).to.contain("0 of 1 respond");
    }));

  it("19-8 a criterion of rollback sets the flags of this run back, and nothing else; nothing is switched on until acknowledged", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const { ledgerId } = made.ledger.state as { ledgerId: string };
      const flag = (name: string, rolloutPercentage: number, more: Bag = {}): Bag => ({
        ...{ flag: name, enabled: true, rolloutPercentage, enabledForUsers: [], ledgerId },
        ...more,
      });
      const older = await walk.create("FeatureFlag", "event_sourcing", flag("event_sourcing", 10));
      await walk.create("FeatureFlag", "multi_tenancy", flag("multi_tenancy", 5));
      const portability = await walk.create("FeatureFlag", "data_portability_v2", flag("data_portability_v2", 50));
      const admin = await db.connect("admin");
      const rollouts = async (): Promise<string[]> => {
        const text = "SELECT feature_name || ' ' || enabled || ' ' || rollout_percentage AS line FROM feature_flags";
        const { rows } = await admin.query<{ line: string }>(`${text} WHERE enabled ORDER BY 1`);
        return rows.map(({ line }) => line);
      };
      const sessions = async (): Promise<string[]> => {
        const text = "SELECT id::text AS id FROM migration_sessions WHERE status = 'emergency_rollback'";
        return (await admin.query<{ id: string }>(text)).rows.map(({ id }) => id);
      };
      const gate = (more: Bag): Bag =>
        schemaGate(made, { gate: "end", checks: ["row-security", "support-trained"], ...more });
      await walk.create("Gate", "gate-end", gate({}));
      await admin.query("ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY");
      // This run does not come to the gate at the end: the next answers for its flag too.
      const raised = await withWalk({ database: db.migrator }, (killed) =>
        killed.change(older, flag("event_sourcing", 50)),
      );
      await withWalk({ database: db.migrator }, async (next) => {
        await next.create("FeatureFlag", "fhir_integration", flag("fhir_integration", 20));
        // stop: as ever. A sign-off that is missing is no breach, nor an endpoint that nobody reaches.
        expect(await outcome(next.create("Gate", "gate-end", gate({ strict: true })))).to.match(
          /^gate end: 2 of 2 checks did not pass/,
        );
        const unsigned = gate({
          ...{ checks: ["user-experience", "api-endpoints"], strict: true, onBreach: "rollback" },
          endpoints: [{ url: "http://127.0.0.1:1/", status: 200 }],
        });
        expect(await outcome(next.create("Gate", "gate-end", unsigned))).to.match(/gate-failed/);
        expect(await sessions()).to.deep.equal([]);
        const on = [
          ...["data_portability_v2 true 50", "event_sourcing true 50", "fhir_integration true 20"],
          "multi_tenancy true 5",
        ];
        expect(await rollouts()).to.deep.equal(on);

        const breach = gate({ onBreach: "rollback" });
        const stopped = await outcome(next.create("Gate", "gate-end", breach));
        const [id = ""] = await sessions();
        expect(stopped).to.contain(
          `rollback: Security vulnerability discovered (row-security): event_sourcing, fhir_integration on for no more than when gate end was last passed; emergency rollback ${id}`,
        );
        expect(stopped).to.contain(`config set guardian:acknowledge ${id}`);
        expect(stopped).to.contain(
          "still on: data_portability_v2, event_sourcing, multi_tenancy; switch everything off: psql -c 'SELECT emergency_rollback_to_v6()'",
        );
        const before = ["data_portability_v2 true 50", "event_sourcing true 10", "multi_tenancy true 5"];
        expect(await rollouts()).to.deep.equal(before);
        // Once more: there is nothing to set back, and one waits already.
        expect(await outcome(next.create("Gate", "gate-end", breach))).to.contain(
          `no flag is on for more than when gate end was last passed; emergency rollback ${id}`,
        );
        expect(await sessions()).to.deep.equal([id]);
        const again = (args: Bag) => outcome(next.change(raised, args));
        expect(await again(flag("event_sourcing", 60)))
          .to.contain("[emergency-rollback]")
          .and.contain(id);
        expect(await rollouts()).to.deep.equal(before);
        expect(await again(flag("event_sourcing", 60, { acknowledge: id }))).to.equal("done");
        expect(await rollouts()).to.deep.equal([
          ...["data_portability_v2 true 50", "event_sourcing true 60", "multi_tenancy true 5"],
        ]);
      });
      // Lowered, switched off by hand, raised with care: none of it is raised by setting it back.
      await admin.query(
        "UPDATE feature_flags SET rollout_percentage = 0, enabled = false WHERE rollout_percentage = 50",
      );
      await withWalk({ database: db.migrator }, async (next) => {
        const [acknowledge = ""] = await sessions();
        const lowered = { ...older, state: { ...older.state, rolloutPercentage: 60 } };
        await next.change(lowered, flag("event_sourcing", 4, { acknowledge }));
        const seen = { ...portability, state: { ...portability.state, enabled: false, rolloutPercentage: 0 } };
        await next.change(seen, flag("data_portability_v2", 3, { acknowledge }));
        const breach = gate({ onBreach: "rollback" });
        expect(await outcome(next.create("Gate", "gate-end", breach))).to.contain(
          "(row-security): data_portability_v2 on for no more than when gate end was last passed; emergency rollback",
        );
        expect(await rollouts()).to.deep.equal(["event_sourcing true 4", "multi_tenancy true 5"]);
      });
    }));
});
