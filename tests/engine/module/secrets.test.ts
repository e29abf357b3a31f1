import { inspect } from "node:util";
import { expect } from "chai";
import { fromPostgres, GuardianError } from "../../../engine/base/errors";
import { readSeed, writeFlag } from "../../../engine/flags";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import { moveRows, takeBackRows } from "../../../engine/migrate";
import { moduleOf, refusalOf, withAdmin, withMigrator } from "./harness";

/** Planted in v6; a name of an object as well as a text, so that it may be read as either. */
const mark = "zzmarkedzz";

/** Statements in which PostgreSQL comes to speak of a row: its message, its detail, or a function's. */
const provocations: Record<string, string> = {
  "a unique key": "CREATE UNIQUE INDEX ON public.t ((left(email, 1)))",
  "a check": "ALTER TABLE public.t ADD CHECK (email <> email)",
  "a column that must not be null": "INSERT INTO public.t (email, other) SELECT NULL, email FROM public.t",
  "a foreign key": "ALTER TABLE public.t ADD FOREIGN KEY (email) REFERENCES public.u",
  "an exclusion": "ALTER TABLE public.t ADD EXCLUDE (left(email, 1) WITH =)",
  "a length": "ALTER TABLE public.t ALTER email TYPE varchar(3)",
  "a number": "SELECT email::int FROM public.t",
  "a uuid": "ALTER TABLE public.t ALTER email TYPE uuid USING email::uuid",
  "a date": "SELECT email::timestamptz FROM public.t",
  "a JSON document": "SELECT email::jsonb FROM public.t",
  "an array": "SELECT email::int[] FROM public.t",
  "an enumeration": "CREATE TYPE public.e AS ENUM ('a'); SELECT email::public.e FROM public.t",
  "a domain": "CREATE DOMAIN public.d AS text CHECK (VALUE = ''); SELECT email::public.d FROM public.t",
  "a relation's name": "SELECT email::regclass FROM public.t",
  "a relation's name in a function": "SELECT pg_relation_size(email) FROM public.t",
  "a type's name": "SELECT email::regtype FROM public.t",
  "a function's name": "SELECT email::regproc FROM public.t",
  "a role's name": "SELECT email::regrole FROM public.t",
  "a schema's name": "SELECT email::regnamespace FROM public.t",
  "a privilege": "SELECT has_table_privilege('public.t', email) FROM public.t",
  "a table's privilege": "SELECT has_table_privilege(email, 'SELECT') FROM public.t",
  "a sequence": "SELECT currval(email) FROM public.t",
  "a setting's name": "SELECT set_config(email || ' x', 'y', true) FROM public.t",
  "a setting's value": "SELECT set_config('work_mem', email, true) FROM public.t",
  "a time zone": "SELECT now() AT TIME ZONE email FROM public.t",
  "a regular expression": "SELECT 'x' ~ (email || '(') FROM public.t",
  "a text search": "SELECT (email || ' &')::tsquery FROM public.t",
  "a text search configuration": "SELECT to_tsvector(email::regconfig, 'x') FROM public.t",
  "a JSON path": "SELECT (email || ' ?')::jsonpath FROM public.t",
  "a format": "SELECT format(email || '%', 1) FROM public.t",
  "an encoding": "SELECT convert_to('x', email) FROM public.t",
  "a digest": "SELECT extensions.digest('x', email) FROM public.t",
  "a message": "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM public.t LIMIT 1); END $$",
  "an assertion": "DO $$ BEGIN ASSERT false, (SELECT email FROM public.t LIMIT 1); END $$",
  "a query that is put together": `DO $$ BEGIN EXECUTE (SELECT 'SELECT "' || email || '"' FROM public.t LIMIT 1); END $$`,
  "such a query's syntax": `DO $$ BEGIN EXECUTE (SELECT email || ' ' || email FROM public.t LIMIT 1); END $$`,
  "such a query's table": `DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || email FROM public.t LIMIT 1); END $$`,
  ...Object.fromEntries(
    ["23505", "23514", "42501", "42P01", "55000", "0A000", "40001", "57014"].map((code) => [
      `a message with code ${code}`,
      `DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM public.t LIMIT 1) USING ERRCODE = '${code}'; END $$`,
    ]),
  ),
  "the fields of a message": `DO $$ DECLARE e text := (SELECT email FROM public.t LIMIT 1);
    BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '23514', COLUMN = e, TABLE = e, SCHEMA = e, CONSTRAINT = e, DATATYPE = e, HINT = e, DETAIL = e; END $$`,
};

