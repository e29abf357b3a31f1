import { expect } from "chai";
import { withV6 } from "../support/postgres";
import { outcome, withWalk } from "../support/walk";
import { unknownMark } from "../support/wire";

describe("provider: publications that new tables would join", function () {
  this.timeout(60_000);

  it("16-8 preview shows them, up refuses before anything is written, and goes on once they are accepted", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const schemas = async () =>
        (await admin.query("SELECT FROM pg_namespace WHERE nspname LIKE 'guardian_%'")).rowCount;
      await admin.query("CREATE PUBLICATION everything FOR ALL TABLES");
      await withWalk({ database: db.migrator }, async (walk) => {
        await walk.create("Ledger", "ledger", { purge: false }, { preview: true });
        expect(walk.said("warning").join()).to.match(
          /^up will refuse this: new tables would join a publication: [^]+\[publication-open\]\n {2}where: publication everything \(FOR ALL TABLES/,
        );
        const refused = await outcome(walk.create("Ledger", "ledger", { purge: false }));
        expect(refused)
          .to.contain("[publication-open]")
          .and.contain("DROP PUBLICATION everything;")
          .and.contain("CREATE PUBLICATION everything FOR TABLE auth.users, public.documents, ");
        expect(await schemas()).to.equal(0);

        const given = { purge: false, publications: ["everything"] };
        await walk.create("Ledger", "ledger", given, { preview: true });
        expect(walk.said("warning")).to.have.length(1);
        expect(walk.plugin.engine.logs.at(-1)?.message).to.contain(
          "new tables join publication everything (FOR ALL TABLES), which is accepted",
        );
        const ledger = await walk.create("Ledger", "ledger", given);
        const ledgerId = ledger.state["ledgerId"]!;
        const module = { module: "000_audit_log", ledgerId };
        await walk.create("Backup", "backup", walk.backupArgs(ledgerId, ["000_audit_log", "001_feature_flags"]));
        await walk.create("SqlModule", "000_audit_log", module);

        // One that comes later is refused by the next module, and not by what is there.
        await admin.query("CREATE PUBLICATION more FOR TABLES IN SCHEMA public");
        const next = { module: "001_feature_flags", ledgerId };
        expect(await outcome(walk.create("SqlModule", "001_feature_flags", next)))
          .to.contain("publication more (FOR TABLES IN SCHEMA public")
          .and.contain("ALTER PUBLICATION more DROP TABLES IN SCHEMA public;")
          .and.not.contain("audit_log");
        await walk.create("SqlModule", "000_audit_log", module);
        await walk.change(ledger, { purge: false, publications: ["everything", "more"] });
        await walk.create("SqlModule", "001_feature_flags", next);
      });
    }));

  it("16-8 with a ledger, preview says it of each module that makes tables, unless the program accepts it", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await withWalk({ database: db.migrator }, (walk) => walk.create("Ledger", "ledger", { purge: false }));
      await admin.query("CREATE PUBLICATION everything FOR ALL TABLES");
      const plans = async (accepted: string[]): Promise<string[]> =>
        withWalk({ database: db.migrator }, async (walk) => {
          await walk.assess({ modules: [], accepted });
          const args = { module: "000_audit_log", ledgerId: unknownMark };
          await walk.create("SqlModule", "000_audit_log", args, { preview: true });
          return walk.said("warning").filter((line) => line.startsWith("up will refuse this"));
        });
      expect(await plans([])).to.have.length(1);
      expect(await plans(["everything"])).to.deep.equal([]);
    }));
});
