import { expect } from "chai";
import { refuseHarm } from "../../../engine/module/files/manifest";
import { column, moduleOf, refusalOf, type Files, withMigrator } from "./harness";

const yaml = `objects:
  table: [public.t, public.u]
  view: [public.v, public.w]
  function: [public.f(integer), public.g()]
  index: [public.t_note]
  trigger: [told on public.u]
  type: [public.e]
archive:
  - { table: public.t, subject: none }
`;
const up = `CREATE TYPE public.e AS ENUM ('a');
CREATE TABLE public.t (id int PRIMARY KEY, note text);
CREATE TABLE public.u (id int PRIMARY KEY);
CREATE INDEX t_note ON public.t (note);
CREATE VIEW public.v AS SELECT * FROM public.t;
CREATE VIEW public.w AS SELECT * FROM public.u;
CREATE FUNCTION public.f(i int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER told AFTER INSERT ON public.u FOR EACH ROW EXECUTE FUNCTION public.g();`;
const down = `DROP TRIGGER told ON public.u;
DROP VIEW public.w;
DROP TABLE public.u;
DROP FUNCTION public.f(integer), public.g();
DROP TYPE public.e;`;
const files: Files = { yaml, up, down };

/** What a rollback would fail at, or take from others, and why. */
const wrong: [string, string][] = [
  ["DROP TABLE public.t", "public.t is not there any more: the engine archives or drops it before"],
  ["DROP TABLE public.u, public.t", "public.t is not there any more"],
  ["ALTER TABLE public.t DROP COLUMN note", "public.t is not there any more"],
  ["DELETE FROM public.t", "public.t is not there any more"],
  ["DROP INDEX public.t_note", "public.t_note is not there any more"],
  ["DROP VIEW public.v", "public.v is not there any more"],
  ["DROP POLICY p ON public.t", "public.t is not there any more"],
  ["DROP FUNCTION public.f(int) CASCADE", "CASCADE takes away what others made"],
  ["REVOKE ALL ON public.u FROM PUBLIC CASCADE", "CASCADE takes away what others made"],
  ["TRUNCATE public.u CASCADE", "CASCADE takes away what others made"],
  ["DROP VIEW IF EXISTS public.w", "IF EXISTS hides that something is missing"],
  ["ALTER TABLE IF EXISTS public.u DROP COLUMN x", "IF EXISTS hides that something is missing"],
  ["ALTER TABLE public.u DROP CONSTRAINT IF EXISTS x", "IF EXISTS hides that something is missing"],
  ["DROP TABLE public.documents", "table public.documents is not listed in module.yaml"],
  ["DROP TRIGGER told ON public.documents", "trigger told on public.documents is not listed in module.yaml"],
  ["DROP FUNCTION public.h()", "function public.h is not listed in module.yaml"],
  ["DROP SCHEMA auth", "schema auth is not listed in module.yaml"],
  ["DELETE FROM public.documents", "public.documents is not the module's"],
  ["UPDATE documents SET status = NULL", "public.documents is not the module's"],
  ["INSERT INTO public.documents (id) SELECT id FROM public.u", "public.documents is not the module's"],
  ["TRUNCATE public.u, public.documents", "public.documents is not the module's"],
  ["ALTER TABLE public.documents DROP COLUMN status", "public.documents is not the module's"],
  [
    "WITH gone AS (DELETE FROM public.documents RETURNING id) SELECT id FROM gone",
    "public.documents is not the module's",
  ],
  // What words of a block do is told before the rollback too.
  ["DO $$ BEGIN DROP FUNCTION public.theirs(); END $$", "what a block defines or drops cannot be told"],
  ["DO $$ BEGIN EXECUTE 'ALTER TABLE public.documents DISABLE ROW LEVEL SECURITY'; END $$", "what a block defines"],
  ["CREATE OR REPLACE FUNCTION public.h() RETURNS int LANGUAGE sql AS 'SELECT 2'", "function public.h is not listed"],
  ["CREATE TABLE public.x ()", "table public.x is not listed in module.yaml"],
  ["GRANT ALL ON public.documents TO anon", "these rights are not on what is the module's"],
];

/** What a file may drop: what it made, or what it is to make anew. */
const honest = [
  "CREATE TABLE public.help (); DROP TABLE public.help",
  "DROP TRIGGER IF EXISTS x ON public.u; CREATE TRIGGER x AFTER INSERT ON public.u FOR EACH ROW EXECUTE FUNCTION public.g()",
  "DROP POLICY IF EXISTS p ON public.u; CREATE POLICY p ON public.u USING (true)",
  "DROP FUNCTION IF EXISTS public.h(); CREATE FUNCTION public.h() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "DROP VIEW IF EXISTS x; CREATE VIEW public.x AS SELECT 1",
  "CREATE TYPE public.pair AS (a int); DROP TYPE public.pair",
  "CREATE AGGREGATE public.total(int) (SFUNC = int4pl, STYPE = int); DROP AGGREGATE public.total(int)",
  "CREATE SCHEMA scratch; DROP SCHEMA scratch",
  "CREATE TEXT SEARCH CONFIGURATION public.c (COPY = pg_catalog.simple); DROP TEXT SEARCH CONFIGURATION c",
  "SELECT 1 AS a INTO public.help; DROP TABLE help",
  "CREATE TABLE public.help AS SELECT 1; DROP TABLE public.help",
  "CREATE MATERIALIZED VIEW public.m AS SELECT 1; DROP MATERIALIZED VIEW public.m",
];

