import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { applyAll } from "../../scripts/v6/operator";
import { columnsOf } from "../../scripts/docs/specimens";
import { testOn, value } from "../support/modules";
import { withV6, type V6 } from "../support/postgres";
import { asOperator, records } from "./009_operator";
import { listed, modules as everything } from "./every_module";

const sql = join(__dirname, "..", "..", "sql");
const v6 = [
  "auth.users",
  "public.documents",
  "public.patient_medications",
  "public.patient_allergies",
  "public.patient_conditions",
  "public.patient_lab_results",
  "public.patient_vitals",
  "public.patient_providers",
];

/** Runs a test with modules 000 and 001, the latter's files changed. */
async function withBroken<T>(files: Record<string, string>, test: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "guardian-sql-"));
  try {
    for (const name of ["000_audit_log", "001_feature_flags"])
      cpSync(join(sql, name), join(folder, name), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, "001_feature_flags", file), text);
    return await test(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const failure = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "nothing was refused",
    (err: unknown) => (err instanceof Error ? err.message : String(err)),
  );

/** Every row of v6 with the transaction that wrote it, and every column with its rules. */
async function v6Now(db: V6): Promise<unknown[]> {
  const admin = await db.connect("admin");
  const found: unknown[] = [];
  for (const table of v6) {
    found.push(table, await columnsOf(admin, table));
    found.push(await value(admin, `SELECT md5(string_agg(concat(xmin, ctid, t), '' ORDER BY ctid)) FROM ${table} t`));
    found.push(
      await value(
        admin,
        `SELECT array_agg(line ORDER BY line) FROM (
           SELECT pg_get_constraintdef(oid) AS line FROM pg_constraint WHERE conrelid = $1::text::regclass
           UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname || '.' || tablename = $1
           UNION ALL SELECT concat(policyname, qual, with_check) FROM pg_policies WHERE schemaname || '.' || tablename = $1
           UNION ALL SELECT concat(pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal
         ) x`,
        [table],
      ),
    );
  }
  return found;
}

const testAll = testOn(everything);

