import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "pg";
import { compareFingerprints } from "../../engine/fingerprint/compare";
import { ownSchemas, quickFingerprint, takeFingerprint } from "../../engine/fingerprint/take";
import type { Difference, Fingerprint } from "../../engine/fingerprint/types";
import { clientFolder } from "../../scripts/pg-clients";
import { major, withV6, type Login, type V6 } from "../support/postgres";

const libpq = (login: Login) => ({
  PGHOST: login.host,
  PGPORT: String(login.port),
  PGDATABASE: login.database,
  PGUSER: login.user,
  PGPASSWORD: login.password,
});

const pgDump = async (): Promise<string> => join(await clientFolder(major), "pg_dump");

async function take(db: V6, client: Client, ignoreSchemas = ownSchemas): Promise<Fingerprint> {
  return takeFingerprint(client, { pgDump: await pgDump(), env: libpq(db.migrator), ignoreSchemas });
}

const brief = (differences: Difference[]) => differences.map(({ kind, name, change }) => `${change}: ${kind} ${name}`);

describe("fingerprint", function () {
  this.timeout(60_000);

  it("is the same for a database that nobody touched", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      const before = await take(db, client);
      await (await db.connect("admin")).query("VACUUM (FREEZE, ANALYZE)");
      expect(compareFingerprints(before, await take(db, client))).to.deep.equal([]);
      expect(before.cascadeKeys).to.deep.equal([]);
      expect(before.facts["table rows"]?.["auth.users"]).to.match(/^300 rows, content -?\d+$/);
      expect(before.facts["TABLE"]).to.have.property("public.documents");
    });
  });

  it("shows every write to the quick one, even one that changes nothing or was undone", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      await client.query("CREATE SEQUENCE public.s");
      const writes: [string, string[]][] = [
        ["VACUUM (FREEZE, ANALYZE)", []],
        ["UPDATE documents SET status = status WHERE original_name = 'scan-1.pdf'", ["table rows public.documents"]],
        ["BEGIN; SELECT nextval('public.s'); ROLLBACK", ["sequence state public.s"]],
        [
          `DROP FUNCTION get_normalization_stats(); CREATE FUNCTION get_normalization_stats() RETURNS jsonb LANGUAGE sql
             RETURN '{}'::jsonb`,
          ["catalogue pg_depend", "catalogue pg_proc", "catalogue pg_shdepend"],
        ],
        ["COMMENT ON TABLE documents IS 'x'", ["catalogue pg_description"]],
      ];
      let before = await quickFingerprint(client);
      for (const [sql, expected] of writes) {
        for (const statement of sql.split("; ")) await client.query(statement);
        const after = await quickFingerprint(client);
        const found = compareFingerprints(before, after).map(({ kind, name }) => `${kind} ${name}`);
        expect(found, sql).to.deep.equal(expected);
        before = after;
      }
    });
  });

  it("counts rows that were written and rolled back, once their session has ended", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      const before = await quickFingerprint(client, { counters: true });
      const writer = await db.connect();
      await writer.query("BEGIN; DELETE FROM patient_vitals; ROLLBACK");
      await writer.end();
      const after = await quickFingerprint(client, { counters: true });
      expect(brief(compareFingerprints(before, after))).to.deep.equal(["changed: rows written public.patient_vitals"]);
    });
  });
});

/** Some SQL that a superuser runs, how the differences begin that are found after it, and which others are let pass. */
type Planted = readonly [what: string, sql: string, found: readonly string[], besides?: RegExp];

