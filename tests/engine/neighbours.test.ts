import { expect } from "chai";
import type { Client } from "pg";
import { assess, type AssessmentItem } from "../../engine/assess";
import { readTables } from "../../spec/roles";
import { openPublications } from "../../engine/neighbours/publications";
import { readSecurity } from "../../engine/neighbours/security";
import { readDefiners } from "../../engine/neighbours/definers";
import { withV6, type V6 } from "../support/postgres";
import { withHost } from "./host";
import { beside } from "./ledger/owned";
import { column, refusalOf, withEngine } from "./module/harness";

/** What the assessment says besides what it says of every v6, as "item: status (readiness)". */
async function found(db: V6, accepted: string[] = []): Promise<string[]> {
  const { items } = await withHost(db.migrator, (host) =>
    host.read((tx) => assess(tx, { publications: accepted, operators: [] })),
  );
  const usual = ["Database Extensions", "Core Tables", "User Profiles", "Document Normalization"];
  const line = ({ item, status, readiness }: AssessmentItem): string => `${item}: ${status} (${readiness})`;
  return items.filter(({ item }) => !usual.includes(item)).map(line);
}

/** What publications send, table by table. */
const sent = (client: Client): Promise<string[]> =>
  column(
    client,
    "SELECT concat_ws(' ', pubname, schemaname, tablename, attnames, rowfilter) FROM pg_publication_tables ORDER BY 1",
  );

const defaultRights =
  "Default Rights: new functions, sequences, tables in schema public are opened to anon, authenticated, service_role; the migration takes that back from its own (Note)";
const anon =
  "Rights of anon: TRUNCATE, TRIGGER, LOCK on public.documents, public.patient_allergies, public.patient_conditions, public.patient_lab_results, " +
  "public.patient_medications, public.patient_providers, public.patient_vitals, public.user_profiles: whoever is not logged in may, whatever the policies say (Warning)";

