import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { escapeIdentifier, type Client } from "pg";
import { verifyBackup, type FoundBackup } from "../../../engine/backup";
import { listTables } from "../../../engine/backup/tables";
import { quoteName, type Queryable } from "../../../engine/base/sql";
import { runV6Script } from "../../../engine/fingerprint/v6-script";
import { maskBackup, readRules, type MaskedBackup, type Rules } from "../../../engine/mask";
import { main } from "../../../scripts/backups";
import { markable, staying } from "../../../scripts/docs/erasure";
import { reasons, type ReasonName } from "../../../scripts/docs/erasure/list";
import { findMarks, markEverything, marks } from "../../sql/erasure_marks";
import { modules } from "../../sql/every_module";
import { long } from "../../support/long";
import { value, withModules } from "../../support/modules";
import { withEmpty, type V6 } from "../../support/postgres";
import { refusal, useDumps, type Dumps } from "../dumps";

const excluded = ["guardian_migration"];
const rules = readRules();
const mark = `${marks.ofHim}|${marks.unlinked}`;

/** The same rules, but of one column. */
function otherwise(table: string, column: string, rule?: "keep"): Rules {
  const columns = new Map(rules.columns);
  const changed = new Map(columns.get(table));
  if (rule) changed.set(column, rule);
  else changed.delete(column);
  return { ...rules, columns: columns.set(table, changed) };
}

/** What the rules keep of what can hold words; these are the product's and the operators' (docs/erasure.md). */
const speakers: readonly ReasonName[] = ["settings", "words", "audit"];
const speaking = new Set(staying(speakers));
const persons = new Set(staying((Object.keys(reasons) as ReasonName[]).filter((name) => !speakers.includes(name))));
/** Words of a pipeline, which an operator wrote: no other way leads there than enqueue_document. */
const ofPipelines = ["pipeline_name", "processing_stage"].map((name) => `public.document_processing_queue.${name}`);

async function mask(place: Dumps, backup: FoundBackup, by: Rules = rules): Promise<MaskedBackup> {
  return maskBackup(backup, { rules: by, ...place.means });
}

/** By the command, as one types it. @returns its exit code and what it said */
async function restoreMasked(place: Dumps, to: V6, more: string[] = []): Promise<{ code: number; said: string }> {
  const { host, port, user, password } = to.admin;
  const said: string[] = [];
  const say = (line: string): void => void said.push(line);
  const where = `host='${host}' port=${port} user=${user} dbname=${to.name} sslmode=disable`;
  const args = ["restore", "latest", "--masked", "--no-roles", "--to", where, "--directory", backupsOf(place), ...more];
  const env = { PGPASSWORD: password, GUARDIAN_PG_BIN: place.bin, HOME: place.folder };
  const { signal } = new AbortController();
  const code = await main(args, { clone: place.folder, env, say, print: say, signal });
  return { code, said: said.join("\n") };
}

const backupsOf = ({ folder }: Dumps): string => join(folder, "backups");