/** What a trigger of others may say of a row, in `e`. */
const talks = [
  "RAISE EXCEPTION '%', e USING ERRCODE = '23514', CONSTRAINT = e;",
  "RAISE EXCEPTION '%', e;",
  "PERFORM e::int;",
  "PERFORM e::regclass;",
  "EXECUTE format('SELECT %I', e);",
  "EXECUTE e;",
];

const files = (sql: string): Parameters<typeof moduleOf>[1] => ({
  up: `CREATE TABLE public.u (email text PRIMARY KEY);
    CREATE TABLE public.t AS SELECT email::text, email::text AS other FROM auth.users WHERE email LIKE '${mark}%';
    ALTER TABLE public.t ALTER email SET NOT NULL;
    ${sql};`.replaceAll(mark, mark.slice(0, 4)),
});

describe("values of rows", function () {
  this.timeout(120_000);

  it("never get into an error, the ledger or the progress of a module,", () =>
    withAdmin(async (engine, admin) => {
      await admin.query(`UPDATE auth.users SET email = '${mark}' || CASE n WHEN 1 THEN '' ELSE n::text END
          FROM (SELECT id AS i, row_number() OVER (ORDER BY id) AS n FROM auth.users) u WHERE i = id AND n <= 2`);
      for (const [what, sql] of Object.entries(provocations)) {
        const said = await refusalOf(engine.apply(await moduleOf("900_t", files(sql))));
        expect(said.sqlstate, what).to.match(/^[0-9A-Z]{5}$/);
        expect(said.where, what).to.match(/^sql\/900_t\/up\.sql:\d+/);
        const { message, where, todo, stack, cause } = said;
        expect(inspect([message, where, todo, stack, cause], { depth: 9 }), `${what}: ${sql}`).not.to.contain(mark);
      }
      expect(inspect(await engine.steps(), { depth: 9, maxArrayLength: null })).not.to.contain(mark);
      expect(JSON.stringify(engine.told)).not.to.contain(mark);
    }));

  it("nor of a migration of data and its way back, where a trigger of others speaks of them,", () =>
    withAdmin(async (engine, admin) => {
      await admin.query(`UPDATE auth.users SET email = '${mark}' || id`);
      await engine.applyReal("000_audit_log", "004_enhanced_consent");
      const migration = await loadMigration("consents");
      const move = (): Promise<unknown> =>
        engine.write("DataMigration", "consents", (fenced) =>
          moveRows(fenced, migration, { mode: "assumed", legalBasis: "consent", statement: mark }),
        );
      const back = (): Promise<unknown> => engine.write("DataMigration", "consents", takeBackRows);
      for (const event of ["INSERT", "DELETE"]) {
        for (const talk of talks) {
          await admin.query(`CREATE FUNCTION public.talk() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE e text := (SELECT email FROM auth.users LIMIT 1); BEGIN ${talk} RETURN NULL; END $$;
              CREATE TRIGGER talk BEFORE ${event} ON public.patient_consents FOR EACH ROW EXECUTE FUNCTION public.talk()`);
          const said = await refusalOf(event === "INSERT" ? move() : back());
          expect(said.what, talk).to.match(
            /^(PostgreSQL refused, with a message that may quote a row and is therefore withheld|1 rows cannot be moved, .*)$/,
          );
          expect(inspect(said, { depth: 9 }), talk).not.to.contain(mark);
          await admin.query("DROP TRIGGER talk ON public.patient_consents; DROP FUNCTION public.talk()");
        }
        await move();
      }
      expect(inspect(await engine.steps(), { depth: 9 })).not.to.contain(mark);
      const { rows } = await admin.query("SELECT * FROM guardian_migration.reject");
      expect(inspect(rows, { depth: 9, maxArrayLength: null })).not.to.contain(mark);
    }));

  it("nor of anything else that the engine writes,", () =>
    withAdmin(async (engine, admin) => {
      await engine.applyReal("000_audit_log", "001_feature_flags");
      const seed = (await engine.host.read(readSeed)).get("event_sourcing")!;
      for (const talk of talks) {
        await admin.query(`CREATE FUNCTION public.talk() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE e text := '${mark}'; BEGIN ${talk} RETURN NULL; END $$;
            CREATE TRIGGER talk BEFORE UPDATE ON public.feature_flags FOR EACH ROW EXECUTE FUNCTION public.talk()`);
        const write = engine.write("FeatureFlag", "event_sourcing", (fenced) =>
          writeFlag(fenced, "event_sourcing", { ...seed, enabled: true }, undefined),
        );
        // As handler.ts shows it.
        const shown = await write.catch((err: unknown) => fromPostgres(err, "FeatureFlag event_sourcing"));
        expect(shown, talk).to.be.instanceOf(GuardianError);
        expect(inspect(shown, { depth: 9 }), talk).not.to.contain(mark);
        await admin.query("DROP TRIGGER talk ON public.feature_flags; DROP FUNCTION public.talk()");
      }
      expect(inspect(await engine.steps(), { depth: 9 })).not.to.contain(mark);
    }));

  it("16-16 while an error that quotes none is shown: by its code, or as the text of who wrote the function", () =>
    withAdmin(async (engine, admin) => {
      await engine.applyReal("000_audit_log", "001_feature_flags");
      const seed = (await engine.host.read(readSeed)).get("event_sourcing")!;
      for (const [talk, what] of [
        ["PERFORM 1 FROM public.nothing;", 'relation "public.nothing" does not exist'],
        ["PERFORM n.nothing FROM pg_catalog.pg_class n;", "column n.nothing does not exist"],
        ["PERFORM public.nothing(1);", "function public.nothing(integer) does not exist"],
        ["PERFORM 1 + true;", "operator does not exist: integer + boolean"],
        ["DELETE FROM pg_catalog.pg_am;", "permission denied for table pg_am"],
        ["EXECUTE 'DELETE FROM pg_catalog.pg_am';", "permission denied for table pg_am"],
        ["EXECUTE 'CREATE TABLE public.feature_flags ()';", 'relation "feature_flags" already exists'],
        [
          "PERFORM CASE WHEN true THEN 1 ELSE now() END;",
          "CASE types timestamp with time zone and integer cannot be matched",
        ],
      ] as const) {
        await admin.query(`CREATE FUNCTION public.talk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${talk} RETURN NULL; END $$;
            CREATE TRIGGER talk BEFORE UPDATE ON public.feature_flags FOR EACH ROW EXECUTE FUNCTION public.talk()`);
        const write = engine.write("FeatureFlag", "event_sourcing", (fenced) =>
          writeFlag(fenced, "event_sourcing", { ...seed, enabled: true }, undefined),
        );
        const shown = await write.catch((err: unknown) => fromPostgres(err, "FeatureFlag event_sourcing"));
        expect((shown as GuardianError).what, talk).to.equal(`PostgreSQL refused: ${what}`);
        await admin.query("DROP TRIGGER talk ON public.feature_flags; DROP FUNCTION public.talk()");
      }
      // What the engine itself names: the server reports it as an error within the reading of a parameter.
      const named = engine.host.read((read) =>
        read.query("SELECT 1 FROM pg_catalog.pg_class WHERE oid = $1::regclass", ["public.nothing"]),
      );
      const shown = await named.catch((err: unknown) => fromPostgres(err, "here"));
      expect((shown as GuardianError).what).to.equal('PostgreSQL refused: relation "public.nothing" does not exist');
    }));

  it("nor of rows that cannot come back,", () =>
    withMigrator(async (engine, client) => {
      const yaml = "objects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: none }\n";
      await engine.apply(
        await moduleOf("900_t", { yaml, up: "CREATE TABLE public.t (id int PRIMARY KEY, note text)" }),
      );
      await client.query(`INSERT INTO public.t VALUES (1, '${mark}')`);
      await engine.undo("900_t");
      for (const column of [
        "note int",
        "note regclass",
        "note text CHECK (note = '')",
        "note varchar(3)",
        "note text NOT NULL UNIQUE, other int NOT NULL",
      ]) {
        // What a table does not take stays in the archive; what cannot even be tried is refused.
        const said: unknown = await engine
          .apply(await moduleOf("900_t", { yaml, up: `CREATE TABLE public.t (id int PRIMARY KEY, ${column})` }))
          .catch((err: unknown) => err);
        const { rows } = await client.query("SELECT * FROM guardian_migration.reject");
        expect(rows.length > 0 || said instanceof GuardianError, column).to.equal(true);
        expect(inspect([said, rows], { depth: 9 }), column).not.to.contain(mark);
        await engine.undo("900_t");
      }
      expect(inspect(await engine.steps(), { depth: 9 })).not.to.contain(mark);
    }));
});
