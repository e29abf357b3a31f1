import { expect } from "chai";
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

/** What the fingerprint finds after some SQL that a superuser runs. */
async function plant(sql: string, prepare = "", undo = ""): Promise<Difference[]> {
  return withV6(async (db) => {
    const [client, admin] = [await db.connect(), await db.connect("admin")];
    if (prepare !== "") await admin.query(prepare);
    const before = await take(db, client);
    await admin.query(sql);
    const differences = compareFingerprints(before, await take(db, client));
    if (undo !== "") await admin.query(undo);
    return differences;
  });
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
      for (const [sql, expected] of writes) {
        const before = await quickFingerprint(client);
        for (const statement of sql.split("; ")) await client.query(statement);
        const found = compareFingerprints(before, await quickFingerprint(client));
        expect(
          found.map(({ kind, name }) => `${kind} ${name}`),
          sql,
        ).to.deep.equal(expected);
      }
    });
  });

  it("counts rows that were written and rolled back, once their session has ended", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      const before = await quickFingerprint(client, { counters: true });
      const plain = await quickFingerprint(client);
      const writer = await db.connect();
      await writer.query("BEGIN; DELETE FROM patient_vitals; ROLLBACK");
      await writer.end();
      expect(compareFingerprints(plain, await quickFingerprint(client))).to.deep.equal([]);
      const after = await quickFingerprint(client, { counters: true });
      expect(brief(compareFingerprints(before, after))).to.deep.equal(["changed: rows written public.patient_vitals"]);
    });
  });
});

describe("fingerprint, what plain pg_dump would miss or blur", function () {
  this.timeout(60_000);

  it("one changed cell, without showing it", async () => {
    const found = await plant(
      "UPDATE auth.users SET raw_user_meta_data = '{\"name\": \"MARKER\"}' WHERE email = 'user21@example.test'",
    );
    expect(found.map((d) => d.text)).to.have.lengthOf(1);
    expect(found[0]!.text).to.equal("table rows auth.users: changed, still 300 rows, other content");
  });

  it("two rows that exchanged a value", async () => {
    const found = await plant(
      `UPDATE documents SET original_name = CASE original_name WHEN 'scan-1.pdf' THEN 'scan-2.pdf' ELSE 'scan-1.pdf' END
       WHERE original_name IN ('scan-1.pdf', 'scan-2.pdf')`,
    );
    expect(brief(found)).to.deep.equal(["changed: table rows public.documents"]);
  });

  it("that of equal rows one is now like others", async () => {
    const make = "CREATE TABLE public.t AS SELECT unnest('{1,1,2}'::int[]) AS i";
    const found = await plant("UPDATE public.t SET i = 2 WHERE ctid = '(0,1)'", make);
    expect(brief(found)).to.deep.equal(["changed: table rows public.t"]);
  });

  it("a row that is gone", async () => {
    const [found] = await plant(
      "DELETE FROM user_profiles WHERE user_id = (SELECT user_id FROM user_profiles LIMIT 1)",
    );
    expect(found?.text).to.equal("table rows public.user_profiles: changed from 210 rows to 209 rows");
  });

  it("a sequence that moved", async () => {
    const found = await plant(
      "SELECT nextval('public.s')",
      "CREATE SEQUENCE public.s; GRANT SELECT ON public.s TO PUBLIC",
    );
    expect(found.map((d) => d.text)).to.deep.equal(["sequence state public.s: changed from «1 unused» to «1 used»"]);
  });

  it("a left-over trigger", async () => {
    const found = await plant(
      "CREATE TRIGGER left_over AFTER INSERT ON documents FOR EACH ROW EXECUTE FUNCTION trigger_document_normalization()",
    );
    expect(brief(found)).to.deep.equal([
      "added: TRIGGER public.documents left_over",
      "added: trigger state left_over on public.documents",
    ]);
  });

  it("foreign keys that were switched off", async () => {
    const found = brief(await plant("ALTER TABLE auth.users DISABLE TRIGGER ALL"));
    expect(found).to.include(
      "changed: trigger state RI_FKey_cascade_del of public.documents.documents_user_id_fkey on auth.users",
    );
    expect(found.filter((line) => !line.startsWith("changed: trigger state"))).to.deep.equal([]);
  });

  it("a changed default access right", async () => {
    const found = brief(
      await plant("ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT SELECT ON TABLES TO anon"),
    );
    expect(found).to.include("added: default rights of guardian_migrator on tables in every schema");
  });

  it("a role's setting, without showing its value", async () => {
    const role = "ALTER ROLE authenticated IN DATABASE %I SET app.service_role_key = 'MARKER'";
    const found = await plant(`DO $$ BEGIN EXECUTE format($q$${role}$q$, current_database()); END $$`);
    expect(found.map((d) => d.text)).to.deep.equal([
      "setting app.service_role_key for authenticated in this database: added",
    ]);
  });

  it("nor what was and is where it may be a secret: settings, options of servers and subscriptions", () => {
    const hidden = ["SERVER", "SUBSCRIPTION", "USER MAPPING", "catalogue", "setting"];
    const facts = (x: string) => Object.fromEntries(["FUNCTION", ...hidden].map((kind) => [kind, { x }]));
    const saying = (x: string): Fingerprint => ({ facts: facts(x), cascadeKeys: [] });
    expect(compareFingerprints(saying("was"), saying("is")).map(({ text }) => text)).to.deep.equal([
      "FUNCTION x: changed from «was» to «is»",
      ...hidden.map((kind) => `${kind} x: changed`),
    ]);
  });

  it("a right on the database, a role and its membership", async () => {
    const found = await plant(
      `CREATE ROLE left_over; GRANT anon TO left_over;
       DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO left_over', current_database()); END $$`,
      "",
      "DROP OWNED BY left_over; DROP ROLE left_over",
    );
    expect(brief(found)).to.deep.equal([
      "changed: database rights",
      "added: role left_over",
      "added: role membership left_over in anon, granted by postgres",
    ]);
  });

  it("an event trigger, a large object and an invalid index", async () => {
    const found = await plant(
      `CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
       CREATE EVENT TRIGGER left_over ON ddl_command_end EXECUTE FUNCTION public.e();
       SELECT lo_from_bytea(4711, 'x'); GRANT SELECT ON LARGE OBJECT 4711 TO guardian_migrator;
       UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.documents_status_idx'::regclass`,
    );
    expect(brief(found)).to.include.members([
      "added: event trigger left_over",
      "added: large object 4711",
      "added: invalid index public.documents_status_idx",
    ]);
  });

  it("rights that came and went, in whatever order: nothing", async () => {
    const found = await plant(
      `REVOKE ALL ON documents FROM anon, service_role; GRANT ALL ON documents TO service_role;
       GRANT ALL ON documents TO anon;
       DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %1$I TO anon', current_database());
         EXECUTE format('REVOKE CREATE ON DATABASE %1$I FROM anon', current_database()); END $$`,
    );
    expect(found).to.deep.equal([]);
  });
});