/** Files of the copy's data in which a mark is found, by their numbers; large objects too. */
const markedFiles = (masked: MaskedBackup): string[] =>
  readdirSync(join(masked.path, "dump")).filter((name) => {
    const bytes = readFileSync(join(masked.path, "dump", name));
    return new RegExp(mark, "i").test((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("latin1"));
  });

/** Every column that is masked, of which a value of the original is in the copy too. */
async function originalsLeft(original: Client, copy: Client): Promise<string[]> {
  const left: string[] = [];
  // Of JSON the shape stays, and codes; words within it are looked for by the marks.
  const asItIs = ["keep", "clear", "word", "figure", "language", "timezone", "year", "json", "coded"];
  for (const [table, columns] of rules.columns) {
    for (const [column, rule] of columns) {
      if (asItIs.includes(rule)) continue;
      // A shorter one may by chance be another's.
      const text = `SELECT DISTINCT v AS value FROM ${quoteName(table)}, CAST(${escapeIdentifier(column)} AS text) v
        WHERE length(regexp_replace(v, '[^[:alnum:]]', '', 'g')) >= 8`;
      const [was, is] = [await original.query<{ value: string }>(text), await copy.query<{ value: string }>(text)];
      const before = new Set(was.rows.map((row) => row.value));
      if (is.rows.some((row) => before.has(row.value))) left.push(`${table}.${column}`);
    }
  }
  return left;
}

/** The rules name what is there, and nothing else. */
async function expectNamed(db: Client): Promise<void> {
  const tables = await listTables(db as unknown as Queryable, [...excluded, "guardian_archive"]);
  const there = tables.flatMap(({ schema, table, columns }) => columns.map((column) => `${schema}.${table}.${column}`));
  const named = [...rules.columns].flatMap(([table, columns]) => [...columns.keys()].map((name) => `${table}.${name}`));
  const [unnamed, gone] = [
    there.filter((name) => !named.includes(name)),
    named.filter((name) => !there.includes(name)),
  ];
  expect({ unnamed, gone }).to.deep.equal({ unnamed: [], gone: [] });
}

describe("a masked backup", function () {
  this.timeout(120_000);
  const place = useDumps();
  const tables = [...rules.columns.keys()];

  /** A backup of a database in which every column that takes one has a mark. */
  async function marked(admin: Client, db: V6): Promise<FoundBackup> {
    await admin.query("SELECT public.refresh_fhir_mappings()");
    await markEverything(admin, tables);
    // What a key took twice as it was written, and JSON that codes make longer than its bound.
    await admin.query(`
      UPDATE auth.users SET email = (SELECT upper(email) FROM auth.users ORDER BY id LIMIT 1)
       WHERE id = (SELECT id FROM auth.users ORDER BY id LIMIT 1 OFFSET 1);
      INSERT INTO public.notification_delivery_channels (user_id, channel_type, channel_identifier)
        SELECT (SELECT id FROM auth.users ORDER BY id LIMIT 1), 'sms', n FROM unnest(ARRAY['+49 30 5550192', '+49305550192']) n;
      INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, consent_evidence)
        SELECT (SELECT id FROM auth.users ORDER BY id LIMIT 1), 'data_sharing', 'long', true, 'consent', jsonb_object_agg('k' || i, 1)
          FROM generate_series(1, 5000) i`);
    return place.take(db, { excludeSchemas: excluded });
  }

  // values.test.ts and rules.test.ts have what each rule does, and that none may be missing.
  long(
    "17-7 by rules that name every column of v6 and v7 holds no original value, and everything else that the backup holds",
    () =>
      withModules(
        modules,
        async (_, db) => {
          const admin = await db.connect("admin");
          await expectNamed(admin);
          await admin.query(`SELECT lo_from_bytea(4711, 'zyxmark'); CREATE MATERIALIZED VIEW public.addresses AS SELECT email FROM auth.users;
        CREATE TABLE guardian_archive.things__1 (name text); INSERT INTO guardian_archive.things__1 VALUES ('zyxmark');
        CREATE SCHEMA IF NOT EXISTS storage; CREATE TABLE storage.objects (name text); INSERT INTO storage.objects VALUES ('zyxmark')`);
          const [base, role] = [escapeIdentifier(db.name), `masked_${process.pid}`];
          await admin.query(`CREATE FOREIGN DATA WRAPPER far; CREATE SERVER there FOREIGN DATA WRAPPER far;
        CREATE USER MAPPING FOR PUBLIC SERVER there OPTIONS (password 'zyxmark'); ALTER DATABASE ${base} SET app.service_role_key = 'zyxmark'; ALTER DATABASE ${base} SET bytea_output = 'escape';
        CREATE ROLE ${role}; ALTER ROLE ${role} SET app.key = 'zyxmark'`);
          const backup = await marked(admin, db);
          const masked = await mask(place, backup);
          try {
            await admin.query(`DROP ROLE ${role}`);
            await verifyBackup(masked.path, { sha: true });
            const roles = readFileSync(join(masked.path, "roles.sql"), "utf8");
            expect(roles).to.contain(`CREATE ROLE ${role};`).and.not.contain("zyxmark");
            expect(masked.empty).to.deep.equal(["guardian_archive.things__1", "storage.objects"]);
            await withEmpty(async (to) => {
              const done = await restoreMasked(place, to);
              expect(done.said)
                .to.contain("masking it, before anything goes to a server")
                .and.match(/masked [\d,]+ rows of (\d+) of \1 tables/)
                .and.contain("rows, definitions, roles and settings are as they were")
                .and.contain("without their rows: guardian_archive.things__1, storage.objects")
                .and.contain("it is pseudonymised, not anonymous")
                .and.match(/v7 is in it \(\S+ and \d+ more of its tables\), and its ledger is not, .*objects-exist/)
                .and.not.match(new RegExp(mark, "i"));
              expect(done.code, done.said).to.equal(0);
              const copy = await to.connect("admin");
              const kept = (await markable(admin, tables)).map(({ table, name }) => `${table}.${name}`);
              const wanted = kept.filter((name) => speaking.has(name) || ofPipelines.includes(name));
              const stays = (name: string): boolean => {
                const at = name.lastIndexOf(".");
                return rules.columns.get(name.slice(0, at))?.get(name.slice(at + 1)) === "keep";
              };
              const found = await findMarks(copy, mark);
              expect(found.filter((name) => !wanted.includes(name) || !stays(name))).to.deep.equal([]);
              expect(await originalsLeft(admin, copy)).to.deep.equal([]);
              const names =
                "SELECT string_agg(DISTINCT medical_data #>> '{patientInfo,name}', '|') FROM public.documents";
              expect(await value(copy, names)).not.to.match(new RegExp(await value<string>(admin, names)));
              expect(await value(copy, "SELECT count(*) FROM pg_user_mapping")).to.equal("0");
              const set =
                "SELECT count(*) FROM pg_db_role_setting WHERE setdatabase <> 0 AND setconfig::text ~ 'zyxmark' AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())";
              expect(await value(copy, set)).to.equal("0");
              expect(await value(copy, "SELECT count(*) FROM pg_largeobject_metadata")).to.equal("1");
              expect(
                await value(copy, "SELECT count(*) FROM public.addresses WHERE email !~ '@masked.invalid$'"),
              ).to.equal("0");
              for (const table of tables) {
                const count = `SELECT count(*) FROM ${quoteName(table)}`;
                expect(await value(copy, count), table).to.equal(await value(admin, count));
              }
              for (const sum of consistent)
                expect(await value(copy, sum), sum)
                  .to.equal(await value(admin, sum))
                  .and.not.equal("0");
              const { steps } = await runV6Script(copy);
              expect(steps.filter((step) => !step.passed)).to.deep.equal([]);
            });
          } finally {
            await masked.close();
          }
          expect(readdirSync(backupsOf(place)), "the copy is gone").to.deep.equal([backup.name]);

          const wrong = await withEmpty((to) => restoreMasked(place, to, ["--live", to.name]));
          expect(wrong).to.deep.include({ code: 2 });
          expect(wrong.said).to.contain("What is masked goes into no live database");
          const part = await withEmpty((to) => restoreMasked(place, to, ["--table", "auth.users"]));
          expect(part.said).to.contain("--masked restores a whole backup");
          const without = await refusal(mask(place, backup, otherwise("public.documents", "extracted_text")));
          expect(without).to.match(
            /^of 1 column of the backup .*\[masking-incomplete\]:\n {4}public.documents.extracted_text: text, has no rule\n/,
          );
        },
        { users: 60 },
      ),
  );

  long("17-7 a rule that is weakened lets marks through, by which such a rule is found", () =>
    withModules(
      modules,
      async (_, db) => {
        const backup = await marked(await db.connect("admin"), db);
        const clean = await mask(place, backup, otherwise("public.documents", "status", "keep"));
        const weak = await mask(place, backup, otherwise("public.documents", "extracted_text", "keep"));
        const more = markedFiles(weak).filter((name) => !markedFiles(clean).includes(name));
        expect(more).to.have.lengthOf(1);
        await Promise.all([clean.close(), weak.close()]);
        expect(readdirSync(backupsOf(place))).to.deep.equal([backup.name]);
      },
      { users: 60 },
    ),
  );

  it("17-7 keeps no column that may hold words of a person, by the list of what an erasure leaves", () => {
    const kept = [...rules.columns].flatMap(([table, columns]) =>
      [...columns].flatMap(([column, rule]) => (rule === "keep" ? [`${table}.${column}`] : [])),
    );
    const doubtful = kept.filter((name) => persons.has(name) && !speaking.has(name) && !ofPipelines.includes(name));
    expect(doubtful).to.deep.equal([]);
  });
});

/** What must be the same of ids, in words and JSON too: rows that still belong together. */
const consistent = [
  "SELECT count(*) FROM public.documents d JOIN auth.users u ON u.id = d.user_id",
  "SELECT count(*) FROM public.documents d WHERE d.s3_key LIKE d.user_id || '/%'",
  "SELECT count(*) FROM public.patient_medications m JOIN public.documents d ON d.id = ANY (m.source_document_ids)",
  "SELECT count(*) FROM public.fhir_observations o WHERE o.subject = 'Patient/' || o.guardian_patient_id",
  "SELECT count(*) FROM public.fhir_observations o WHERE o.resource ->> 'id' = o.fhir_observation_id",
  "SELECT count(*) FROM public.fhir_observations o WHERE o.fhir_observation_id LIKE coalesce(o.guardian_vital_id, o.guardian_lab_result_id) || '%'",
  "SELECT count(DISTINCT normalized_name) FROM public.patient_medications",
  "SELECT sum(numeric_value)::text FROM public.patient_lab_results",
  "SELECT sum(extract(year FROM date_of_birth))::text FROM public.user_profiles WHERE date_of_birth >= '1950-01-01'",
];
