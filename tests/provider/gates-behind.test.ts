import { expect } from "chai";
import type { Client } from "pg";
import { withV6 } from "../support/postgres";
import { outcome, walkModules, withWalk, withWalkOn, type Held, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";
import { schemaGate, stands, type Bag } from "./gated";
import { long } from "../support/long";

const names = (urn: string): string => urn.split("::").at(-1) ?? "";

/** What the ledger has of a kind, at all. */
const attempts = async (admin: Client, kind: string): Promise<number> =>
  (await admin.query("SELECT 1 FROM guardian_migration.step WHERE kind = $1", [kind])).rows.length;

describe("provider: what comes after a gate", function () {
  this.timeout(120_000);

  it("19-1 a module is refused by the ledger where the gate before was not asked, did not pass, or was asked for another", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const admin = await db.connect("admin");
        const ledger = await walk.create("Ledger", "ledger", { purge: false });
        const { ledgerId } = ledger.state as { ledgerId: string };
        const [first = "", second = ""] = walkModules;
        const args = (modules: readonly string[]): Bag => walk.backupArgs(ledgerId, modules);
        const backup = await walk.create("Backup", "backup", args([first]));
        const apply = (module: string) =>
          outcome(walk.create("SqlModule", module, { module, behind: ["before"], ledgerId }));
        const gate = (judges: Wire): Bag =>
          schemaGate({ ledger, backup, modules: [] }, { gate: "before", checks: ["v6"], judges });
        const why = (module: string, reason: string): string =>
          `gate before has not passed, and ${module} comes after it: ${reason}; nothing was changed [gate-unpassed]`;

        expect(await apply(first)).to.contain(why(first, "it was not asked"));
        await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
        const before = gate(backup.inputs["protects"]!);
        expect(await outcome(walk.create("Gate", "gate-before", before))).to.contain("[gate-failed]");
        expect(await apply(first)).to.contain(why(first, "it did not pass"));
        expect(await attempts(admin, "SqlModule"), "nothing was begun").to.equal(0);
        await admin.query("ALTER TABLE public.patient_vitals ENABLE ROW LEVEL SECURITY");
        const passed = await walk.create("Gate", "gate-before", before);
        expect(await apply(first)).to.equal("done");

        const more = await walk.change(backup, args([first, second]));
        const forFirst = why(second, `it was not asked for ${second} as it is now`);
        expect(await apply(second), "asked for another").to.contain(forFirst);
        await walk.change(passed, gate(more.inputs["protects"]!));
        expect(await apply(second)).to.equal("done");
        // What stands already is adopted, whatever a gate says by now.
        await admin.query("UPDATE guardian_migration.step SET state = 'undone' WHERE kind = 'Gate'");
        expect(await apply(second)).to.equal("done");
      }),
    ));

  it("19-1 a data migration, a flag that is raised and the session's end are refused where a gate ahead of them has not passed for what is there", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const admin = await db.connect("admin");
      const { ledgerId } = made.ledger.state as { ledgerId: string };
      const { length: n } = made.modules;
      const schema = (modules: Held[], more: Bag = {}): Bag =>
        schemaGate({ ...made, modules }, { checks: ["row-security"], ...more });
      const consents = () =>
        outcome(walk.create("DataMigration", "consents", { ...walk.consents(ledgerId), behind: ["schema"] }));
      const why = (gate: string, name: string, reason: string): string =>
        `gate ${gate} has not passed, and ${name} comes after it: ${reason}; nothing was changed [gate-unpassed]`;

      expect(await consents()).to.contain(why("schema", "consents", "it was not asked"));
      await admin.query("ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY");
      expect(await outcome(walk.create("Gate", "gate-schema", schema(made.modules)))).to.contain("[gate-failed]");
      expect(await consents()).to.contain(why("schema", "consents", "it did not pass"));
      await admin.query("ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY");
      const held = await walk.create("Gate", "gate-schema", schema(made.modules.slice(0, n - 1)));
      // Applied once more, of the same meaning: Pulumi sees no change of the gate.
      const last = made.modules[n - 1]!;
      await walk.remove(last);
      const { module = "" } = last.inputs as { module?: string };
      await walk.change(made.backup, { ...walk.backupArgs(ledgerId), jobs: 2 });
      await walk.create("SqlModule", module, { module, ledgerId });
      expect(await consents()).to.contain(why("schema", "consents", `${names(last.urn)} came after it was asked`));
      expect(await attempts(admin, "DataMigration"), "nothing was begun").to.equal(0);
      expect(await walk.diff(held), "a plain up asks it").to.deep.include({ changes: "some" });
      await walk.change(held, schema(made.modules.slice(0, n - 1)));
      expect(await walk.diff(held)).to.deep.include({ changes: "none" });
      expect(await consents()).to.equal("done");

      const early = schema(made.modules, { gate: "data", checks: ["moved"], judges: { consents: "as it is to be" } });
      expect(await outcome(walk.create("Gate", "gate-data", early))).to.contain(
        "gate data judges consents, and that is not there as the program has it; nothing was asked [gate-unpassed]",
      );

      const flag = (enabled: boolean, rolloutPercentage: number): Bag => ({
        ...{ flag: "event_sourcing", enabled, rolloutPercentage, enabledForUsers: [] },
        ...{ behind: ["schema", "data"], ledgerId },
      });
      const raised = await outcome(walk.create("FeatureFlag", "event_sourcing", flag(true, 10)));
      expect(raised).to.contain(why("data", "event_sourcing", "it was not asked"));
      const off = await walk.create("FeatureFlag", "event_sourcing", flag(false, 0));
      expect(await outcome(walk.change(off, flag(true, 10)))).to.contain("[gate-unpassed]");
      await walk.create("Gate", "gate-data", schema(made.modules, { gate: "data", checks: ["moved"] }));
      const on = await walk.change(off, flag(true, 10));
      // Whatever the gates say, down is always free.
      await admin.query(
        `UPDATE guardian_migration.step SET detail = detail || '{"verdict": "not ready"}' WHERE kind = 'Gate'`,
      );
      expect(await outcome(walk.change(on, flag(true, 11)))).to.contain("it did not pass");
      const lowered = await walk.change(on, flag(true, 5));

      const session = await walk.create("MigrationSession", "session", walk.session(ledgerId, 9));
      const { sessionId = "" } = session.state as { sessionId?: string };
      const end = () =>
        outcome(walk.create("SessionCompletion", "completion", { sessionId, behind: ["end"], ledgerId }));
      expect(await end()).to.contain(why("end", "completion", "it was not asked"));
      const atEnd = await walk.create("Gate", "gate-end", schema(made.modules, { gate: "end" }));
      expect(await walk.diff(atEnd)).to.deep.include({ changes: "none" });
      // By --target, or of another list of users: nothing of the gate's own inputs says so. Preview knows, or up --plan
      // would stop there with the flag written.
      await withWalk({ database: db.migrator }, async (next) => {
        await next.change(lowered, flag(true, 4), { preview: true });
        expect(await next.diff(atEnd), "preview").to.deep.include({ changes: "some" });
      });
      expect(await walk.diff(atEnd)).to.deep.include({ changes: "none" });
      await walk.change(lowered, flag(true, 4));
      expect(await end()).to.contain(why("end", "completion", "event_sourcing came after it was asked"));
      expect(await walk.diff(atEnd), "a plain up asks it").to.deep.include({ changes: "some" });
      await walk.change(atEnd, schema(made.modules, { gate: "end" }));
      expect(await end()).to.equal("done");
    }));

  long(
    "19-1 a run that lowers through and adds a module asks the gate of its stage; one that only lowers asks none",
    () =>
      withWalkOn(walkModules.slice(0, 3), async (walk, made, db) => {
        const admin = await db.connect("admin");
        const { ledgerId } = made.ledger.state as { ledgerId: string };
        const one = { checks: ["row-security"], through: "schema" };
        const held = await walk.create("Gate", "gate-schema", schemaGate(made, one));
        await stands(admin, walk, "FeatureFlag", "Deployment");
        await admin.query("ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY");
        const module = walkModules[3]!;
        const judging = (meaning: Wire): Bag => {
          const args = schemaGate(made, one);
          return { ...args, judges: { ...(args["judges"] as Bag), [module]: meaning } };
        };
        const said = (it: Walk): string => it.said().join("\n");
        await withWalk({ database: db.migrator }, async (next) => {
          await next.change(made.backup, { ...next.backupArgs(ledgerId, walkModules), migrations: [] });
          const coming = await next.check("SqlModule", module, { module, ledgerId });
          await next.change(held, judging(coming["meaning"]!), { preview: true });
          expect(said(next), "preview").to.contain("asked in up").and.not.contain("nothing is asked");
          const added = await next.create("SqlModule", module, { module, ledgerId });
          expect(await outcome(next.change(held, judging(added.state["meaning"]!)))).to.match(
            /^gate schema: 1 of 1 checks did not/,
          );
        });
        // The next run adds nothing: the way back goes on, and the gate has not passed by that.
        await withWalk({ database: db.migrator }, async (next) => {
          const { meaning } = (await next.check("SqlModule", module, { module, ledgerId })) as { meaning: Wire };
          const passedBy = await next.change(held, judging(meaning));
          expect(passedBy.state, JSON.stringify(passedBy)).to.include({ verdict: "not ready" });
          expect(said(next)).to.contain("nothing is asked");
          const consents = next.create("DataMigration", "consents", { ...next.consents(ledgerId), behind: ["schema"] });
          expect(await outcome(consents)).to.contain("it was passed by when nothing was to come after it");
        });
      }),
  );
});