describe("the guide's procedure", function () {
  this.timeout(120_000);

  it("S-4: a file that fails leaves nothing, and the run ends with an error that names it", async () => {
    await withBroken({ "up.sql": "CREATE TABLE public.half (id int);\n\\i 002_missing.sql\n" }, (folder) =>
      withV6(async (db) => {
        expect(await failure(applyAll(db.migrator, folder))).to.match(/syntax error[\s\S]*001_feature_flags\/up\.sql/);
        const client = await db.connect();
        expect(await value(client, "SELECT to_regclass('public.half')")).to.equal(null);
      }),
    );
    await withBroken({ "up.sql": "CREATE TABLE public.half (id int);\nSELECT 1 / 0;\n" }, (folder) =>
      withV6(async (db) => {
        expect(await failure(applyAll(db.migrator, folder))).to.match(/001_feature_flags\/up\.sql/);
        const client = await db.connect();
        expect(await value(client, "SELECT to_regclass('public.half')")).to.equal(null);
        expect(await value(client, "SELECT to_regclass('public.audit_log')"), "what came before stays").to.equal(
          "audit_log",
        );
      }),
    );
  });

  it("S-5: a COMMIT inside a module's file is refused before anything runs", async () => {
    await withBroken({ "up.sql": "CREATE TABLE public.half (id int);\nCOMMIT;\nSELECT 1 / 0;\n" }, (folder) =>
      withV6(async (db) => {
        expect(await failure(applyAll(db.migrator, folder))).to.match(/COMMIT[\s\S]*001_feature_flags\/up\.sql/);
        expect(await value(await db.connect(), "SELECT to_regclass('public.half')")).to.equal(null);
      }),
    );
  });

  it("S-8: what a module must have made is a list of names, and one that is missing stops it", async () => {
    const yaml = [
      "name: 001_feature_flags",
      "title: t",
      "requires: []",
      "objects: { table: [public.fhir_one, public.fhir_two] }",
    ].join("\n");
    const files = {
      "module.yaml": yaml,
      "up.sql": "CREATE TABLE public.fhir_one (id int); CREATE VIEW public.fhirxtwo AS SELECT 1;",
      "down.sql": "DROP TABLE public.fhir_one, public.fhir_two;",
      "verify.sql": "SELECT 1;",
    };
    await withBroken(files, (folder) =>
      withV6(async (db) => {
        expect(await failure(applyAll(db.migrator, folder))).to.match(/table public\.fhir_two/);
        expect(await value(await db.connect(), "SELECT to_regclass('public.fhir_one')")).to.equal(null);
      }),
    );
  });

  testAll(
    "V6-2 V6-3 V6-5: the modules write no row of v6 and change no rule, index or trigger of it",
    async (client, db) => {
      // Both are copies of one v6, file by file.
      const before = await withV6(v6Now);
      expect(await v6Now(db)).to.deep.equal(before);
      const owned = "SELECT count(*) FROM public.documents WHERE user_id IS NULL";
      expect(await value(client, owned), "rows of nobody").not.to.equal("0");
      // The comparison sees a row written again with the same values.
      const admin = await db.connect("admin");
      await admin.query(
        "UPDATE public.patient_vitals SET bmi = bmi WHERE id = (SELECT id FROM public.patient_vitals LIMIT 1)",
      );
      expect(await v6Now(db)).not.to.deep.equal(before);
    },
  );

  testAll(
    "S-3: rows are counted, not read off statistics, in the table of that schema and whatever its name's case",
    async (_, db) => {
      const admin = await db.connect("admin");
      await admin.query('CREATE SCHEMA "Other"; CREATE TABLE "Other".documents AS SELECT * FROM public.documents');
      for (let i = 0; i < 3; i++) await admin.query("SELECT count(*) FROM public.documents");
      const counts = () =>
        asOperator(db, (c) =>
          records(c, "SELECT v6_count, v7_count FROM validate_v7_migration() WHERE entity = 'Documents'"),
        );
      const real = await value<string>(admin, "SELECT count(*) FROM public.documents");
      expect(await counts()).to.deep.equal([[real, real]]);
    },
  );

  testAll("V6-1: documents whose normalization failed are no loss, and the assessment says so", async (_, db) => {
    const admin = await db.connect("admin");
    await admin.query(
      "ALTER TABLE public.documents DISABLE TRIGGER USER; UPDATE public.documents SET normalization_status = 'failed'",
    );
    const [documents] = await asOperator(db, (c) =>
      records(c, "SELECT migration_status FROM validate_v7_migration() WHERE entity = 'Documents'"),
    );
    expect(documents).to.deep.equal(["✅ Complete"]);
    const [note] = await asOperator(db, (c) =>
      records(
        c,
        "SELECT migration_readiness, action_required FROM assess_v6_details() WHERE assessment_item = 'Document Normalization'",
      ),
    );
    expect(note).to.deep.equal(["Note", "None: normalization ends as failed under v6 too, no data is lost by it"]);
  });

  testAll(
    "V6-4 K-6: no function of v7 reads a secret from a setting, and none encrypts with a key that users can read",
    async (_, db) => {
      const admin = await db.connect("admin");
      const { rows } = await admin.query<{ name: string; settings: string[] }>(
        `SELECT p.proname AS name, ARRAY(SELECT m[1] FROM regexp_matches(p.prosrc, 'current_setting\\(''([^'']+)''', 'g') m) AS settings
         FROM pg_proc p WHERE p.oid = ANY ($1::regprocedure[])`,
        [listed("function")],
      );
      const known = [
        "role",
        "guardian_migration.batch",
        "server_version",
        "server_version_num",
        "transaction_isolation",
      ];
      expect(rows.length).to.be.above(30);
      expect(
        rows.flatMap((row) => row.settings).filter((name) => !known.includes(name) && !name.startsWith("request.")),
      ).to.deep.equal([]);
    },
  );
});