describe("what the migration meets in a database", function () {
  this.timeout(60_000);

  it("16-11 is named: users whom row security does not stop, who may make objects in public, rules on v6's tables", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("GRANT CREATE ON SCHEMA public TO PUBLIC, anon");
      await admin.query('CREATE RULE "keep it" AS ON DELETE TO auth.users DO INSTEAD NOTHING');
      // One that is off does nothing.
      await admin.query(
        "CREATE RULE idle AS ON DELETE TO public.documents DO INSTEAD NOTHING; ALTER TABLE public.documents DISABLE RULE idle",
      );
      // Roles are of the whole server: nobody else sees these.
      await admin.query(
        "BEGIN; ALTER ROLE anon BYPASSRLS; GRANT service_role TO authenticated; ALTER ROLE service_role BYPASSRLS",
      );
      const told = (await readSecurity(admin, readTables, [])).map(
        ({ item, status, readiness }) => `${item}: ${status} (${readiness})`,
      );
      await admin.query("ROLLBACK");
      expect(told).to.deep.equal([
        "Row Security: anon passes it (BYPASSRLS): every user sees and changes everybody's rows (Warning)",
        "Row Security: authenticated passes it (BYPASSRLS of service_role): every user sees and changes everybody's rows (Warning)",
        "Schema Rights: PUBLIC, anon may make objects in schema public, functions that are called instead of others included (Warning)",
        'Rule: "keep it" on DELETE to auth.users, instead of it: foreign keys that end at it, v7\'s too, may not do what they say (Warning)',
      ]);
      const [schema, rule, ...others] = (await found(db)).slice(2);
      expect([schema, rule]).to.deep.equal(told.slice(2));
      expect(others).to.deep.equal([]);
    }));

  it("16-11 is named: members of guardian_operator whom nobody declared, by another role too", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const told = async (...declared: string[]): Promise<string[]> =>
        (await readSecurity(admin, [], declared)).map(({ status }) => status.replace(/ (?:is|are) in .*/, ""));
      // Roles are of the whole server: nobody else sees these.
      await admin.query(`BEGIN; CREATE ROLE n16_ann; CREATE ROLE n16_bob; CREATE ROLE n16_staff; CREATE ROLE n16_eve;
        GRANT guardian_operator TO n16_ann, n16_staff; GRANT n16_staff TO n16_bob; GRANT n16_bob TO n16_eve`);
      expect(await told()).to.deep.equal(["n16_ann, n16_bob, n16_eve, n16_staff"]);
      expect(await told("n16_staff")).to.deep.equal(["n16_ann"]);
      expect(await told("n16_ann", "n16_staff")).to.deep.equal([]);
      await admin.query("GRANT n16_staff TO authenticated");
      expect(await told("n16_ann", "n16_staff")).to.deep.equal(["authenticated"]);
      await admin.query("ROLLBACK");
    }));

  it("16-11 is named: what reads v7's tables with its owner's rights and is of no module", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        const told = async (): Promise<string[]> =>
          (await engine.host.read((tx) => readDefiners(tx))).map(
            ({ item, status, readiness }) => `${item}: ${status} (${readiness})`,
          );
        expect(await told()).to.deep.equal([]);
        await admin.query(`CREATE SCHEMA reports;
          CREATE VIEW reports.flags AS SELECT feature_name FROM public.feature_flags;
          CREATE VIEW reports.again AS SELECT * FROM reports.flags; GRANT SELECT ON reports.again TO service_role, anon;
          CREATE VIEW reports.invoker WITH (security_invoker) AS SELECT * FROM public.audit_log; GRANT SELECT ON reports.invoker TO anon;
          CREATE FUNCTION reports.peek(text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN (SELECT count(*) FROM public.AUDIT_LOG); END';
          CREATE FUNCTION reports.atomic() RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM public.feature_flags; END;
          REVOKE EXECUTE ON FUNCTION reports.atomic() FROM PUBLIC; GRANT EXECUTE ON FUNCTION reports.atomic() TO guardian_operator;
          CREATE FUNCTION reports.own() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.audit_log';
          REVOKE EXECUTE ON FUNCTION reports.own() FROM PUBLIC;
          CREATE FUNCTION reports.callers() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.audit_log';
          CREATE FUNCTION reports.other() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'my_audit_log_2' $$`);
        const rollback = "which no rollback can take away before it";
        expect(await told()).to.deep.equal([
          `View: reports.again of postgres stands on feature_flags, ${rollback}, and shows their rows to anon, service_role, whatever the policies say (Warning)`,
          `View: reports.flags of postgres stands on feature_flags, ${rollback} (Note)`,
          `View: reports.invoker of postgres stands on audit_log, ${rollback} (Note)`,
          "Function: reports.atomic() runs with the rights of postgres, names feature_flags, and may be called by guardian_operator: no policy stops it (Warning)",
          "Function: reports.peek(text) runs with the rights of postgres, names audit_log, and may be called by PUBLIC: no policy stops it (Warning)",
        ]);
      },
      { modules: ["000_audit_log", "001_feature_flags"] },
    ));

  it("16-8 is named: publications, event triggers, children, default rights, and what anon may do to v6", () =>
    withV6(async (db) => {
      expect(await found(db)).to.deep.equal([defaultRights, anon]);
      const admin = await db.connect("admin");
      await admin.query(`
        CREATE PUBLICATION everything FOR ALL TABLES;
        CREATE PUBLICATION "of\n\u001b[31mpublic" FOR TABLES IN SCHEMA public, auth;
        CREATE PUBLICATION supabase_realtime FOR TABLE public.documents;
        CREATE FUNCTION public.ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER "watch ddl" ON ddl_command_end EXECUTE FUNCTION public.ddl();
        CREATE EVENT TRIGGER idle ON sql_drop EXECUTE FUNCTION public.ddl();
        ALTER EVENT TRIGGER idle DISABLE;
        CREATE SCHEMA archive;
        CREATE TABLE archive.documents () INHERITS (public.documents);
        ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT SELECT ON TABLES TO guardian_operator;
        ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT USAGE ON SCHEMAS TO guardian_operator;
        REVOKE ALL ON ALL TABLES IN SCHEMA public FROM anon;
        GRANT UPDATE ON public.documents TO anon;
        GRANT TRIGGER ON public.patient_vitals TO anon`);
      const publications = [
        "Publication: everything: FOR ALL TABLES: new tables would join it (Not ready)",
        'Publication: U&"of\\000a\\001b[31mpublic": FOR TABLES IN SCHEMA public: new tables would join it (Not ready)',
        "Publication: supabase_realtime: a list of 1 table (Note)",
      ];
      const others = [
        "Event Trigger: idle on sql_drop, owner postgres, disabled (Note)",
        'Event Trigger: "watch ddl" on ddl_command_end, owner postgres, enabled (Note)',
        "Inheritance: archive.documents inherits from public.documents (Note)",
        defaultRights,
        "Default Rights: new schemas are opened to guardian_operator; the migration takes that back from its own (Note)",
        "Default Rights: new tables in every schema are opened to guardian_operator (Not ready)",
        "Rights of anon: LOCK on public.documents: whoever is not logged in may, whatever the policies say (Warning)",
        "Rights of anon: TRIGGER on public.patient_vitals: whoever is not logged in may, whatever the policies say (Warning)",
      ];
      expect(await found(db)).to.deep.equal([...publications, ...others]);
      const accepted = "Publication: everything: FOR ALL TABLES, accepted: new tables join it (Note)";
      expect((await found(db, ["everything"]))[0]).to.equal(accepted);
      const wrong = await refusalOf(found(db, ["everythin", "supabase_realtime"]));
      expect(wrong.message).to.match(
        /^guardian:publications names what is no publication of this database: everythin \(the nearest is everything\) \[config-invalid\]/,
      );
    }));

  it("16-8 the refusal's statements make lists of the publications: the same tables are sent, and no new one", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`
        CREATE SCHEMA "odd ""schema";
        CREATE TABLE "odd ""schema"."line\nbreak" (n integer PRIMARY KEY);
        CREATE TABLE public.parted (n integer PRIMARY KEY) PARTITION BY LIST (n);
        CREATE TABLE public.part PARTITION OF public.parted FOR VALUES IN (1);
        CREATE TABLE public.heir () INHERITS (public.documents);
        CREATE UNLOGGED TABLE public.lost (n integer);
        CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert, delete');
        CREATE PUBLICATION "by\nroot" FOR ALL TABLES WITH (publish_via_partition_root = true);
        CREATE PUBLICATION of_public FOR TABLE auth.users, public.documents, TABLES IN SCHEMA public;`);
      const open = async (accepted: string[] = []) =>
        withHost(db.admin, (host) => host.read((tx) => openPublications(tx, accepted)));
      const refusal = await open();
      expect(refusal?.what).to.match(/^new tables would join publications: /);
      expect(refusal?.where).to.equal(
        'publication U&"by\\000aroot" (FOR ALL TABLES, owner postgres), everything (FOR ALL TABLES, owner postgres), ' +
          "of_public (FOR TABLES IN SCHEMA public, owner postgres); no logical slot now",
      );
      expect(refusal?.todo).to.have.length(4);
      expect(refusal?.todo[3]).to.contain("pulumi config set --path 'guardian:publications.everything' accepted");
      expect(refusal?.message).not.to.match(/[\u0000-\u0009\u000b-\u001f]/);
      const facts =
        "SELECT concat_ws(' ', pubname, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot) FROM pg_publication ORDER BY 1";
      const before = [await sent(admin), await column(admin, facts)];
      for (const todo of refusal?.todo.slice(0, 3) ?? []) await admin.query(todo.slice(todo.indexOf("BEGIN;")));
      expect([await sent(admin), await column(admin, facts)]).to.deep.equal(before);
      expect(await open()).to.equal(undefined);
      await admin.query("CREATE TABLE public.newer (n integer)");
      expect(await sent(admin)).to.deep.equal(before[0]);
      await admin.query("CREATE TABLE public.part2 PARTITION OF public.parted FOR VALUES IN (2)");
      expect((await sent(admin)).filter((line) => line.includes("part2"))).to.have.length(2);
    }));

  it("16-8 default rights for every schema open neither the ledger nor the archive", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`
        ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT USAGE, CREATE ON SCHEMAS TO anon;
        ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT ALL ON TABLES TO anon, PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE guardian_migrator GRANT ALL ON SEQUENCES TO anon;`);
      await beside(db.migrator, {}, (engine) => engine.open());
      const open = await column(
        admin,
        `SELECT nspname || ': ' || a::text FROM pg_namespace n, unnest(nspacl) a WHERE nspname LIKE 'guardian_%' AND a::text !~ '^guardian_migrator='
         UNION ALL SELECT c.oid::regclass || ': ' || a::text FROM pg_class c, unnest(relacl) a
         WHERE relnamespace::regnamespace::text LIKE 'guardian_%' AND a::text !~ '^guardian_migrator='`,
      );
      expect(open).to.deep.equal([]);
    }));
});
