import { expect } from "chai";
import { refuseUnlisted, whatIsThere, willMake } from "../../../engine/module/made";
import { parseFile } from "../../../engine/module/files/statements";
import { moduleOf, refusalOf, withEngine, withAdmin, withMigrator } from "./harness";

/** All that belongs to something else and is not listed on its own. */
const up = `CREATE TYPE public.e AS ENUM ('a');
CREATE TYPE public.span AS RANGE (subtype = int4);
CREATE TYPE public.pair AS (a int, b public.e);
CREATE DOMAIN public.d AS text NOT NULL CHECK (VALUE <> '');
CREATE FUNCTION public.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE public.t (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, other serial, note text DEFAULT 'x' UNIQUE CHECK (note <> ''),
  pairs public.pair[], d public.d, length int GENERATED ALWAYS AS (1) STORED, EXCLUDE (note WITH =));
CREATE TABLE public.parts (at date NOT NULL PRIMARY KEY, t int REFERENCES public.t) PARTITION BY RANGE (at);
CREATE TABLE public.parts_2026 PARTITION OF public.parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW public.v AS SELECT * FROM public.t;
CREATE CONSTRAINT TRIGGER told AFTER INSERT ON public.t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION public.told();
ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;`;
const yaml = `locks: [public.documents]
objects:
  table: [public.t, public.parts, public.parts_2026]
  view: [public.v]
  type: [public.e, public.span, public.pair, public.d]
  function: [public.told()]
  trigger: [told on public.t]
`;

/** Statement → what is made and in no list. Of a table its lock tells, before. */
const more: [string, string][] = [
  [
    "CREATE FUNCTION public.f(i int, t text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "function public.f(integer, text)",
  ],
  ["CREATE PROCEDURE public.p() LANGUAGE sql AS 'SELECT 1'", "function public.p()"],
  ["CREATE VIEW public.x AS SELECT 1", "view public.x"],
  ["CREATE MATERIALIZED VIEW public.x AS SELECT 1", "view public.x"],
  ["CREATE SEQUENCE public.x", "sequence public.x"],
  ["CREATE TYPE public.x AS ENUM ()", "type public.x"],
  ["CREATE TYPE public.x AS (a int)", "type public.x"],
  ["CREATE DOMAIN public.x AS int", "type public.x"],
  ["CREATE INDEX x ON public.t (d)", "index public.x"],
  ["CREATE POLICY x ON public.t USING (true)", "policy x on public.t"],
  ["CREATE TRIGGER x AFTER DELETE ON public.t FOR EACH ROW EXECUTE FUNCTION public.told()", "trigger x on public.t"],
  ["CREATE RULE x AS ON INSERT TO public.t DO INSTEAD NOTHING", "rule x on public.t"],
  ["CREATE STATISTICS public.x ON note, d FROM public.t", "statistics object public.x"],
  [
    "CREATE OPERATOR public.### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)",
    "operator public.###(integer,integer)",
  ],
  ["CREATE CAST (public.pair AS public.e) WITH INOUT", "cast (public.pair AS public.e)"],
  ['CREATE COLLATION public.x FROM "C"', "collation public.x"],
  ["CREATE SCHEMA x", "schema x"],
  ["CREATE PUBLICATION x", "publication x"],
  ["CREATE TEXT SEARCH CONFIGURATION public.x (COPY = pg_catalog.simple)", "text search configuration public.x"],
  ["ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO anon", "default acl"],
  ["SELECT lo_create(4711)", "large object 4711"],
  [
    "DO $$ BEGIN CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; EXCEPTION WHEN OTHERS THEN NULL; END $$",
    "function public.f()",
  ],
  [
    "CREATE TRIGGER x AFTER INSERT ON public.documents FOR EACH ROW EXECUTE FUNCTION public.told()",
    "trigger x on public.documents",
  ],
  [
    "ALTER TABLE public.documents ADD CHECK (id IS NOT NULL) NOT VALID",
    "table constraint documents_id_check on public.documents",
  ],
  [
    "CREATE OR REPLACE FUNCTION public.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "definition of function public.update_updated_at_column()",
  ],
  [
    "ALTER FUNCTION public.update_updated_at_column() SECURITY DEFINER",
    "definition of function public.update_updated_at_column()",
  ],
  ["ALTER TABLE public.documents ADD COLUMN x int", "columns of public.documents"],
  // What v6 has is left as it is: no rollback would put it back.
  ["ALTER TABLE public.documents DISABLE ROW LEVEL SECURITY", "definition of table public.documents"],
  ["ALTER TABLE public.documents RENAME COLUMN status TO state", "definition of table public.documents"],
  ["REVOKE TRUNCATE ON public.documents FROM anon", "definition of table public.documents"],
  [
    "DO $$ BEGIN GRANT SELECT (id) ON public.documents TO guardian_operator; END $$",
    "definition of table public.documents",
  ],
  ["ALTER TABLE public.documents DISABLE TRIGGER USER", "definition of trigger "],
  [
    "REVOKE EXECUTE ON FUNCTION public.update_updated_at_column() FROM PUBLIC",
    "definition of function public.update_updated_at_column()",
  ],
  ["ALTER TYPE public.theirs_e ADD VALUE 'b'", "definition of type public.theirs_e"],
  ["ALTER SEQUENCE public.theirs_s INCREMENT 2", "definition of sequence public.theirs_s"],
  // One that is emptied has another file, and no row of it is counted as deleted.
  ["TRUNCATE public.theirs", "definition of table public.theirs"],
  ["DO $$ BEGIN ALTER SEQUENCE public.theirs_s RESTART WITH 77; END $$", "definition of sequence public.theirs_s"],
  ["ALTER TABLE public.theirs ALTER COLUMN a SET STATISTICS 10", "definition of table public.theirs"],
  ["ALTER TABLE public.documents CLUSTER ON documents_pkey", "definition of index public.documents_pkey"],
  ["ALTER FUNCTION public.theirs_f() COST 5", "definition of function public.theirs_f()"],
  ["ALTER PUBLICATION theirs_p SET (publish = 'insert')", "definition of publication theirs_p"],
  ["CREATE OR REPLACE VIEW public.theirs_v AS SELECT 2 AS n", 'definition of rule "_RETURN" on public.theirs_v'],
  ["ALTER TABLE public.theirs_parts DETACH PARTITION public.theirs_part", "definition of table public.theirs_part"],
  ["ALTER TABLE public.theirs_part2 INHERIT public.theirs", "definition of table public.theirs_part2"],
  // Nor are the server's roles and databases the module's, whatever way it takes.
  [
    "DO $$ BEGIN EXECUTE 'ALTER RO' || 'LE guardian_migrator SET work_mem = 4711'; END $$",
    "definition of role guardian_migrator",
  ],
  [
    "DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO anon', current_database()); END $$",
    "definition of database ",
  ],
  [
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET work_mem', current_database()); END $$",
    "definition of database ",
  ],
];

