import { expect } from "chai";
import type { Client } from "pg";
import { lostTables, type Lost } from "../../../engine/ledger/archived";
import { giveUpLost } from "../../../engine/module/archive/lost";
import { purgeAll } from "../../../engine/purge";
import { column, moduleOf, refusalOf, withEngine, type Engine, type Files, withMigrator } from "./harness";

const files: Files = {
  yaml: "objects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: none }\n",
  up: "CREATE TABLE public.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);",
};

const ledger = `SELECT concat_ws(' ', original, rows, restored, beaten, left_out, restored_at IS NOT NULL)
  FROM guardian_migration.archived ORDER BY apply_id`;

/** A module whose three rows wait in the archive. */
async function archived(engine: Engine, client: Client): Promise<void> {
  await engine.apply(await moduleOf("900_t", files));
  await client.query("INSERT INTO public.t (note) VALUES ('secret one'), ('secret two'), ('secret three')");
  await engine.undo("900_t");
}

function giveUp(engine: Engine, lost: readonly Lost[]): Promise<Lost[]> {
  return engine.write("purge", "purge", (fenced) => giveUpLost(fenced, lost));
}

describe("an archived table that somebody dropped", function () {
  this.timeout(60_000);

  it("up is refused, naming the table, its rows and the backups, and nothing is done", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client);
      await client.query(
        `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch, detail)
           SELECT 'urn:backup', 'Backup', id, 1, 'undone', 1, '{"path": "backups/one", "takenAt": "2026-01-02T03:04:05Z"}' FROM guardian_migration.ledger`,
      );
      await client.query("DROP TABLE guardian_archive.t__1");
      const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
      expect(said.what).to.equal("an archived table was dropped by hand, with rows that this module is to bring back");
      expect(said.where).to.match(/^guardian_archive\.t__1, up to 3 rows of public\.t, archived \d{4}-/);
      expect(said.todo[0]).to.contain("backups/one (taken 2026-01-02T03:04:05Z)");
      expect(said.todo[1]).to.contain("npm run purge -- --lost");
      expect(await column(client, ledger)).to.deep.equal(["public.t 3 0 0 0 f"]);
      expect(await column(client, "SELECT to_regclass('public.t')")).to.deep.equal([null]);
    }));

  it("put back under its name, its rows come back", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client);
      await client.query("CREATE TABLE public.kept AS SELECT * FROM guardian_archive.t__1");
      await client.query("DROP SCHEMA guardian_archive CASCADE");
      await refusalOf(engine.apply(await moduleOf("900_t", files)));
      await client.query("CREATE SCHEMA guardian_archive; ALTER TABLE public.kept RENAME TO t__1");
      await client.query("ALTER TABLE public.t__1 SET SCHEMA guardian_archive");
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(3n);
      expect(await column(client, ledger)).to.deep.equal(["public.t 3 3 0 0 t"]);
    }));

  it("given up, up goes on without them, and the ledger keeps how many and who", () =>
    withMigrator(async (engine, client, db) => {
      await archived(engine, client);
      await client.query("DROP TABLE guardian_archive.t__1");
      // Only what the operator was shown.
      expect(await giveUp(engine, [])).to.deep.equal([]);
      const lost = await engine.host.read((db) => lostTables(db));
      expect(lost).to.have.length(1);
      expect(await giveUp(engine, lost)).to.deep.equal(lost);
      expect(await column(client, ledger)).to.deep.equal(["public.t 3 0 0 3 t"]);
      const kept = `SELECT detail FROM guardian_migration.step WHERE part = 'lost public.t 1'`;
      expect(await column(client, kept)).to.deep.equal([{ lost: 3, by: db.migrator.user }]);
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(0n);
      await client.query("INSERT INTO public.t (note) VALUES ('new')");
      await engine.undo("900_t");
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(1n);
    }));

  it("dropped when the module is done in part: refused, given up, and then finished", () =>
    withEngine(async (engine, db) => {
      const [client, holder] = [await db.connect(), await db.connect()];
      await archived(engine, client);
      await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
      await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
      await holder.query("COMMIT");
      await client.query("DROP TABLE guardian_archive.t__1");
      const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
      expect(said.what).to.match(/^an archived table was dropped by hand/);
      await giveUp(engine, await engine.host.read((db) => lostTables(db)));
      await engine.apply(await moduleOf("900_t", files));
      expect(await engine.states("SqlModule", "900_t")).to.deep.include({ "": "done", "rows public.t 1": "done" });
    }));

  it("the module's own table dropped while rows wait: named, and the rows stay in the archive", () =>
    withEngine(async (engine, db) => {
      const [client, holder] = [await db.connect(), await db.connect()];
      await archived(engine, client);
      await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
      await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
      await holder.query("COMMIT");
      await client.query("DROP TABLE public.t");
      const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
      expect(said.what).to.match(/^tables of this module were dropped by hand before their archived rows were back/);
      expect(said.where).to.equal("public.t");
      await engine.undo("900_t");
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(3n);
    }));

  it("dropped when nothing of it was left to come back: nothing is lost, and up goes on", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client);
      await client.query("UPDATE guardian_migration.archived SET left_out = rows; DROP TABLE guardian_archive.t__1");
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(0n);
      expect(await column(client, ledger)).to.deep.equal(["public.t 3 0 0 3 t"]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "done" });
    }));

  it("neither a rollback nor a purge stops at the archive's schema being gone", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client);
      await client.query("DROP SCHEMA guardian_archive CASCADE");
      await giveUp(engine, await engine.host.read((db) => lostTables(db)));
      await engine.apply(await moduleOf("900_t", files));
      await client.query("INSERT INTO public.t (note) VALUES ('new')");
      expect(await engine.undo("900_t")).to.equal(1n);
      await client.query("DROP SCHEMA guardian_archive CASCADE");
      await engine.write("Ledger", "ledger", (fenced) =>
        purgeAll(fenced, Date.now() + 10_000, () => Promise.resolve()),
      );
      const left = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'guardian%'";
      expect(await column(client, left)).to.deep.equal([]);
    }));
});