const planted: readonly Planted[] = [
  [
    "one changed cell, without showing it",
    "UPDATE auth.users SET raw_user_meta_data = '{\"name\": \"MARKER\"}' WHERE email = 'user21@example.test'",
    ["table rows auth.users: changed, still 300 rows, other content"],
  ],
  [
    "two rows that exchanged a value",
    `UPDATE documents SET original_name = CASE original_name WHEN 'scan-1.pdf' THEN 'scan-2.pdf' ELSE 'scan-1.pdf' END
     WHERE original_name IN ('scan-1.pdf', 'scan-2.pdf')`,
    ["table rows public.documents: changed, still 30 rows, other content"],
  ],
  [
    "that of equal rows one is now like others",
    "UPDATE public.t SET i = 2 WHERE ctid = '(0,1)'",
    ["table rows public.t: changed, still 3 rows, other content"],
  ],
  [
    "a row that is gone",
    "DELETE FROM user_profiles WHERE user_id = (SELECT user_id FROM user_profiles LIMIT 1)",
    ["table rows public.user_profiles: changed from 210 rows to 209 rows"],
  ],
  [
    "a sequence that moved",
    "SELECT nextval('public.s')",
    ["sequence state public.s: changed from «1 unused» to «1 used»"],
  ],
  [
    "a left-over trigger",
    "CREATE TRIGGER left_over AFTER INSERT ON documents FOR EACH ROW EXECUTE FUNCTION trigger_document_normalization()",
    ["TRIGGER public.documents left_over: added", "trigger state left_over on public.documents: added"],
  ],
  [
    "foreign keys that were switched off",
    "ALTER TABLE auth.users DISABLE TRIGGER ALL",
    [
      "trigger state RI_FKey_cascade_del of public.documents.documents_user_id_fkey on auth.users: changed from «O» to «D»",
    ],
    /^trigger state /,
  ],
  [
    "a changed default access right",
    "ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT SELECT ON TABLES TO anon",
    ["default rights of guardian_migrator on tables in every schema: added"],
    /^DEFAULT ACL /,
  ],
  [
    "a role's setting, without showing its value",
    `DO $$ BEGIN EXECUTE format(
       $q$ALTER ROLE authenticated IN DATABASE %I SET app.service_role_key = 'MARKER'$q$, current_database()); END $$`,
    ["setting app.service_role_key for authenticated in this database: added"],
  ],
  [
    "a right on the database, a role and its membership",
    `CREATE ROLE left_over; GRANT anon TO left_over;
     DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO left_over', current_database()); END $$`,
    [
      "database rights: changed",
      "role left_over: added",
      "role membership left_over in anon, granted by postgres: added",
    ],
  ],
  [
    "an event trigger, a large object and an invalid index",
    `CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
     CREATE EVENT TRIGGER left_over ON ddl_command_end EXECUTE FUNCTION public.e();
     SELECT lo_from_bytea(4711, 'x'); GRANT SELECT ON LARGE OBJECT 4711 TO guardian_migrator;
     UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.documents_status_idx'::regclass`,
    ["event trigger left_over: added", "invalid index public.documents_status_idx: added", "large object 4711: added"],
    /^(ACL|DEFAULT ACL|EVENT TRIGGER|FUNCTION|INDEX) /,
  ],
  [
    "rights that came and went, in whatever order: nothing",
    `REVOKE ALL ON documents FROM anon, service_role; GRANT ALL ON documents TO service_role;
     GRANT ALL ON documents TO anon;
     DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %1$I TO anon', current_database());
       EXECUTE format('REVOKE CREATE ON DATABASE %1$I FROM anon', current_database()); END $$`,
    [],
  ],
  [
    "of a schema that is left aside only a key that would stop a deletion",
    `CREATE SCHEMA guardian_archive;
     CREATE TABLE guardian_archive.consents (patient_id uuid REFERENCES auth.users (id));
     INSERT INTO guardian_archive.consents SELECT id FROM auth.users WHERE email = 'user21@example.test';
     GRANT USAGE ON SCHEMA guardian_archive TO guardian_migrator;
     GRANT SELECT ON guardian_archive.consents TO guardian_migrator`,
    [
      "tie constraint consents_patient_id_fkey on table guardian_archive.consents needs column id of table auth.users: added",
      "tie constraint consents_patient_id_fkey on table guardian_archive.consents needs index auth.users_pkey: added",
    ],
  ],
  [
    "and no more once it cascades",
    `ALTER TABLE guardian_archive.consents DROP CONSTRAINT consents_patient_id_fkey,
       ADD FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE`,
    [
      "tie constraint consents_patient_id_fkey on table guardian_archive.consents needs column id of table auth.users: gone",
      "tie constraint consents_patient_id_fkey on table guardian_archive.consents needs index auth.users_pkey: gone",
    ],
  ],
  [
    "views and functions that tie them to v6",
    `CREATE VIEW guardian_archive.v AS SELECT id FROM documents;
     CREATE FUNCTION guardian_archive.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER keep BEFORE DELETE ON auth.users FOR EACH ROW EXECUTE FUNCTION guardian_archive.keep()`,
    [
      "TRIGGER auth.users keep: added",
      "tie rule _RETURN on view guardian_archive.v needs column id of table public.documents: added",
      "tie trigger keep on table auth.users needs function guardian_archive.keep(): added",
      "trigger state keep on auth.users: added",
    ],
  ],
];

