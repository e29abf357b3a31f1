import { renameSync } from "node:fs";
import { expect } from "chai";
import { couldRunAgain } from "../../../engine/gates/check";
import { useDumps } from "../dumps";
import { until } from "../../support/processes";
import { line } from "./asked";
import { asked, lose, provenBackup, said, told, withBackup } from "./harness";
import { lastly } from "../../support/lastly";

const pass = ["v6-rows", "v6-cells", "v6-written"];

describe("the gate after the data stage, while others are at work", function () {
  this.timeout(180_000);
  const place = useDumps();

  it("19-4 takes for lost nothing that a session at work has deleted, and not told yet", () =>
    withBackup(place, async (db, admin) => {
      const purging = await db.connect("admin");
      await admin.query(
        `CREATE PROCEDURE public.purge() LANGUAGE plpgsql AS $$ BEGIN
           DELETE FROM public.patient_vitals WHERE id = (SELECT id FROM public.patient_vitals ORDER BY id LIMIT 1); COMMIT;
           PERFORM pg_catalog.pg_sleep(600); END $$`,
      );
      const count = async (): Promise<number> =>
        (await admin.query<{ n: number }>("SELECT count(*)::int AS n FROM public.patient_vitals")).rows[0]?.n ?? 0;
      const before = await count();
      const { rows } = await purging.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      const ended = purging.query("CALL public.purge()").then(
        () => "ended",
        (err: unknown) => String(err),
      );
      try {
        await until("a row is purged", async () => (await count()) < before);
        const [outcome] = await asked(db, ["v6-rows"]);
        expect(outcome && line(outcome)).to.match(
          /^could not run: public\.patient_vitals: 1 of \d+ rows are missing, and whether the application deleted them cannot be told: a session that is at work.* \(pid \d+\) may not have told its deletions yet; ask again/,
        );
        expect(outcome && couldRunAgain(outcome)).to.equal(true);
      } finally {
        await admin.query("SELECT pg_cancel_backend($1)", [rows[0]?.pid]);
      }
      expect(await ended).to.match(/canceling statement/);
      await told(purging);
      expect(await said(db, "v6-rows"), "once it has told").to.match(/^passed/);
    }));

  it("19-4 takes autovacuum for nobody who deletes rows, though this role is not shown what it is", () =>
    withBackup(place, async (db, admin) => {
      await admin.query("ALTER SYSTEM SET autovacuum_naptime = '1s'");
      await admin.query("SELECT pg_reload_conf()");
      try {
        await admin.query(
          `CREATE TABLE public.cleared WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
             autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1) AS SELECT i FROM generate_series(1, 100000) i`,
        );
        await admin.query("DELETE FROM public.cleared; SELECT pg_stat_force_next_flush()");
        await lose(admin, "public.patient_vitals");
        const atWork =
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'autovacuum worker' AND query LIKE '%cleared%'";
        await until("autovacuum is at work", async () => (await admin.query(atWork)).rows.length > 0, 120_000);
        expect(await said(db, "v6-rows")).to.match(/^failed: public\.patient_vitals: loss: 1 of/);
        expect((await admin.query(atWork)).rows, "still").to.have.length(1);
      } finally {
        await admin.query("ALTER SYSTEM RESET autovacuum_naptime");
        await admin.query("SELECT pg_reload_conf()");
      }
    }));

  it("19-4 leaves a table that somebody locks uncompared, and compares the others", () =>
    withBackup(place, async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
      const outcomes = await lastly(asked(db, pass), () => admin.query("ROLLBACK"));
      const lines = outcomes.map(line);
      expect(lines[0]).to.match(/^could not run: public\.documents: not compared: .*lock timeout/);
      expect(lines[1]).to.match(/^could not run: public\.documents: not compared: .*lock timeout/);
      expect(lines[2]).to.match(/^could not run: public\.documents: not read: .*lock timeout/);
      for (const { figures } of outcomes) expect(figures).to.include({ unknownTables: 1 });
      expect(outcomes.map(couldRunAgain), "once it is free").to.deep.equal([true, true, true]);
      expect(outcomes[1]?.figures?.["comparedRows"], "all others").to.be.greaterThan(300);
    }));

  it("19-4 compares with the first backup of a data stage that was cut off, and says so where it is gone", () =>
    withBackup(place, async (db, admin, path, engine) => {
      const [key = ""] = await lose(admin, "public.patient_vitals");
      await provenBackup(engine, db, place, admin);
      expect(await said(db, "v6-rows"), "of two whose data stage is none").to.match(/^passed/);
      await admin.query(
        `UPDATE guardian_migration.step SET detail = detail || '{"protects": {"moving": "x"}}' WHERE kind = 'Backup';
         INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail)
           SELECT '${engine.urn("DataMigration", "moving")}', '', 'DataMigration', id, 1, 'running', 1, 1, '{}' FROM guardian_migration.ledger`,
      );
      expect(await said(db, "v6-rows"))
        .to.match(/^failed: public\.patient_vitals: loss: 1 of/)
        .and.include(key);
      renameSync(path, `${path}-moved`);
      const found = await said(db, "v6-rows");
      renameSync(`${path}-moved`, path);
      expect(found).to.match(/^warned: .*; not seen: what went between .*ENOENT.*; bring the folder back/);
      // What a gate has let pass is no later gate's.
      await admin.query(
        `INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail)
           SELECT '${engine.urn("Gate", "gate-data")}', '', 'Gate', id, 1, 'done', 1, 1, '{"gate": "data", "verdict": "ready"}' FROM guardian_migration.ledger`,
      );
      expect(await said(db, "v6-rows"))
        .to.match(/^passed/)
        .and.not.match(/not seen/);
    }));
});