/** As it is asked of a module that is not applied. */
const harmOf = async (sql: string): Promise<void> =>
  refuseHarm(await moduleOf("900_t", { ...files, up: `${up}\n${sql};` }));

describe("a down.sql that would fail in the rollback", function () {
  this.timeout(60_000);

  it("16-16 is found before anything is applied, with its line and why", async () => {
    await moduleOf("900_t", files);
    for (const [statement, why] of wrong) {
      const said = await refusalOf(moduleOf("900_t", { ...files, down: `${down}\n${statement};` }));
      expect(said.code, statement).to.equal("file-invalid");
      expect(said.where, statement).to.match(/^sql\/900_t\/down\.sql:6: /);
      expect(said.where, statement).to.contain(why);
    }
    const several = await refusalOf(
      moduleOf("900_t", { ...files, down: "DROP TABLE public.t;\nDROP VIEW public.v CASCADE;" }),
    );
    expect(several.where?.split("\n")).to.have.length(3);
    for (const file of ["down", "verify"] as const) {
      const ended = await refusalOf(moduleOf("900_t", { ...files, [file]: "COMMIT" }));
      expect(ended.what, file).to.match(/^BEGIN, COMMIT, ROLLBACK and SAVEPOINT are the engine's/);
    }
  });

  it("16-16 and was recorded by an older release all the same does not stop the rollback", () =>
    withMigrator(async (engine, client) => {
      await engine.apply(await moduleOf("900_t", files));
      await client.query("INSERT INTO public.t VALUES (1, 'kept')");
      await client.query("UPDATE guardian_migration.module SET down = $1", [`DROP TABLE public.t;\n${down}`]);
      expect(await engine.undo("900_t")).to.equal(1n);
      expect(await column(client, "SELECT note FROM guardian_archive.t__1")).to.deep.equal(["kept"]);
    }));

  it("16-16 nor does up.sql write rows of what is not the module's, which no rollback would put back", async () => {
    const writes = ["UPDATE public.documents SET status = 'x'", "WITH x AS (TABLE public.u) DELETE FROM auth.users"];
    const said = await refusalOf(harmOf(writes.join(";\n")));
    expect(said.code).to.equal("file-invalid");
    expect(said.where).to.equal("sql/900_t/up.sql:10: public.documents\n    sql/900_t/up.sql:11: auth.users");
    await harmOf("INSERT INTO public.u VALUES (1)");
  });

  it("16-16 nor does up.sql drop what it did not make, or change the server and its roles", async () => {
    const losses = [
      "DROP POLICY own ON public.documents",
      "DROP FUNCTION public.update_updated_at_column()",
      "ALTER DATABASE v6 SET work_mem = '8MB'",
      "GRANT guardian_operator TO anon",
      "CREATE ROLE somebody",
      "DO $$ BEGIN ALTER ROLE anon PASSWORD 'x'; END $$",
      "DO $x$ BEGIN EXECUTE 'drop owned by anon'; END $x$",
    ];
    for (const loss of losses) {
      const said = await refusalOf(harmOf(loss));
      expect(said.code, loss).to.equal("file-invalid");
      expect(said.where).to.equal(`sql/900_t/up.sql:10: ${loss}`);
    }
    // One that has only a part of the name, or has it in its body, is another.
    const alike = [
      ["CREATE INDEX documents_status_idx_v7 ON public.u (id)", "DROP INDEX documents_status_idx"],
      ["CREATE FUNCTION public.h() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM x'", "DROP TABLE IF EXISTS x"],
      ["CREATE VIEW auth.v2 AS SELECT 1", "DROP VIEW public.v2"],
    ] as const;
    for (const [make, drop] of alike) {
      const said = await refusalOf(harmOf(`${make};\n${drop}`));
      expect(said.where).to.equal(`sql/900_t/up.sql:11: ${drop}`);
    }
    for (const one of honest) await harmOf(one);
    await harmOf("DO $$ BEGIN -- no ALTER ROLE\n /* nor DROP OWNED */ PERFORM 1; END $$");
  });

  it("16-16 but a module that an older release applied goes on: only one that is not applied is looked at", () =>
    withMigrator(async (engine, client) => {
      await engine.apply(await moduleOf("900_t", files));
      // What this release would refuse, with the name by which the ledger knows the file.
      const older = await moduleOf("900_t", { ...files, up: `${up}\nUPDATE public.documents SET status = 'x';` });
      await client.query("UPDATE guardian_migration.step SET meaning = $1 WHERE kind = 'SqlModule'", [older.meaning]);
      await engine.apply(older);
      await engine.undo("900_t");
      const said = await refusalOf(engine.apply(older));
      expect(said.where).to.equal("sql/900_t/up.sql:10: public.documents");
    }));
});
