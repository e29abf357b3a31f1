import { expect } from "chai";
import { recordTexts } from "../../../engine/module/undo";
import { catalogue } from "../../support/modules";
import { applied, files } from "./archived";
import { column, moduleOf, refusalOf, withEngine, withMigrator } from "./harness";

describe("rolling a module back", function () {
  this.timeout(60_000);

  for (const [what, sql, named] of [
    ["a view", "CREATE VIEW public.report AS SELECT note FROM public.t", "view public.report"],
    ["a view over our view", "CREATE VIEW public.report AS SELECT id FROM public.vv", "view public.report"],
    [
      "a materialised view",
      "CREATE MATERIALIZED VIEW public.report AS SELECT note FROM public.t",
      "materialized view public.report",
    ],
    [
      "a function that returns its rows",
      "CREATE FUNCTION public.report() RETURNS SETOF public.t LANGUAGE sql AS 'SELECT * FROM public.t'",
      "function public.report()",
    ],
    [
      "a function in the standard's form",
      "CREATE FUNCTION public.report() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM public.t; END",
      "function public.report()",
    ],
    [
      "a table with a foreign key",
      "CREATE TABLE public.other (t int CONSTRAINT other_fkey REFERENCES public.t)",
      "constraint other_fkey on table public.other",
    ],
    [
      "a default that calls a function of ours",
      "CREATE TABLE public.other (i int DEFAULT public.f(1))",
      "default value for column i of table public.other",
    ],
    [
      "a trigger on v6 that calls a function of ours",
      "CREATE TRIGGER other BEFORE UPDATE ON public.documents FOR EACH ROW EXECUTE FUNCTION public.touched()",
      "trigger other on table public.documents",
    ],
    [
      "a policy of v6 that reads a table of ours",
      "CREATE POLICY other ON public.documents USING (EXISTS (SELECT FROM public.t))",
      "policy other on table public.documents",
    ],
  ] as const) {
    it(`${what}, made by others, is named, and nothing happens`, () =>
      withEngine(async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        await applied(engine, client);
        await admin.query(sql);
        const before = await catalogue(admin);
        const said = await refusalOf(engine.undo("900_t"));
        expect(said.message).to.equal(
          `others made objects that depend on this module; a rollback would break them [dependent-objects]\n  where: ${named}\n` +
            "  to do: drop them, if they are not needed, or take out of them what refers to it; then run this again",
        );
        expect(await catalogue(admin)).to.deep.equal(before);
        expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
      }));
  }

  it("is refused while another module needs it", () =>
    withEngine(async (engine) => {
      await engine.apply(await moduleOf("900_t", files));
      await engine.apply(await moduleOf("901_x", { yaml: "requires: [900_t]\n", up: "" }));
      const said = await refusalOf(engine.undo("900_t"));
      expect(said.message).to.match(/^module 900_t is still needed \[module-needed\]\n {2}where: 901_x\n/);
      await engine.undo("901_x");
      await engine.undo("900_t");
      expect(await engine.undo("900_t"), "once more is nothing").to.equal(0n);
    }));

  it("a down.sql that leaves something behind is undone; mended and recorded, it works", () =>
    withMigrator(async (engine, client) => {
      const broken = files.down!.replace("DROP SEQUENCE public.s;", "");
      await applied(engine, client, { down: broken });
      const before = await catalogue(client);
      expect((await refusalOf(engine.undo("900_t"))).message).to.equal(
        "down.sql of 900_t leaves objects behind; the rollback was undone [objects-left]\n  where: sequence public.s\n" +
          "  to do: mend sql/900_t/down.sql, run up (which records it), then roll back again\n" +
          "     or: if that folder is gone, put it back first, as it was when it was applied: from version control",
      );
      expect(await catalogue(client)).to.deep.equal(before);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
      const mended = await moduleOf("900_t", files);
      await engine.apply(mended);
      await engine.write("SqlModule", "900_t", (fenced) => recordTexts(fenced, mended));
      expect(await engine.undo("900_t")).to.equal(6n);
    }));

  it("a down.sql that fails is named by its line, and is undone", () =>
    withMigrator(async (engine, client) => {
      await applied(engine, client, { down: `-- é\n\nDROP FUNCTION public.f(text);` });
      const before = await catalogue(client);
      expect((await refusalOf(engine.undo("900_t"))).message).to.match(
        /^PostgreSQL refused: function public\.f\(text\) does not exist \(SQLSTATE 42883\) \[postgres-refused\]\n {2}where: down\.sql of 900_t \(as applied\):3: DROP FUNCTION public\.f\(text\)/,
      );
      expect(await catalogue(client)).to.deep.equal(before);
    }));

  it("16-16 a down.sql that forgets a view over what it drops is told which", () =>
    withEngine(async (engine) => {
      const yaml = "objects:\n  table: [public.t]\n  view: [public.v]\n";
      const up = "CREATE TABLE public.t (id int); CREATE VIEW public.v AS SELECT * FROM public.t";
      await engine.apply(await moduleOf("900_t", { yaml, up, down: "DROP TABLE public.t" }));
      const said = await refusalOf(engine.undo("900_t"));
      expect([said.sqlstate, said.what]).to.deep.equal([
        "2BP01",
        "PostgreSQL refused: cannot drop table public.t because other objects depend on it: view public.v depends on table public.t",
      ]);
    }));

  it("a verify.sql that refuses what is there is not recorded", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", files));
      const wrong = await moduleOf("900_t", {
        ...files,
        down: "SELECT 1",
        verify: "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'no'; END $$",
      });
      const said = await refusalOf(engine.write("SqlModule", "900_t", (fenced) => recordTexts(fenced, wrong)));
      expect(said.sqlstate).to.equal("GM001");
      expect(await column(await db.connect(), "SELECT down FROM guardian_migration.module")).to.deep.equal([
        files.down,
      ]);
    }));

  it("works where somebody dropped one of its tables by hand", () =>
    withMigrator(async (engine, client) => {
      await applied(engine, client);
      await client.query("DROP TABLE public.empty");
      expect(await engine.undo("900_t")).to.equal(6n);
    }));
});