describe("fingerprint, schemas left aside", function () {
  this.timeout(60_000);
  const archive = (action: string) => `
    CREATE SCHEMA guardian_archive;
    CREATE TABLE guardian_archive.consents (patient_id uuid REFERENCES auth.users (id) ${action});
    INSERT INTO guardian_archive.consents SELECT id FROM auth.users WHERE email = 'user21@example.test';
    GRANT USAGE ON SCHEMA guardian_archive TO guardian_migrator;
    GRANT SELECT ON guardian_archive.consents TO guardian_migrator`;

  it("do not count, their cascade keys are listed", async () => {
    await withV6(async (db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const before = await take(db, client);
      await admin.query(archive("ON DELETE CASCADE"));
      const after = await take(db, client);
      expect(compareFingerprints(before, after)).to.deep.equal([]);
      expect(after.cascadeKeys).to.deep.equal(["guardian_archive.consents.consents_patient_id_fkey"]);
      expect(brief(compareFingerprints(before, await take(db, client, [])))).to.include.members([
        "added: SCHEMA guardian_archive",
        "added: table rows guardian_archive.consents",
      ]);
    });
  });

  it("but a key from there that would stop a deletion does", async () => {
    const found = await plant(archive(""));
    expect(found).to.have.lengthOf.at.least(1);
    for (const difference of found) {
      expect(difference).to.include({ kind: "tie", change: "added" });
      expect(difference.name).to.match(
        /^constraint consents_patient_id_fkey on table guardian_archive.consents needs .* auth.users/,
      );
    }
  });

  it("and so do views and functions that tie them to v6", async () => {
    const found = await plant(
      `CREATE SCHEMA guardian_archive; CREATE VIEW guardian_archive.v AS SELECT id FROM documents;
       CREATE FUNCTION guardian_archive.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER keep BEFORE DELETE ON auth.users FOR EACH ROW EXECUTE FUNCTION guardian_archive.keep()`,
    );
    expect(brief(found)).to.deep.equal([
      "added: TRIGGER auth.users keep",
      "added: tie rule _RETURN on view guardian_archive.v needs column id of table public.documents",
      "added: tie trigger keep on table auth.users needs function guardian_archive.keep()",
      "added: trigger state keep on auth.users",
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

  it("of a pg_dump that is older than the server, or none", async () => {
    const seventeen = join(await clientFolder(17), "pg_dump");
    const older = async (db: V6): Promise<void> => {
      const client = await db.connect();
      const dump = (tool: string) =>
        takeFingerprint(client, { pgDump: tool, env: libpq(db.migrator), ignoreSchemas: [] }).catch((e: unknown) => e);
      expect(await dump(seventeen))
        .to.have.property("message")
        .that.matches(/aborting because of server version mismatch/);
      expect(await dump("no-such-pg_dump"))
        .to.have.property("message")
        .that.matches(/^pg_dump could not be run/);
    };
    await withV6(older, { on: 18 });
  });
});