describe("fingerprint, what plain pg_dump would miss or blur", function () {
  this.timeout(60_000);

  it("is seen, one after the other; of schemas that are left aside only what ties them to v6", () =>
    withV6(async (db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      await admin.query(`CREATE TABLE public.t AS SELECT unnest('{1,1,2}'::int[]) AS i; CREATE SEQUENCE public.s;
        GRANT SELECT ON public.t, public.s TO PUBLIC`);
      try {
        const first = await take(db, client);
        let before = first;
        for (const [what, sql, found, besides] of planted) {
          await admin.query(sql);
          const after = await take(db, client);
          const texts = compareFingerprints(before, after).map(({ text }) => text);
          const told = texts.map((text) => found.find((begin) => text.startsWith(begin)) ?? text);
          expect(
            told.filter((text) => found.includes(text) || besides?.test(text) !== true),
            what,
          ).to.deep.equal(found);
          expect(texts.join(), what).not.to.contain("MARKER");
          before = after;
        }
        expect(before.cascadeKeys).to.deep.equal(["guardian_archive.consents.consents_patient_id_fkey"]);
        expect(brief(compareFingerprints(first, await take(db, client, [])))).to.include.members([
          "added: SCHEMA guardian_archive",
          "added: table rows guardian_archive.consents",
        ]);
      } finally {
        await admin.query(`DO $$ BEGIN IF to_regrole('left_over') IS NOT NULL THEN
          DROP OWNED BY left_over; DROP ROLE left_over; END IF; END $$`);
      }
    }));

  it("nor what was and is where it may be a secret: settings, options of servers and subscriptions", () => {
    const hidden = ["SERVER", "SUBSCRIPTION", "USER MAPPING", "catalogue", "setting"];
    const facts = (x: string) => Object.fromEntries(["FUNCTION", ...hidden].map((kind) => [kind, { x }]));
    const saying = (x: string): Fingerprint => ({ facts: facts(x), cascadeKeys: [] });
    expect(compareFingerprints(saying("was"), saying("is")).map(({ text }) => text)).to.deep.equal([
      "FUNCTION x: changed from «was» to «is»",
      ...hidden.map((kind) => `${kind} x: changed`),
    ]);
  });
});

describe("fingerprint, refusals", function () {
  this.timeout(60_000);

  it("of a user whom row level security stops", async () => {
    await withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("SET SESSION AUTHORIZATION authenticated");
      const error = await quickFingerprint(admin).catch((err: unknown) => err);
      expect(error).to.include({ name: "GuardianError", sqlstate: "42501" });
      await admin.query("RESET SESSION AUTHORIZATION");
    });
  });

  it("of a pg_dump that fails, as one does that is older than the server, or none", () =>
    withV6(async (db) => {
      const folder = mkdtempSync(join(tmpdir(), "guardian-pg-dump-"));
      const older = join(folder, "pg_dump");
      const says = "pg_dump: error: aborting because of server version mismatch";
      writeFileSync(older, `#!/bin/sh\necho '${says}' >&2\nexit 1\n`, { mode: 0o755 });
      const client = await db.connect();
      const dump = (tool: string) =>
        takeFingerprint(client, { pgDump: tool, env: libpq(db.migrator), ignoreSchemas: [] }).catch(String);
      try {
        expect(await dump(older)).to.match(/aborting because of server version mismatch/);
        expect(await dump("no-such-pg_dump")).to.match(/pg_dump could not be run/);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }));
});
