import { expect } from "chai";
import { Database } from "../../engine/database";
import { gateChecks } from "../../spec/gates";
import * as calls from "../support/calls";
import type { V6 } from "../support/postgres";
import { outcome, walkModules, withWalk, withWalkOn, type Held } from "../support/walk";
import { opened, unknownMark } from "../support/wire";
import { limits, schemaGate, stands, type Bag } from "./gated";

const kept = async (db: V6): Promise<Record<string, unknown>> => {
  const client = await db.connect();
  const { rows } = await client.query<{ state: string; detail: Record<string, unknown> }>(
    "SELECT state, detail FROM guardian_migration.step WHERE kind = 'Gate' ORDER BY attempt DESC LIMIT 1",
  );
  return { state: rows[0]?.state, ...rows[0]?.detail };
};

describe("provider: gates", function () {
  this.timeout(120_000);

  it("19-1 a failed check stops the create; accepted by name it goes on; void once worse; mended it passes; the way back asks nobody", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const admin = await db.connect("admin");
      const off = (table: string, how = "DISABLE") =>
        admin.query(`ALTER TABLE public.${table} ${how} ROW LEVEL SECURITY`);
      await off("audit_log");
      // Two checks see it; one is enough here.
      const one = { checks: ["row-security", "functions"] };
      const stopped = await outcome(walk.create("Gate", "gate-schema", schemaGate(made, one)));
      expect(stopped).to.match(
        /^gate schema: 1 of 2 checks did not pass \(row-security\); the data stage was not begun \[gate-failed\]/,
      );
      expect(stopped).to.contain('"public"."audit_log" has row security off');
      expect(stopped).to.contain("mend row-security: ALTER TABLE").and.contain('guardian:accept["row-security"]');
      const failed = await kept(db);
      expect(failed).to.deep.include({ state: "planned", verdict: "not ready", gate: "schema" });
      expect(failed["error"])
        .to.have.property("what")
        .that.matches(/row-security/);
      expect((failed["outcomes"] as { verdict: string }[]).map(({ verdict }) => verdict)).to.deep.equal([
        "failed",
        "passed",
      ]);

      const accepting = { ...one, accept: { "row-security": "a drill" } };
      const accepted = await walk.create("Gate", "gate-schema", schemaGate(made, accepting));
      expect(accepted.state).to.deep.include({ verdict: "ready with warnings", accepted: ["row-security"] });
      expect(walk.said("warning").at(-1)).to.match(/^row-security failed, and is accepted: "a drill": /);
      expect(await walk.diff(accepted)).to.deep.equal({ changes: "none", paths: {} });

      await off("consent_templates").catch(() => off("patient_consents"));
      // At another gate the same check is accepted no further.
      const end = schemaGate(made, { ...accepting, gate: "end" });
      expect(await outcome(walk.create("Gate", "gate-end", end))).to.match(
        /^gate end: 1 of 2 .*it was accepted on .* \("a drill"\), and is worse since:\n/s,
      );
      const stricter = { ...accepting, limits: { ...limits, maxDataLoss: 0 } };
      expect(await outcome(walk.change(accepted, schemaGate(made, stricter)))).to.match(
        /it was accepted on .* \("a drill"\), and is worse since:\n/,
      );
      // It stays what it was, and what failed is asked again though nobody changed anything; unless a later stage goes.
      expect(await kept(db)).to.deep.include({ state: "done", verdict: "not ready" });
      expect(await walk.diff(accepted)).to.deep.equal({ changes: "some", paths: { verdict: "update, output" } });
      await stands(admin, walk, "FeatureFlag", "Deployment");
      // Lowered to the schema stage, a backup is taken for its modules alone.
      await admin.query(
        "UPDATE guardian_migration.step SET detail = detail #- '{protects,consents}' WHERE kind = 'Backup'",
      );
      const back = schemaGate(made, { ...stricter, through: "schema" });
      await withWalk({ database: db.migrator }, async (next) => {
        const passedBy = await next.change(accepted, back);
        expect(passedBy.state).to.deep.include({
          verdict: "not ready",
          judgedAt: failed["judgedAt"] === undefined ? "" : (await kept(db))["judgedAt"],
        });
        expect(next.said("info").at(-1)).to.equal("nothing is asked: nothing that it stands before is to come");
        expect(await kept(db))
          .to.deep.include({ state: "done", waived: true })
          .and.not.to.have.property("error");
        await admin.query("UPDATE guardian_migration.step SET state = 'undone' WHERE kind = 'FeatureFlag'");
      });
      await withWalk({ database: db.migrator }, async (next) => {
        const again: Held = { ...accepted, inputs: await next.check("Gate", "gate-schema", back) };
        expect(await next.diff(again), "asked once nothing goes any more").to.deep.equal({
          changes: "some",
          paths: { verdict: "update, output" },
        });
        for (const table of ["audit_log", "patient_consents", "consent_templates"])
          await off(table, "ENABLE").catch(() => undefined);
        const mended = await next.change(again, schemaGate(made, one));
        expect(mended.state).to.deep.include({ verdict: "ready", accepted: [] });
        await next.remove(mended);
        expect(await kept(db)).to.deep.include({ state: "undone" });
      });
    }));

  it("19-1 that is unchanged reads nothing, whatever else it could be told by", () =>
    withWalkOn(walkModules, async (walk, made) => {
      const held = await walk.create("Gate", "gate-schema", schemaGate(made));
      expect((opened(held.state["outcomes"]) as { check: string }[]).map(({ check }) => check)).to.deep.equal([
        ...gateChecks.schema,
      ]);
      // What every resource's diff reads, once a run.
      await walk.diff(made.ledger);
      const reads: unknown[] = [];
      const own = Object.getOwnPropertyDescriptor(Database.prototype, "read")!;
      const noting = function (this: Database, ...args: unknown[]): unknown {
        reads.push(new Error("read").stack);
        return Reflect.apply(own.value as () => unknown, this, args);
      };
      Object.defineProperty(Database.prototype, "read", { ...own, value: noting });
      try {
        expect(await walk.diff(held)).to.deep.equal({ changes: "none", paths: {} });
        // What is asked of the server at the next time is no change either.
        const news = {
          ...held.inputs,
          publications: ["p"],
          backup: { directory: "other", maxAgeSeconds: 1, verify: "list" },
        };
        expect((await walk.diff(held, news)).changes).to.equal("none");
      } finally {
        Object.defineProperty(Database.prototype, "read", own);
      }
      expect(reads).to.deep.equal([]);
    }));

  it("19-2 says in preview what would stop up, and does not fail; before its stage is there it only says that it will ask", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const admin = await db.connect("admin");
      const asksNothing = walk.create("Gate", "gate-schema", schemaGate(made, { checks: [] }), { preview: true });
      expect(await outcome(asksNothing)).to.contain("must name at least one check");
      await admin.query("ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY");
      const planned = await walk.create("Gate", "gate-schema", schemaGate(made), { preview: true });
      expect(planned.state).to.deep.include({ verdict: unknownMark, outcomes: unknownMark, judgedAt: unknownMark });
      expect(walk.said("warning")[0]).to.match(
        /^up will stop here: gate schema: 2 of \d+ checks did not pass \(definitions, row-security\)/,
      );
      const more = { "003_fhir_integration": "to come" };
      const args = schemaGate(made);
      const early = { ...args, judges: { ...(args["judges"] as Bag), ...more } };
      const before = walk.plugin.engine.logs.length;
      await walk.create("Gate", "gate-schema", early, { preview: true });
      const told = walk.plugin.engine.logs
        .slice(before)
        .filter(({ ephemeral }) => !ephemeral)
        .map(({ message }) => message.split("\n")[0]);
      expect(told).to.deep.equal([`${gateChecks.schema.length} checks are asked in up, once what it judges is there`]);
      // What will stop it whatever becomes of what it judges.
      const strictly = { ...early, gate: "end", checks: ["definitions", "support-trained"], strict: true };
      await walk.create("Gate", "gate-end", strictly, { preview: true });
      expect(walk.said("warning").at(-1)).to.match(
        /^up will stop at this gate: gate end: 1 of 2 checks did not pass \(support-trained\); the session is not completed/,
      );
      expect(await kept(db)).to.deep.equal({ state: undefined });
    }));

  it("19-1 a gate that failed and goes with its stage is no failure of the session any more", () =>
    withWalkOn(["000_audit_log", "002_migration_tracking"], async (walk, { ledger }, db) => {
      const admin = await db.connect("admin");
      const session = await walk.create("MigrationSession", "session", walk.session(ledger.state["ledgerId"]!, 5));
      const urn = calls.urnOf("guardian:stage:Schema$guardian-migration:index:Gate", "gate-schema");
      await admin.query(
        `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch, detail)
         SELECT $1, 'Gate', id, 1, 'planned', 1, '{"gate": "schema", "error": {"what": "it failed"}}' FROM guardian_migration.ledger`,
        [urn],
      );
      const status = async (totalSteps: number, through: string): Promise<unknown> => {
        await walk.change(session, { ...walk.session(ledger.state["ledgerId"]!, totalSteps), through });
        return (await admin.query<{ status: string }>("SELECT status FROM public.migration_sessions")).rows[0]?.status;
      };
      expect(await status(6, "schema")).to.equal("failed");
      expect(await status(4, "infrastructure")).to.equal("in_progress");
      expect(await kept(db)).to.deep.equal({ state: "undone", gate: "schema" });
    }));

  it("19-1 before: a stack of the release before gets it as a create that asks nothing; it is asked once something is to come, and again when that is long ago", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const admin = await db.connect("admin");
      // It would not pass, if it were asked.
      await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
      const own = schemaGate(made);
      const args = { ...own, gate: "before", checks: ["v6", "volumes"] };
      const create = (more: Bag = {}, how = {}) => walk.create("Gate", "gate-before", { ...args, ...more }, how);
      const held = await create();
      expect(held.state).to.deep.include({ verdict: "not asked", outcomes: "[]", judgedAt: "" });
      expect(await walk.diff(held)).to.deep.equal({ changes: "none", paths: {} });

      const judges = { ...(own["judges"] as Bag), "003_fhir_integration": "to come" };
      expect(await outcome(walk.change(held, { ...args, judges }))).to.match(
        /^gate before: 1 of 2 checks did not pass \(v6\); no module was applied \[gate-failed\]/,
      );
      await admin.query("ALTER TABLE public.patient_vitals ENABLE ROW LEVEL SECURITY");
      const asked = await walk.change(held, { ...args, judges });
      expect(asked.state).to.deep.include({ verdict: "ready" });
      expect((opened(asked.state["outcomes"]) as Bag[]).map(({ check }) => check)).to.deep.equal(["v6", "volumes"]);
      expect(await walk.diff(asked)).to.deep.equal({ changes: "none", paths: {} });
      // What a lock or a time limit kept a check from saying is asked again though nothing was changed.
      const [passed, open] = ["passed", "could not run"].map((verdict) =>
        JSON.stringify([{ check: "v6", verdict, evidence: ["it took too long"], again: true, seconds: 1 }]),
      );
      const outcomes = `UPDATE guardian_migration.step SET detail = detail || jsonb_build_object('outcomes', $1::jsonb) WHERE kind = 'Gate' AND state = 'done'`;
      for (const [stored, changes] of [
        [open, "some"],
        [passed, "none"],
      ]) {
        await admin.query(outcomes, [stored]);
        await withWalk({ database: db.migrator }, async (next) =>
          expect(await next.diff(asked)).to.deep.include({ changes }),
        );
      }
      await admin.query(
        `UPDATE guardian_migration.step SET detail = detail || '{"judgedAt": "2020-01-01T00:00:00Z"}' WHERE kind = 'Gate' AND state = 'done'`,
      );
      await withWalk({ database: db.migrator }, async (next) => {
        expect(await next.diff(asked)).to.deep.equal({ changes: "some", paths: { verdict: "update, output" } });
        const again = await next.change(asked, { ...args, judges });
        expect(again.state["judgedAt"], "asked, and not only told")
          .to.match(/^2/)
          .and.not.match(/^2020-01-01/);
        expect((opened(again.state["outcomes"]) as Bag[]).map(({ check }) => check)).to.deep.equal(["v6", "volumes"]);
      });
    }));

  it("19-2 what whole tables said before a gate was passed by stands no more", () =>
    withWalkOn(["000_audit_log", "002_migration_tracking"], async (walk, made, db) => {
      const admin = await db.connect("admin");
      const gate = (more: Bag = {}): Bag => schemaGate(made, { gate: "data", checks: ["v6-rows"], ...more });
      const held = await walk.create("Gate", "gate-data", gate());
      const asked = async (waived: boolean, reason: string): Promise<unknown> => {
        await admin.query(
          `UPDATE guardian_migration.step SET detail = detail || jsonb_build_object('waived', $1::boolean,
             'outcomes', '[{"check": "v6-rows", "verdict": "passed", "evidence": ["of before"], "seconds": 1}]'::jsonb)
           WHERE kind = 'Gate' AND state = 'done'`,
          [waived],
        );
        const now = await walk.change(held, gate({ accept: { "v6-rows": reason } }));
        return (opened(now.state["outcomes"]) as Bag[])[0]?.["verdict"];
      };
      expect(await asked(false, "a drill")).to.equal("passed");
      expect(await asked(true, "another"), "the backup was only listed").to.equal("could not run");
    }));
});
