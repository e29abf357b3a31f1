import { expect } from "chai";
import type { Client } from "pg";
import { addStep } from "../../../engine/ledger/steps";
import { loadModule } from "../../../engine/module/files/manifest";
import { catalogue } from "../../support/modules";
import { column, moduleOf, refusalOf, withEngine } from "../module/harness";
import { close, files } from "./owned";

describe("the ledger's owner", function () {
  this.timeout(60_000);

  it("does not close it while something stands, nor purge it while another stack has something there", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      const client: Client = await db.connect();
      // What a rollback was cut off in stands as well.
      for (const state of ["done", "undoing"]) {
        await client.query("UPDATE guardian_migration.step SET state = $1 WHERE kind = 'SqlModule'", [state]);
        for (const purge of [false, true]) {
          const said = await refusalOf(close(engine, purge));
          expect(said.where, state).to.equal("900_t");
          expect(said.todo).to.deep.equal(["run up, which adopts them, then destroy again"]);
        }
      }
      await engine.undo("900_t");
      await engine.write("SqlModule", "901_x", (fenced) =>
        fenced.transaction((tx) =>
          addStep(tx, {
            urn: fenced.options.urn.replace(":dev:", ":prod:"),
            kind: "SqlModule",
            state: "planned",
          }),
        ),
      );
      expect((await refusalOf(close(engine, true))).what).to.equal("another stack uses this ledger; it is not purged");
      expect(await column(client, "SELECT count(*) FROM guardian_migration.ledger")).to.deep.equal(["1"]);
      // What was begun and never committed does not keep it open.
      await close(engine);
      const mine = (await engine.steps()).filter((step) => step.urn.includes(":dev:"));
      expect(mine.map((step) => step.state)).to.deep.equal(["undone", "undone"]);
    }));

  it("with purge nothing at all is left", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      const module = await moduleOf("900_t", files);
      await close(engine, true);
      const before = await catalogue(admin);
      await engine.open();
      await engine.apply(module);
      await admin.query("INSERT INTO public.t (person) SELECT id FROM auth.users LIMIT 3");
      await engine.undo("900_t");
      await close(engine, true);
      expect(await catalogue(admin)).to.deep.equal(before);
      // A ledger that is made anew is another one.
      await engine.open();
      await engine.apply(module);
    }));

  it("purge refuses to take along what others made of the archive or keep beside it, by name", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      await engine.apply(await moduleOf("900_t", files));
      await admin.query("INSERT INTO public.t (person) SELECT id FROM auth.users LIMIT 3");
      await engine.undo("900_t");
      for (const [made, sql] of [
        ["view public.curious", "CREATE VIEW public.curious AS SELECT id FROM guardian_archive.t__1"],
        ["view public.curious", "CREATE VIEW public.curious AS SELECT urn FROM guardian_migration.step"],
        ["table guardian_archive.mine", "CREATE TABLE guardian_archive.mine AS SELECT 1 AS i"],
        [
          "function guardian_migration.mine()",
          "CREATE FUNCTION guardian_migration.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ],
      ] as const) {
        await admin.query(sql);
        const before = await catalogue(admin);
        expect((await refusalOf(close(engine, true))).where, sql).to.equal(made);
        expect(await catalogue(admin), sql).to.deep.equal(before);
        await admin.query(`DROP ${made}`);
      }
    }));

  it("purge does not make logins queue behind it", () =>
    withEngine(
      async (engine, db) => {
        const [admin, holder] = [await db.connect("admin"), await db.connect()];
        await engine.apply(await moduleOf("900_t", files));
        await admin.query("INSERT INTO public.t (person) SELECT id FROM auth.users LIMIT 3");
        await engine.undo("900_t");
        await holder.query("BEGIN; SELECT count(*) FROM auth.users");
        const said = await refusalOf(close(engine, true));
        expect(said.what).to.match(/^tables could not be locked \(ACCESS EXCLUSIVE, 5 ms a try\)/);
        await holder.query("COMMIT");
        await close(engine, true);
        expect(await column(admin, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^guardian'")).to.deep.equal([]);
      },
      { parameters: { lockTimeout: 5 } },
    ));

  it("the real modules, rolled back and purged, leave nothing", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      await close(engine, true);
      const before = await catalogue(admin);
      await engine.open();
      const names = ["000_audit_log", "001_feature_flags", "004_enhanced_consent"];
      for (const name of names) await engine.apply(await loadModule(name));
      await admin.query("UPDATE public.feature_flags SET enabled = true");
      for (const name of [...names].reverse()) await engine.undo(name);
      expect(await column(admin, "SELECT original FROM guardian_migration.archived")).to.deep.equal([
        "public.audit_log",
      ]);
      await close(engine, true);
      expect(await catalogue(admin)).to.deep.equal(before);
    }));
});
