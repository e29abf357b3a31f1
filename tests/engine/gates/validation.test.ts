import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Manifest } from "../../../engine/backup";
import { couldRunAgain } from "../../../engine/gates/check";
import { withEngine } from "../module/harness";
import { useDumps } from "../dumps";
import { v6Tables } from "../../../spec/roles";
import { long } from "../../support/long";
import { awkward } from "./awkward";
import { line } from "./asked";
import { ask, asked, asOneProcess, lose, provenBackup, said, told, withBackup } from "./harness";

const pass = ["v6-rows", "v6-cells", "v6-written"];

describe("the gate after the data stage", function () {
  this.timeout(180_000);
  const place = useDumps();

  it("19-4 raises no alarm for what the application adds, changes and deletes meanwhile, and counts it", () =>
    withBackup(place, async (db, admin) => {
      await admin.query(
        `INSERT INTO public.patient_allergies (user_id, allergen, source_document_ids) SELECT id, 'dust', '{}' FROM auth.users ORDER BY id LIMIT 7;
         UPDATE public.documents SET status = 'failed', error_log = 'x' WHERE id IN (SELECT id FROM public.documents ORDER BY id LIMIT 5);
         DELETE FROM public.patient_vitals WHERE id IN (SELECT id FROM public.patient_vitals ORDER BY id LIMIT 3)`,
      );
      // An account goes with all that is its own.
      await admin.query(
        "DELETE FROM auth.users WHERE id = (SELECT m.user_id FROM public.patient_medications m JOIN public.documents d USING (user_id) GROUP BY 1 ORDER BY count(*) DESC LIMIT 1)",
      );
      await told(admin);
      const outcomes = await asked(db, pass);
      expect(
        outcomes.map(({ verdict }) => verdict),
        outcomes.map(line).join("\n"),
      ).to.deep.equal(pass.map(() => "passed"));
      const { figures = {} } = outcomes[0] ?? {};
      expect(figures).to.include({ lostRows: 0, lostShare: 0, unknownTables: 0 });
      expect(figures["missingRows"]).to.equal(figures["deletedRows"]).and.be.at.least(6);
      expect(figures["writtenRows"]).to.be.within(1, 5);
      expect(outcomes.map(line).join()).to.match(/public\.patient_allergies: extra: \d+ rows more than the backup's/);
      // Beyond what was deleted, a row is lost all the same.
      const [key = ""] = await lose(admin, "public.patient_vitals");
      expect(await said(db, "v6-rows"), "one more")
        .to.match(/^failed: public\.patient_vitals: loss: \d+ of/)
        .and.include(key);
    }));

  it("19-4 cannot tell what was deleted where the statistics were set to 0", () =>
    withBackup(place, async (db, admin) => {
      await admin.query("SELECT pg_stat_reset()");
      expect(await said(db, "v6-rows"), "nothing is missing").to.match(/^passed/);
      await admin.query(
        "CREATE TEMP TABLE lost AS SELECT * FROM public.patient_vitals LIMIT 1; DELETE FROM public.patient_vitals WHERE id = (SELECT id FROM lost)",
      );
      await told(admin);
      const [outcome] = await asked(db, ["v6-rows"]);
      expect(outcome && line(outcome)).to.match(
        /^could not run: public\.patient_vitals: 1 of \d+ rows are missing, and whether the application deleted them cannot be told: the server's statistics were set to 0 since the backup/,
      );
      expect(outcome && couldRunAgain(outcome), "nor next time").to.equal(false);
    }));

  it("19-4 takes another schema's tables of the same names for none of v6's", () =>
    withBackup(
      place,
      async (db, admin) => {
        await admin.query(
          "DELETE FROM staging.documents; ALTER TABLE staging.documents ADD COLUMN x int; TRUNCATE staging.patient_vitals",
        );
        for (const name of [...pass, "v6-definitions"])
          expect(await said(db, name))
            .to.match(/^passed/)
            .and.not.match(/staging/);
        const [key = ""] = await lose(admin, "public.patient_vitals");
        expect(await said(db, "v6-rows"))
          .to.match(/^failed/)
          .and.include(key);
      },
      {
        before:
          "CREATE SCHEMA staging; CREATE TABLE staging.documents AS TABLE public.documents; CREATE TABLE staging.patient_vitals (LIKE public.patient_vitals INCLUDING ALL); INSERT INTO staging.patient_vitals SELECT * FROM public.patient_vitals; GRANT USAGE ON SCHEMA staging TO guardian_migrator; GRANT SELECT ON ALL TABLES IN SCHEMA staging TO guardian_migrator",
      },
    ));

  it("19-4 compares partitions one by one, types and texts that COPY and quotation marks bend, and a table without a row", () =>
    withBackup(
      place,
      async (db, admin) => {
        const outcomes = await asked(db, pass);
        expect(outcomes[1]?.figures, outcomes.map(line).join("\n")).to.deep.include({
          comparedRows: 786,
          unknownTables: 0,
        });
        expect(outcomes.map(line).join("\n")).to.match(/public\.patient_providers: complete, 0 rows compared/);
        expect(outcomes.map(({ verdict }) => verdict)).to.deep.equal(pass.map(() => "passed"));
        expect(await said(db, "v6-definitions")).to.match(/^passed/);
        await admin.query(
          "CREATE TABLE public.user_profiles_third PARTITION OF public.user_profiles FOR VALUES IN (2)",
        );
        expect(await said(db, "v6-definitions")).to.equal(
          "warned: partition public.user_profiles_third of table public.user_profiles was added",
        );
        // Its row goes from one partition to another: deleted here, added there.
        await admin.query("UPDATE public.user_profiles SET shard = 0 WHERE n = 1");
        await told(admin);
        expect(await said(db, "v6-rows")).to.match(/^passed/);
        await admin.query(
          "SET track_counts = off; DELETE FROM public.user_profiles WHERE n = 3; SET track_counts = on",
        );
        expect(await said(db, "v6-rows")).to.match(
          /^failed: public\.user_profiles_odd: loss: 2 of 200 rows are missing, and at most 1 were deleted: \(a key that may be personal is not told\)/,
        );
        await lose(admin, "public.patient_allergies_old");
        expect(await said(db, "v6-rows"), "that inherits").to.match(
          /^failed: public\.patient_allergies_old: loss: 1 of 1 rows are missing/,
        );
      },
      { before: awkward },
    ));

  it("19-4 says why it could not run: no backup, one that was only listed, one that is gone or was changed", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      for (const name of pass.slice(0, 2))
        expect(await said(db, name)).to.match(/^not applicable: no backup was taken yet/);
      expect(await said(db, "v6-written"), "needs no backup").to.match(/^passed: none of \d+ rows/);
      expect(await said(db, "moved")).to.equal("not applicable: no data migration is up");
      const path = await provenBackup(engine, db, place, admin);
      const files = (JSON.parse(readFileSync(join(path, "manifest.json"), "utf8")) as Manifest).tables;
      const file = join(path, files.find(({ table }) => table === "documents")?.file ?? "");
      const whole = readFileSync(file);
      writeFileSync(file, Buffer.concat([whole.subarray(0, -1), Buffer.from("x")]));
      expect(await said(db, "v6-rows")).to.match(
        /^could not run: the backup is broken: dump\/\d+\.dat\.\w+ is not what was written/,
      );
      writeFileSync(file, whole);
      renameSync(path, `${path}-moved`);
      expect(await said(db, "v6-cells")).to.match(
        /^could not run: the backup is broken: manifest\.json cannot be read \(ENOENT\)/,
      );
      expect(await said(db, "v6-definitions")).to.match(/^could not run: .*ENOENT/);
      renameSync(`${path}-moved`, path);
      await admin.query(
        `UPDATE guardian_migration.step SET state = 'undone' WHERE part = 'proof';
         UPDATE guardian_migration.step SET detail = detail || '{"verify": "list"}' WHERE kind = 'Backup'`,
      );
      expect(await said(db, "v6-rows")).to.match(
        /^could not run: guardian:backup\.verify is list: .* was never restored/,
      );
      expect(await said(db, "v6-definitions"), "its definitions are known").to.match(/^passed/);
      expect(await said(db, "v6-written"), "needs no backup").to.match(/^passed: none of \d+ rows/);
    }));

  it("19-4 has three checks judge one look, and looks again for one that asks again", () =>
    withBackup(place, (db, admin) =>
      asOneProcess(db, async (host) => {
        const heard: string[] = [];
        const verdicts = async (): Promise<string[]> =>
          (await ask(host, pass, 0.001, (text) => heard.push(text))).map(({ verdict }) => verdict);
        expect(await verdicts()).to.deep.equal(["passed", "passed", "passed"]);
        expect(heard.filter((text) => text === "public.documents: 30 of 30 rows compared")).to.have.length(1);
        await lose(admin, "public.patient_vitals");
        expect(await verdicts(), "the same process asks anew").to.deep.equal(["failed", "passed", "passed"]);
      }),
    ));

  it("19-4 fails in a database without v6, which its backup had none of either, and where one came to be since", () =>
    withBackup(
      place,
      async (db, admin) => {
        expect(await said(db, "v6-rows")).to.equal(
          "failed: neither the backup nor the database has any of v6's tables",
        );
        expect(await said(db, "v6-definitions")).to.equal("failed: the backup knows no table of v6");
        expect(await said(db, "v6-written")).to.equal("failed: the database has none of v6's tables");
        await admin.query(
          "CREATE TABLE public.documents (id int PRIMARY KEY); GRANT SELECT ON public.documents TO guardian_migrator",
        );
        for (const name of pass.slice(0, 2))
          expect(await said(db, name)).to.equal("failed: the backup does not have any of v6's tables");
        expect(await said(db, "v6-definitions")).to.match(/^failed: .*; the backup knows no table of v6$/);
      },
      { before: `DROP TABLE ${v6Tables.join(", ")} CASCADE` },
    ));

  it("19-4 finds one row lost of some thousands", () => oneLost(2000));
  long("19-4 finds one row lost in 100,000", () => oneLost(100_000)).timeout(480_000);

  const oneLost = (users: number): Promise<void> =>
    withBackup(
      place,
      async (db, admin) => {
        // What belongs to the account stays, as where a page is lost.
        await admin.query("SET track_counts = off; SET session_replication_role = replica");
        const { rows } = await admin.query<{ id: string }>(
          "DELETE FROM auth.users WHERE id = (SELECT id FROM auth.users ORDER BY id OFFSET 777 LIMIT 1) RETURNING id",
        );
        const found = await said(db, "v6-rows");
        expect(found).to.match(
          new RegExp(
            `^(warned|failed): auth\\.users: loss: 1 of ${users} rows are missing, and at most 0 were deleted`,
          ),
        );
        expect(found).to.include(rows[0]?.id);
        expect(await said(db, "v6-rows", 0)).to.match(/^failed/);
      },
      { users },
    );
});
