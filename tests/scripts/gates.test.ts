import { expect } from "chai";
import type { Outcome } from "../../engine/gates/check";
import type { Criterion } from "../../engine/gates/criteria/summary";
import { withEngine } from "../engine/module/harness";
import { runGates } from "../support/gates-command";
import { withV6, type Login } from "../support/postgres";

interface Told {
  code: number;
  said: string;
  verdict: string;
  checks: Outcome[];
  criteria: Criterion[];
}

/** What the command says of a stage, for a stack with these keys. */
async function gates(login: Login, keys: Record<string, unknown>, stage: string): Promise<Told> {
  const { code, said, printed } = await runGates(login, keys, "--json", "--stage", stage);
  return { code, said: said.join("\n"), ...(JSON.parse(printed.at(-1) ?? "{}") as Omit<Told, "code" | "said">) };
}

describe("npm run gates, as up would decide", function () {
  this.timeout(120_000);

  it("19-2 goes on with what is accepted by name, and is not ready where strict for what could not run", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const unseen = await gates(db.migrator, {}, "before");
      expect([unseen.code, unseen.verdict], unseen.said).to.deep.equal([3, "ready with warnings"]);
      expect(unseen.said).to.match(/could not run {3}transactions/);
      expect((await gates(db.migrator, { strict: "true" }, "before")).code).to.equal(1);
      await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
      expect((await gates(db.migrator, {}, "before")).code).to.equal(1);
      const accepted = await gates(db.migrator, { accept: { v6: "they move tomorrow" } }, "before");
      expect([accepted.code, accepted.verdict], accepted.said).to.deep.equal([3, "ready with warnings"]);
      expect(accepted.said).to.match(/^accepted {8}v6: "they move tomorrow"$/m);
      expect(accepted.said)
        .to.match(/^ready with warnings: .*\b1 accepted\b/m)
        .and.not.match(/\d failed/);
      const told = accepted.checks.filter((one) => "accepted" in one);
      expect(told).to.have.length(1);
      expect(told[0]).to.include({ check: "v6", verdict: "failed", accepted: "they move tomorrow" });
    }));

  it("19-2 is not ready for what up refuses besides the gate, though it is accepted", () =>
    withEngine(
      async (_engine, db) => {
        const ask = () => gates(db.migrator, { accept: { definitions: "known" } }, "schema");
        const before = await ask();
        expect(before.code, before.said).to.equal(3);
        await (await db.connect("admin")).query("ALTER TABLE public.audit_log ADD COLUMN by_hand int");
        const changed = await ask();
        expect([changed.code, changed.verdict], changed.said).to.deep.equal([1, "not ready"]);
        expect(changed.said).to.match(/^not accepted {4}definitions: up refuses it besides, .*\(objects-changed\)/m);
        expect(changed.checks.filter((one) => "accepted" in one)).to.deep.equal([]);
      },
      { modules: ["000_audit_log"] },
    ));

  it("19-2 takes nothing for passed that reads whole tables and that no up has asked since data was moved", () =>
    withEngine(
      async (engine, db) => {
        const nothing = await gates(db.migrator, {}, "data");
        expect([nothing.code, nothing.verdict], nothing.said).to.deep.equal([0, "ready"]);
        const admin = await db.connect("admin");
        const outcome = { source: "10", equal: "10", failed: 0, leftOut: {} };
        const add =
          "INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch, detail) SELECT $1, $2, id, 1, 'done', 1, $3::jsonb FROM guardian_migration.ledger";
        await admin.query(add, [engine.urn("DataMigration", "consents"), "DataMigration", JSON.stringify(outcome)]);
        const unasked = await gates(db.migrator, {}, "data");
        expect([unasked.code, unasked.verdict], unasked.said).to.deep.equal([3, "ready with warnings"]);
        const names = unasked.checks.filter(({ verdict }) => verdict === "could not run").map(({ check }) => check);
        expect(names).to.deep.equal(["v6-rows", "v6-cells", "v6-written"]);
        expect(unasked.said).to.match(
          /^could not run {3}v6-rows: it reads whole tables, and no up has asked it since/m,
        );
        // A gate that was passed by has said nothing of what stands now.
        const waived = { gate: "data", verdict: "ready", judgedAt: "2026-11-30", waived: true, outcomes: [] };
        await admin.query(add, [engine.urn("Gate", "gate-data"), "Gate", JSON.stringify(waived)]);
        expect((await gates(db.migrator, { strict: "true" }, "data")).code).to.equal(1);
      },
      { modules: ["000_audit_log"] },
    ));

  it("19-8 says of what reads whole tables what up last said; what was accepted of it holds until it is worse", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        const about = (criteria: Criterion[]) =>
          criteria.find(({ criterion }) => criterion === "Data loss > 0.1%")?.answers[0];
        const before = await gates(db.migrator, {}, "data");
        expect(about(before.criteria)?.evidence).to.deep.equal(["it was not asked"]);
        const outcome = (lostRows: number) => ({
          ...{ check: "v6-rows", verdict: "failed", evidence: [`${lostRows} lost`], figures: { lostRows }, seconds: 1 },
        });
        const accepted = {
          "v6-rows": { reason: "test rows", at: "2026-11-29", figures: { lostRows: 7 }, evidence: [] },
        };
        const said = (lostRows: number) => ({
          ...{ gate: "data", verdict: "not ready", judgedAt: "2026-11-30T12:13:14.000000Z", waived: false },
          ...{ outcomes: [outcome(lostRows)], accepted },
        });
        await admin.query(
          `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch, detail)
           SELECT $1, 'Gate', id, 1, 'done', 1, $2::jsonb FROM guardian_migration.ledger`,
          [engine.urn("Gate", "gate-data"), JSON.stringify(said(7))],
        );
        const failed = await gates(db.migrator, {}, "data");
        expect(failed.code, failed.said).to.equal(1);
        expect(failed.said).to.match(/^failed {10}v6-rows: 7 lost; as up last said, 2026-11-30T12:13$/m);
        expect(about(failed.criteria)).to.deep.include({ check: "v6-rows", verdict: "failed" });
        const accept = { "v6-rows": "test rows" };
        const over = await gates(db.migrator, { accept }, "data");
        expect(over.code, over.said).to.equal(3);
        await admin.query("UPDATE guardian_migration.step SET detail = $1::jsonb WHERE kind = 'Gate'", [
          JSON.stringify(said(8)),
        ]);
        const worse = await gates(db.migrator, { accept }, "data");
        expect(worse.code, worse.said).to.equal(1);
        expect(worse.said, worse.said).to.match(
          /^not accepted {4}v6-rows: it is worse than when it was accepted: lostRows was 7/m,
        );
      },
      { modules: ["000_audit_log"] },
    ));
});
