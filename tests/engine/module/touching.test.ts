import { expect } from "chai";
import { parseFile } from "../../../engine/module/files/statements";
import { dropsTable, firstTouching } from "../../../engine/module/files/touching";
import { column, moduleOf, refusalOf, withEngine } from "./harness";

const relations = ["auth.users", "public.documents"];

/** What locks a v6 table, and so belongs into the time that is bounded. */
const touching = [
  "ALTER TABLE public.t ADD FOREIGN KEY (a) REFERENCES auth.users",
  "ALTER TABLE public.t ADD COLUMN b uuid REFERENCES public.documents (id) ON DELETE CASCADE",
  "CREATE TABLE public.t (a uuid REFERENCES auth.users)",
  "CREATE TABLE public.t (a uuid, FOREIGN KEY (a) REFERENCES documents)",
  "CREATE TRIGGER x AFTER INSERT ON public.documents FOR EACH ROW EXECUTE FUNCTION public.f()",
  "DROP TRIGGER x ON public.documents",
  'DROP TRIGGER "x" ON "public"."documents"',
  "DROP POLICY x ON auth.users",
  "DROP RULE x ON auth.users",
  "CREATE POLICY x ON auth.users USING (true)",
  "CREATE POLICY x ON public.t USING (EXISTS (SELECT FROM public.documents))",
  "ALTER POLICY x ON auth.users USING (true)",
  "CREATE RULE x AS ON INSERT TO public.documents DO NOTHING",
  "CREATE INDEX ON public.documents (id)",
  "COMMENT ON TRIGGER x ON public.documents IS 'y'",
  "COMMENT ON COLUMN auth.users.email IS 'y'",
  "ALTER TRIGGER x ON auth.users RENAME TO y",
  "LOCK TABLE auth.users",
  "DROP TABLE public.documents",
];

/** What only reads them, or speaks of something else. */
const harmless = [
  "CREATE TABLE public.t (a uuid)",
  "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM auth.users'",
  "CREATE VIEW public.v AS SELECT * FROM public.documents",
  "INSERT INTO public.t SELECT id FROM auth.users",
  "SELECT 1 FROM public.documents",
  "ALTER TABLE public.t ADD FOREIGN KEY (a) REFERENCES public.documents_of_ours",
  "DROP TRIGGER documents ON public.t",
  "DROP FUNCTION public.documents()",
  "COMMENT ON TABLE public.documents_of_ours IS 'y'",
  "DO $$ BEGIN NULL; END $$",
];

describe("statements that lock v6", function () {
  this.timeout(60_000);

  for (const [list, at] of [
    [touching, 0],
    [harmless, 1],
  ] as const) {
    for (const sql of list) {
      it(`${at === 0 ? "touches" : "does not touch"}: ${sql}`, async () => {
        expect(firstTouching(await parseFile("f", sql), relations)).to.equal(at);
      });
    }
  }

  it("the first of a file counts, and nothing where v6 is not concerned", async () => {
    const statements = await parseFile(
      "f",
      `${harmless[0]!}; ${harmless[2]!}; ${touching[0]!}; ${harmless[4]!}; ${touching[5]!}`,
    );
    expect(firstTouching(statements, relations)).to.equal(2);
    expect(firstTouching(statements, [])).to.equal(5);
    expect((await parseFile("f", "DROP VIEW a; DROP TABLE b; DROP INDEX c")).map(dropsTable)).to.deep.equal([
      false,
      true,
      false,
    ]);
  });

  it("a trigger on v6 goes with the bounded locks,", () =>
    withEngine(
      async (engine, db) => {
        const [admin, holder] = [await db.connect("admin"), await db.connect()];
        await admin.query("ALTER TABLE public.documents OWNER TO guardian_migrator");
        const module = await moduleOf("900_t", {
          yaml: "locks: [public.documents]\nobjects:\n  function: [public.told()]\n  trigger: [told on public.documents]\n",
          up: `CREATE FUNCTION public.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
              CREATE TRIGGER told AFTER INSERT ON public.documents FOR EACH ROW EXECUTE FUNCTION public.told();`,
          down: "DROP TRIGGER told ON public.documents;\nDROP FUNCTION public.told();",
        });
        await engine.apply(module);
        await holder.query("BEGIN; SELECT count(*) FROM public.documents");
        const said = await refusalOf(engine.undo("900_t", 1));
        expect(said.what).to.match(/^tables could not be locked \(ACCESS EXCLUSIVE, 5 ms a try\)/);
        await holder.query("COMMIT");
        await engine.undo("900_t");
        expect(await column(admin, "SELECT tgname FROM pg_trigger WHERE tgname = 'told'")).to.deep.equal([]);
      },
      { parameters: { lockTimeout: 5 } },
    ));
});
