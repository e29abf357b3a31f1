import { expect } from "chai";
import { gates } from "../../../engine/gates";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import { allModules } from "../../../components/plan";
import { assumed, modules } from "../migrate/harness";
import { withEngine } from "../module/harness";
import { long } from "../../support/long";
import { useDumps } from "../dumps";
import { line } from "./asked";
import { asked, provenBackup, said, told } from "./harness";

describe("the gate after the data stage, once v7 is there", function () {
  this.timeout(180_000);
  const place = useDumps();

  it("19-4 passes each check after modules and a data migration, v6 written to meanwhile", () =>
    passes(modules, ["preferences"]));
  long("19-4 passes each check after all modules and data migrations, v6 written to meanwhile", () =>
    passes(allModules(), ["consents", "preferences"]),
  );

  const passes = (applied: readonly string[], migrations: readonly string[]): Promise<void> =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      await provenBackup(engine, db, place, admin);
      await engine.applyReal(...applied);
      // What the follow triggers note of this is a row of the ledger that v6's own transaction writes.
      engine.onProgress = ({ phase }) => {
        if (phase === "plan" || phase === "move")
          void admin.query(
            "UPDATE auth.users SET updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM auth.users)",
          );
      };
      for (const name of migrations) await engine.move(await loadMigration(name), assumed);
      engine.onProgress = () => undefined;
      await admin.query("DELETE FROM auth.users WHERE id = (SELECT max(id::text)::uuid FROM auth.users)");
      await told(admin);
      const names = gates.data.map(({ name }) => name);
      const outcomes = await asked(db, names);
      expect(
        outcomes.map(({ check, verdict }) => `${check} ${verdict}`),
        outcomes.map(line).join("\n"),
      ).to.deep.equal(names.map((name) => `${name} passed`));
      expect(outcomes.map(line).join("\n")).to.match(/preferences: \d+ rows offered, \d+ written and equal/);
      // A backup of now, which has v7 in it, is a baseline as well.
      await provenBackup(engine, db, place, admin);
      const again = await asked(db, names);
      expect(
        again.map(({ verdict }) => verdict),
        again.map(line).join("\n"),
      ).to.deep.equal(names.map(() => "passed"));
      await admin.query(
        "UPDATE guardian_migration.step SET detail = detail || '{\"failed\": 3}' WHERE kind = 'DataMigration' AND urn LIKE '%::preferences'",
      );
      expect(await said(db, "moved")).to.match(
        /^failed: .*preferences: \d+ rows offered, \d+ written and equal, 3 could not be moved/,
      );
      expect(await said(db, "moved", 0.5)).to.match(/^warned/);
    });
});
