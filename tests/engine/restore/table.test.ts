import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { escapeIdentifier } from "pg";
import { openBackup } from "../../../engine/backup/keep/read";
import { restoreTable, type RestoredTable } from "../../../engine/backup/restore";
import { compareFingerprints } from "../../../engine/fingerprint/compare";
import { quickFingerprint } from "../../../engine/fingerprint/take";
import { settingsOf } from "../../../scripts/v6/operator";
import { withV6 } from "../../support/postgres";
import { marker, refusal, useDumps } from "../dumps";
import { awkward } from "../prove/awkward";

/** What hangs on what is in production: types, functions, sequences, keys, triggers, rights by default. */
const tangled = `
  CREATE FUNCTION of_ours() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''x''';
  CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$;
  CREATE TABLE "Tangled" (id bigserial PRIMARY KEY, d text DEFAULT of_ours() CHECK (d <> of_ours() || 'y'), g text GENERATED ALWAYS AS (of_ours() || n) STORED,
    n text UNIQUE, p bigint REFERENCES "Tangled", at timestamptz DEFAULT now(), CONSTRAINT small CHECK (length(n) < 99));
  CREATE INDEX tangled_f ON "Tangled" ((of_ours() || n)); CREATE INDEX tangled_n ON "Tangled" (lower(n));
  CREATE TRIGGER fires BEFORE INSERT ON "Tangled" FOR EACH ROW EXECUTE FUNCTION fires();
  ALTER TABLE "Tangled" DISABLE TRIGGER fires;
  INSERT INTO "Tangled" (n, p) VALUES ('${marker}', NULL), (E'a\\tb\\\\N', 1), (NULL, 2);
  ALTER TABLE "Tangled" ENABLE TRIGGER fires;
  ALTER TABLE "Tangled" CLUSTER ON "Tangled_pkey"; ALTER TABLE "Tangled" REPLICA IDENTITY USING INDEX "Tangled_pkey";
  ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO anon;
  CREATE PUBLICATION everything FOR ALL TABLES;
`;

describe("one table that is restored", function () {
  this.timeout(120_000);
  const place = useDumps();

  it("17-6 goes into a schema of its own of the live database, with data and definition; nothing else is touched or tied", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(awkward);
      await admin.query(tangled);
      await admin.query(`ALTER DATABASE ${escapeIdentifier(db.name)} SET bytea_output = 'escape'`);
      const made = await place.take(db);
      const backup = await openBackup(made.path);
      const how = place.restoring({ live: db.name });
      const one = (table: string, more = {}): Promise<RestoredTable> =>
        restoreTable(backup, table, settingsOf(db.admin), { ...how, ...more });
      const schema = `guardian_restored_${made.name.split("-").at(-1) ?? ""}`;
      await admin.query(`UPDATE "Tangled" SET n = 'changed since' WHERE id = 1; DELETE FROM "Tangled" WHERE id = 3`);
      const before = await quickFingerprint(admin);
      /** What is otherwise than before; the catalogue has more in it, of course. */
      const added = async (ignoreSchemas: string[]): Promise<string[]> =>
        compareFingerprints(before, await quickFingerprint(admin, { ignoreSchemas })).flatMap(({ kind, name }) =>
          kind === "catalogue" ? [] : [`${kind} ${name}`],
        );

      for (const [table, why] of [
        [
          "Tangled",
          /the backup has no rows of a table of that name.*\n.*\n {2}to do: the nearest one is --table public\.Tangled$/,
        ],
        ["public.child", /public\.child is made from another table \(INHERITS, PARTITION BY\)/],
        ["part", /the backup has no rows of a table of that name/],
      ] as const)
        expect(await refusal(one(table)))
          .to.match(why)
          .and.contain("nothing was written");
      expect(await refusal(one("documents", { live: undefined }))).to.match(
        /it is live; nothing was written \[restore-refused\]/,
      );
      const stop = new AbortController();
      const stopping = {
        signal: stop.signal,
        onProgress: ({ phase }: { phase: string }) => phase === "comparing" && stop.abort(),
      };
      expect(await refusal(one("documents", stopping))).to.match(
        /^the restore of a table was stopped; nothing of it is left \[interrupted\]/,
      );
      expect(compareFingerprints(before, await quickFingerprint(admin))).to.deep.equal([]);

      const tangledOne = await one('public."Tangled"');
      expect(tangledOne).to.deep.include({ table: "public.Tangled", name: `"${schema}"."Tangled"`, rows: 3 });
      expect(tangledOne.left.map(({ what }) => what).sort()).to.deep.equal([
        "the check Tangled_d_check",
        "the default of column d",
        "the default of column id",
        "the expression of column g",
        `the index ${schema}.tangled_f`,
      ]);
      expect(await one("documents")).to.include({ rows: 30 });
      const typed = await one('"Odd ""name"."T 1"');
      expect(typed).to.include({ rows: 53 });
      expect(typed.left.map(({ what }) => what)).to.deep.equal(["the column mood", "the column s"]);
      expect(await one("public.nothing")).to.include({ rows: 1 });
      expect(await one("part_2")).to.include({ rows: 57 });
      expect(await refusal(one("documents"))).to.match(/"documents" is there already; nothing was written/);
      const table = `table ${schema}."T 1" needs type`;
      expect(await added([schema])).to.deep.equal([
        `tie column mood of ${table} "Odd ""name"."Mood"`,
        `tie column s of ${table} public.short`,
      ]);
      await backup.close();
      expect(readdirSync(join(place.folder, "backups"))).to.deep.equal([made.name]);

      const rows = await admin.query(`SELECT id, d, g, n, p FROM ${schema}."Tangled" ORDER BY id`);
      expect(rows.rows).to.deep.equal([
        { id: "1", d: "x", g: `x${marker}`, n: marker, p: null },
        { id: "2", d: "x", g: "xa\tb\\N", n: "a\tb\\N", p: "1" },
        { id: "3", d: "x", g: null, n: null, p: "2" },
      ]);
      const about = await admin.query(
        `SELECT c.relpersistence AS logged, (SELECT count(*)::int FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AS rights,
           (SELECT count(*)::int FROM aclexplode(n.nspacl) a WHERE a.grantee <> n.nspowner) AS entries,
           (SELECT count(*)::int FROM pg_trigger WHERE tgrelid = c.oid) AS triggers,
           ARRAY(SELECT conname::text FROM pg_constraint WHERE conrelid = c.oid AND contype <> 'n' ORDER BY 1) AS keys,
           ARRAY(SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = c.oid ORDER BY 1) AS indexes
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = '${schema}."Tangled"'::regclass`,
      );
      expect(about.rows).to.deep.equal([
        {
          ...{ logged: "u", rights: 0, entries: 0, triggers: 0, keys: ["Tangled_n_key", "Tangled_pkey", "small"] },
          indexes: [`${schema}."Tangled_n_key"`, `${schema}."Tangled_pkey"`, `${schema}.tangled_n`],
        },
      ]);
      // Nothing of it keeps production from dropping what is its own, but a type of a column, which is named.
      await admin.query('DROP TABLE "Tangled"; DROP FUNCTION of_ours(); DROP FUNCTION fires()');
      expect(await refusal(one("public.Tangled"))).to.contain("is there already");
    }));
});
