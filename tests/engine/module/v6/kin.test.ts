import { expect } from "chai";
import type { Client } from "pg";
import { loadMigration } from "../../../../engine/migrate/definition/migration";
import { catalogue } from "../../../support/modules";
import { column, driftNow, moduleOf, withEngine, type Engine, type Files, withAdmin } from "../harness";

/** A module with a key to v6's documents and a trigger on them, and a row that waits in the archive after a rollback. */
const hung = (documents = "public.documents"): Files => ({
  yaml: `locks: [${documents}]
objects:
  table: [public.t]
  function: [public.told()]
  trigger: [told on ${documents}]
archive: [{ table: public.t, subject: none }]
`,
  up: `CREATE TABLE public.t (id uuid PRIMARY KEY);
CREATE FUNCTION public.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES ${documents} ON DELETE CASCADE;
CREATE TRIGGER told AFTER INSERT ON ${documents} FOR EACH ROW EXECUTE FUNCTION public.told();`,
  down: `DROP TRIGGER told ON ${documents};\nDROP FUNCTION public.told();`,
});

/** Up, down without a trace, and up again with the row. */
async function cycle(engine: Engine, admin: Client, files: Files, documents = "public.documents"): Promise<void> {
  const module = await moduleOf("900_t", files);
  const ours = (lines: string[]): string[] => lines.filter((line) => !/guardian_archive|ddl_log/.test(line));
  const before = ours(await catalogue(admin));
  await engine.apply(module, 20);
  await admin.query(`INSERT INTO public.t SELECT id FROM ${documents} LIMIT 1`);
  expect(await driftNow(engine)).to.deep.equal([]);
  await engine.undo("900_t", 20);
  expect(ours(await catalogue(admin))).to.deep.equal(before);
  await engine.apply(module, 20);
  expect(await column(admin, "SELECT count(*) FROM public.t")).to.deep.equal(["1"]);
}

describe("16-6 what hangs on v6's tables, or on the database,", function () {
  this.timeout(120_000);

  it("a table that inherits from v6's, in another role's schema, is passed by, even where somebody holds it", () =>
    withEngine(async (engine, db) => {
      const [admin, holder] = [await db.connect("admin"), await db.connect("admin")];
      await admin.query(`ALTER TABLE public.documents OWNER TO guardian_migrator;
        CREATE SCHEMA archive AUTHORIZATION supabase_auth_admin;
        CREATE TABLE archive.documents () INHERITS (public.documents);
        ALTER TABLE archive.documents OWNER TO supabase_auth_admin`);
      await cycle(engine, admin, hung(), "ONLY public.documents");
      await holder.query("BEGIN; LOCK TABLE archive.documents IN ACCESS EXCLUSIVE MODE");
      await engine.undo("900_t", 5);
      expect(engine.told.filter(({ phase }) => phase === "v6 locks")).to.deep.equal([]);
      await holder.query("COMMIT");
    }));

  it("a v6 table that is partitioned is locked with its partitions; a partition that comes later is no drift", () =>
    withAdmin(async (engine, admin) => {
      await admin.query(`CREATE SCHEMA parts AUTHORIZATION supabase_auth_admin;
        CREATE TABLE public.visits (id uuid PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE public.visits_0 PARTITION OF public.visits FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');
        CREATE TABLE parts.visits_8 PARTITION OF public.visits
          FOR VALUES FROM ('80000000-0000-0000-0000-000000000000') TO ('c0000000-0000-0000-0000-000000000000');
        INSERT INTO public.visits VALUES ('00000000-0000-4000-8000-000000000001');
        ALTER TABLE public.visits OWNER TO guardian_migrator;
        ALTER TABLE parts.visits_8 OWNER TO supabase_auth_admin; GRANT TRIGGER ON parts.visits_8 TO guardian_migrator`);
      await cycle(engine, admin, hung("public.visits"), "public.visits");
      await admin.query(
        "CREATE TABLE parts.visits_c PARTITION OF public.visits FOR VALUES FROM ('c0000000-0000-0000-0000-000000000000') TO (MAXVALUE)",
      );
      expect(await driftNow(engine)).to.deep.equal([]);
      await engine.undo("900_t");
      expect(await column(admin, "SELECT tgname FROM pg_trigger WHERE tgname = 'told'")).to.deep.equal([]);
    }));

  for (const log of ["audit.ddl_log", "public.ddl_log"])
    it(`event triggers that write ${log}${log.startsWith("audit") ? ", and lock it," : ""} are nobody's business`, () =>
      withAdmin(async (engine, admin) => {
        const lock = log.startsWith("audit") ? `LOCK TABLE ${log} IN EXCLUSIVE MODE;` : "";
        const made = (event: string, more = ""): string => `
          CREATE FUNCTION audit.${event}() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN ${lock} INSERT INTO ${log} (tag, who) VALUES (TG_TAG, session_user); ${more} END $$;
          CREATE EVENT TRIGGER ${event}_log ON ${event} EXECUTE FUNCTION audit.${event}();`;
        await admin.query(`ALTER TABLE public.documents OWNER TO guardian_migrator; CREATE SCHEMA audit;
          CREATE TABLE ${log} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tag text, who text, at timestamptz DEFAULT now());
          ${made("ddl_command_end")} ${made("sql_drop", "PERFORM FROM pg_event_trigger_dropped_objects();")}
          ${made("table_rewrite")} ${made("ddl_command_start")}`);
        await cycle(engine, admin, hung());
        await engine.undo("900_t");
        expect(await column(admin, `SELECT tag FROM ${log} WHERE tag = 'DROP TRIGGER'`)).to.have.length.above(1);
      }));

  it("a trigger of v6's that writes elsewhere keeps nothing up", () =>
    withAdmin(async (engine, admin) => {
      await admin.query(`CREATE TABLE public.changes (id uuid); ALTER TABLE public.documents OWNER TO guardian_migrator;
        CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
          $$ BEGIN INSERT INTO public.changes VALUES (NEW.id); RETURN NULL; END $$;
        CREATE TRIGGER noted AFTER INSERT OR UPDATE ON public.documents FOR EACH ROW EXECUTE FUNCTION public.noted();
        ALTER TABLE public.documents ENABLE ALWAYS TRIGGER noted`);
      await cycle(engine, admin, hung());
    }));

  it("accounts of a table that inherits from v6's are not v6's: no consent is made up for them, none is rejected", () =>
    withAdmin(
      async (engine, admin) => {
        await admin.query(`CREATE SCHEMA archive AUTHORIZATION supabase_auth_admin;
          CREATE TABLE archive.users () INHERITS (auth.users); ALTER TABLE archive.users OWNER TO supabase_auth_admin;
          INSERT INTO archive.users (id, created_at) SELECT gen_random_uuid(), '2020-01-01' FROM generate_series(1, 40);
          INSERT INTO archive.users SELECT * FROM ONLY auth.users ORDER BY id LIMIT 20`);
        const consents = await loadMigration("consents");
        const moved = await engine.move(consents, { mode: "assumed", legalBasis: "contract", statement: "s" });
        const [old] = await column<string>(
          admin,
          "SELECT count(*) FROM ONLY auth.users WHERE created_at < now() - interval '1 day' AND deleted_at IS NULL",
        );
        expect(String(moved.written)).to.equal(old);
        expect(await column(admin, "SELECT count(*) FROM public.patient_consents")).to.deep.equal([old]);
        await engine.takeBack("consents");
        expect(await column(admin, "SELECT count(*) FROM public.patient_consents")).to.deep.equal(["0"]);
      },
      { modules: ["000_audit_log", "001_feature_flags", "004_enhanced_consent"] },
    ));
});