/** What others have besides. */
const theirs = `CREATE PUBLICATION theirs_p; CREATE TYPE public.theirs_e AS ENUM ('a'); CREATE SEQUENCE public.theirs_s; CREATE VIEW public.theirs_v AS SELECT 1 AS n;
CREATE TABLE public.theirs (a int DEFAULT 1 CONSTRAINT positive CHECK (a > 0), b int GENERATED ALWAYS AS (a + 1) STORED);
CREATE TABLE public.theirs_parts (a int) PARTITION BY LIST (a); CREATE TABLE public.theirs_part2 (a int CONSTRAINT positive CHECK (a > 0), b int GENERATED ALWAYS AS (a + 1) STORED);
CREATE TABLE public.theirs_part PARTITION OF public.theirs_parts FOR VALUES IN (1);
CREATE FUNCTION public.theirs_f() RETURNS int LANGUAGE sql AS 'SELECT 1';`;

/** Statement → what is not there any more. */
const losses: [string, string][] = [
  ["ALTER TABLE public.theirs DROP CONSTRAINT positive", "table constraint positive on public.theirs"],
  ["ALTER TABLE public.documents ALTER COLUMN status SET DEFAULT 'x'", "default value for public.documents.status"],
  ["ALTER TABLE public.theirs ALTER COLUMN a DROP DEFAULT", "default value for public.theirs.a"],
  ["ALTER TABLE public.theirs ALTER COLUMN b DROP EXPRESSION", "default value for public.theirs.b"],
  ["DO $$ BEGIN EXECUTE 'DROP FUNCTION public.theirs_f()'; END $$", "function public.theirs_f()"],
];

