import { expect } from "chai";
import { column, moduleOf, refusalOf, withEngine, type Files, withMigrator } from "./harness";

const yaml = "objects:\n  table: [public.t]\n  function: [public.f()]\n";
const up = `CREATE TABLE public.t (id int PRIMARY KEY);
CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.theirs; END';`;
const down = "DROP FUNCTION public.f();\nDROP TABLE public.t;";
const files: Files = { yaml, up, down };
const block = (sql: string): string => `DO $$ BEGIN ${sql}; END $$`;

const theirs = `CREATE TABLE public.theirs (a int PRIMARY KEY, n int DEFAULT 0); INSERT INTO public.theirs VALUES (1), (2);
  CREATE SEQUENCE public.theirs_s; SELECT lo_create(4711)`;

/** Statement → whose rows it writes. */
const writes: [string, string][] = [
  ["SELECT public.f()", "public.theirs"],
  [block("INSERT INTO public.theirs VALUES (1) ON CONFLICT (a) DO UPDATE SET n = 7"), "public.theirs"],
  [
    block("MERGE INTO public.theirs USING (VALUES (2)) x (a) ON x.a = theirs.a WHEN MATCHED THEN DELETE"),
    "public.theirs",
  ],
  [block("BEGIN DELETE FROM public.theirs; EXCEPTION WHEN division_by_zero THEN NULL; END"), "public.theirs"],
  ["EXPLAIN ANALYZE DELETE FROM public.theirs", "public.theirs"],
  [
    `${block("UPDATE public.feature_flags SET enabled = true")}; ${block("DELETE FROM public.theirs")}`,
    "public.feature_flags, public.theirs",
  ],
  // What stands in the ledger is what a rollback goes by.
  [block("UPDATE guardian_migration.object SET definition = 'x'"), "guardian_migration.object"],
  [block("PERFORM lo_put(4711, 0, 'x')"), "pg_catalog.pg_largeobject"],
  // After v6 was locked.
  [`COMMENT ON TABLE public.documents IS NULL; ${block("DELETE FROM public.theirs")}`, "public.theirs"],
];

/** Statement → whose file it gives anew. */
const anew: [string, string][] = [
  [
    `COMMENT ON TABLE public.patient_vitals IS NULL; ${block("TRUNCATE public.patient_vitals")}`,
    "table public.patient_vitals",
  ],
  [block("ALTER SEQUENCE public.theirs_s RESTART WITH 77"), "sequence public.theirs_s"],
];

describe("16-16 rows of tables that are not the module's", function () {
  this.timeout(120_000);
  const state = `SELECT concat_ws(' ', (SELECT string_agg(concat(a, n), ',' ORDER BY a) FROM public.theirs), (SELECT last_value FROM public.theirs_s),
    (SELECT count(*) FROM public.patient_vitals), (SELECT count(*) FROM guardian_migration.object WHERE definition = 'x'))`;

  it("are not written by its up.sql in a way that words do not tell: it is refused before COMMIT", () =>
    withEngine(
      async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        await admin.query("ALTER TABLE public.patient_vitals OWNER TO guardian_migrator");
        await client.query(theirs);
        const before = await column(admin, state);
        const locking = `locks: [public.documents, public.patient_vitals]\n${yaml}`;
        for (const [statement, tables] of writes) {
          const said = await refusalOf(
            engine.apply(await moduleOf("900_t", { ...files, yaml: locking, up: `${up}\n${statement};` })),
          );
          expect(said.code, statement).to.equal("file-invalid");
          expect(said.where, statement).to.equal(`sql/900_t/up.sql: ${tables}`);
          expect(await column(admin, "SELECT to_regclass('public.t')"), statement).to.deep.equal([null]);
        }
        for (const [statement, object] of anew) {
          const said = await refusalOf(
            engine.apply(await moduleOf("900_t", { ...files, yaml: locking, up: `${up}\n${statement};` })),
          );
          expect(said.code, statement).to.equal("manifest-differs");
          expect(said.where, statement).to.contain(`definition of ${object}`);
        }
        expect(await column(admin, state)).to.deep.equal(before);
      },
      { modules: ["000_audit_log", "001_feature_flags"] },
    ));

  it("are what somebody's event trigger logs, and what is audited: these are written", () =>
    withEngine(
      async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        await admin.query(`CREATE TABLE public.ddl_log (tag text); CREATE TABLE public.ddl_counts (n int); INSERT INTO public.ddl_counts VALUES (0);
          CREATE FUNCTION public.counting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN UPDATE public.ddl_counts SET n = n + 1; RETURN NULL; END';
          CREATE TRIGGER counting AFTER INSERT ON public.ddl_log FOR EACH STATEMENT EXECUTE FUNCTION public.counting();
          CREATE FUNCTION public.note_ddl(tag text) RETURNS void LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC INSERT INTO public.ddl_log VALUES (tag); END;
          CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.note_ddl(tg_tag); END';
          CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION public.on_ddl()`);
        const audited = `CREATE TRIGGER audit AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
          INSERT INTO public.t VALUES (1);`;
        const listed = `${yaml}  trigger: [audit on public.t]\n`;
        await engine.apply(await moduleOf("900_t", { ...files, yaml: listed, up: `${up}\n${audited}` }));
        expect(await column(admin, "SELECT n > 0 FROM public.ddl_counts")).to.deep.equal([true]);
        expect(await column(client, "SELECT count(*)::int FROM public.audit_log")).to.deep.equal([1]);
        await engine.undo("900_t");
        await client.query(theirs);
        const meddling = `${up}\nSELECT public.f();`;
        const said = await refusalOf(engine.apply(await moduleOf("900_t", { ...files, up: meddling })));
        expect(said.where).to.equal("sql/900_t/up.sql: public.theirs");
      },
      { modules: ["000_audit_log"] },
    ));

  it("are not written by its verify.sql, nor anything else: it looks", () =>
    withEngine(async (engine, db) => {
      await (await db.connect()).query(theirs);
      const key = "ALTER TABLE public.t ADD COLUMN u uuid REFERENCES auth.users;";
      for (const verify of [
        "UPDATE public.t SET id = 1",
        block("DELETE FROM public.theirs"),
        block("DROP TABLE public.t"),
        "SELECT setval('public.theirs_s', 77)",
      ])
        for (const made of [files, { ...files, yaml: `locks: [auth.users]\n${yaml}`, up: `${up}\n${key}` }]) {
          const said = await refusalOf(engine.apply(await moduleOf("900_t", { ...made, verify })));
          expect(said.sqlstate, verify).to.equal("25006");
          expect(said.where, verify).to.match(/^sql\/900_t\/verify\.sql:1/);
        }
    }));

  it("are not written by its down.sql: the rollback is undone, and mended it goes through", () =>
    withMigrator(async (engine, client) => {
      await client.query(theirs);
      const before = await column(client, state);
      for (const meddling of [
        `${block("DELETE FROM public.theirs")};\n${down}`,
        `${down}\n${block("DELETE FROM public.theirs")};`,
      ]) {
        await engine.apply(await moduleOf("900_t", { ...files, down: meddling }));
        const said = await refusalOf(engine.undo("900_t"));
        expect(said.where).to.equal("down.sql of 900_t (as applied): public.theirs");
        expect(await column(client, state)).to.deep.equal(before);
        await client.query("UPDATE guardian_migration.module SET down = $1", [down]);
        await engine.undo("900_t");
      }
    }));
});