describe("what a module makes", function () {
  this.timeout(60_000);

  it("16-16 and does not list is refused, of every kind; nothing of it is left", () =>
    withAdmin(async (engine, admin, db) => {
      await admin.query("ALTER TABLE public.documents OWNER TO guardian_migrator");
      await admin.query(
        `ALTER DATABASE ${db.name} OWNER TO guardian_migrator; ALTER DATABASE ${db.name} SET work_mem = 5000`,
      );
      await (await db.connect()).query(theirs);
      const listed = await moduleOf("900_t", { yaml, up });
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (now) => {
          const before = await whatIsThere(now);
          await now.script(up);
          await refuseUnlisted(now, before, listed, []);
          for (const [statement, object] of more) {
            await now.script(`SAVEPOINT one; ${statement}`);
            const said = await refusalOf(refuseUnlisted(now, before, listed, []));
            expect(said.code, statement).to.equal("manifest-differs");
            expect(said.where, statement).to.contain(`sql/900_t/module.yaml: made and not listed: ${object}`);
            await now.script("ROLLBACK TO one; RELEASE one");
          }
          for (const [statement, object] of losses) {
            await now.script(`SAVEPOINT one; ${statement}`);
            const said = await refusalOf(refuseUnlisted(now, before, listed, []));
            expect(said.code, statement).to.equal("manifest-differs");
            expect(said.what, statement).to.match(/^the module took away what it did not make/);
            expect(said.where, statement).to.contain(`taken away: ${object}`);
            await now.script("ROLLBACK TO one; RELEASE one");
          }
          await now.script("DROP TABLE public.parts, public.t CASCADE; DROP FUNCTION public.told()");
          await now.script("DROP TYPE public.e, public.span, public.pair CASCADE; DROP DOMAIN public.d");
        }),
      );
      const both = yaml.replace("public.v]", "public.v, public.w]").replace(", public.d]", "]");
      const said = await refusalOf(engine.apply(await moduleOf("900_t", { yaml: both, up })));
      expect(said.where).to.equal(
        "sql/900_t/module.yaml: made and not listed: type public.d; listed and not made: view public.w",
      );
      const caught = `DO $$ BEGIN ${more[0]![0]}; EXCEPTION WHEN OTHERS THEN NULL; END $$`;
      const hidden = await refusalOf(engine.apply(await moduleOf("900_t", { yaml, up: `${up}\n${caught};` })));
      expect(hidden.where).to.contain("made and not listed: function public.f(integer, text)");
      await engine.apply(listed);
    }));

  it("16-16 is not what was there before under that name", () =>
    withMigrator(async (engine, client) => {
      await client.query("CREATE TABLE public.mine ()");
      const listed = "objects:\n  table: [public.mine, public.x]\n";
      const files = { yaml: listed, up: "CREATE TABLE IF NOT EXISTS public.mine (); CREATE TABLE public.x ()" };
      const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
      expect(said.where).to.equal("sql/900_t/module.yaml: listed and not made: table public.mine");
      expect(said.todo.join()).to.contain("what was there before the module ran is not its own");
    }));

  it("is told by the words of what runs while v6 is locked, so that nothing is looked up then", async () => {
    const soon = async (sql: string) =>
      willMake(await parseFile("f", sql), ["table public.t", "function public.f(integer)"]);
    const key = "ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users";
    expect(await soon(key)).to.deep.equal([]);
    const trigger = "CREATE TRIGGER x AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION public.told()";
    const index = "CREATE INDEX i ON public.t (id)";
    const words = `${key}; ${trigger}; ${index}; CREATE POLICY p ON auth.users USING (true); COMMENT ON TABLE public.t IS 'x'`;
    expect(await soon(words)).to.deep.equal(["trigger x on auth.users", "index public.i", "policy p on auth.users"]);
    for (const other of [
      "CREATE TABLE public.u (id uuid REFERENCES auth.users)",
      "DO $$ BEGIN NULL; END $$",
      "SELECT 1",
    ])
      expect(await soon(`${key}; ${other}`), other).to.equal(undefined);
    const own = "GRANT SELECT ON public.t TO anon; REVOKE ALL ON FUNCTION f(int), public.f(int4), f FROM PUBLIC";
    expect(await soon(own)).to.deep.equal([]);
    for (const rights of [
      "SELECT ON public.documents",
      "SELECT ON public.t, auth.users",
      "EXECUTE ON FUNCTION public.update_updated_at_column()",
      "EXECUTE ON FUNCTION public.f(int), auth.f(int)",
      // Of the module's name, and others': overloads.
      "EXECUTE ON FUNCTION public.f(int, text)",
      "EXECUTE ON FUNCTION f(bigint)",
      "EXECUTE ON FUNCTION f(int[])",
      "EXECUTE ON FUNCTION f()",
      "EXECUTE ON ALL FUNCTIONS IN SCHEMA public",
    ])
      expect(await soon(`GRANT ${rights} TO anon`), rights).to.equal(undefined);
    for (const alters of ["public.documents ADD CHECK (true)", "public.t ADD COLUMN x uuid REFERENCES auth.users"])
      expect(await soon(`ALTER TABLE ${alters}`), alters).to.equal(undefined);
  });

  it("16-16 a role that is new meanwhile is somebody else's, as tools make them that lend roles", () =>
    withAdmin(async (engine, admin) => {
      const own = { name: "900_t", objects: [] };
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (now) => {
          const before = await whatIsThere(now);
          await admin.query("CREATE ROLE lent_meanwhile");
          try {
            await refuseUnlisted(now, before, own, []);
          } finally {
            await admin.query("DROP ROLE lent_meanwhile");
          }
        }),
      );
    }));

  it("nor what others make meanwhile", () =>
    withEngine(async (engine, db) => {
      const other = await db.connect();
      const own = { name: "900_t", objects: ["table public.own"] };
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (now) => {
          const before = await whatIsThere(now);
          await now.query("CREATE TABLE public.own ()");
          await other.query("CREATE TABLE public.theirs (id serial PRIMARY KEY)");
          await refuseUnlisted(now, before, own, []);
          await refuseUnlisted(now, before, { ...own, objects: [...own.objects, "index public.later"] }, [
            "index public.later",
          ]);
        }),
      );
    }));
});
