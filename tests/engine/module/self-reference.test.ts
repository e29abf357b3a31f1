import { expect } from "chai";
import { long } from "../../support/long";
import { column, moduleOf, refusalOf, withEngine, withMigrator } from "./harness";
import { whileWaiting } from "./restored";

/** Versions of a thing, each with the one before it. */
const versions = (action = "", archive = "none"): { yaml: string; up: string } => ({
  yaml: `locks: [auth.users]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: ${archive} }\n`,
  up: `CREATE TABLE public.t (id int PRIMARY KEY, parent int REFERENCES public.t ${action}, person uuid);
ALTER TABLE public.t ADD FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE;`,
});
const counts =
  "SELECT concat_ws(' ', rows, restored, beaten, left_out) FROM guardian_migration.archived ORDER BY apply_id";
const all = "SELECT concat_ws(' ', id, parent) FROM public.t ORDER BY id";
/** Written backwards, so that the archive holds every child before its parent. */
const backwards = "SET session_replication_role = replica; INSERT INTO public.t SELECT * FROM (VALUES";

describe("rows that refer to rows of their own table", function () {
  this.timeout(120_000);

  it("come back after those, whatever their order, over many batches", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const module = await moduleOf("900_t", versions());
      await engine.apply(module);
      // 3000 things of four versions each, all children first.
      await admin.query(`SET session_replication_role = replica;
            INSERT INTO public.t SELECT i, CASE WHEN i > 3000 THEN i - 3000 END FROM generate_series(12000, 1, -1) i`);
      await engine.undo("900_t");
      expect((await engine.apply(module)).restored).to.equal(12_000n);
      expect(await column(client, "SELECT count(*) FROM public.t WHERE parent = id - 3000")).to.deep.equal(["9000"]);
      expect(await column(client, counts)).to.deep.equal(["12000 12000 0 0"]);
    }));

  long("in a long chain", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const module = await moduleOf("900_t", versions());
      await engine.apply(module);
      await admin.query(`${backwards} (2, 1), (1, NULL)) v(id, parent);
            INSERT INTO public.t SELECT i, i - 1 FROM generate_series(150, 3, -1) i`);
      await engine.undo("900_t");
      await engine.apply(module);
      expect(await column(client, "SELECT count(*) FROM public.t WHERE parent = id - 1")).to.deep.equal(["149"]);
    }),
  );

  it("in circles, and to themselves", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const module = await moduleOf("900_t", versions());
      await engine.apply(module);
      await admin.query(`${backwards} (9, 9), (1, 2), (2, 3), (3, 1), (4, 3), (5, 4)) v(id, parent)`);
      await engine.undo("900_t");
      await engine.apply(module);
      expect(await column(client, all)).to.deep.equal(["1 2", "2 3", "3 1", "4 3", "5 4", "9 9"]);
      expect(await column(client, counts)).to.deep.equal(["6 6 0 0"]);
    }));

  for (const [action, left] of [
    ["ON DELETE CASCADE", ["1"]],
    ["ON DELETE SET NULL", ["1", "3", "4 3", "6", "7 6"]],
    ["", ["1"]],
  ] as const) {
    const test = action === "ON DELETE SET NULL" ? it : long;
    test(`whose ancestor stays away, do what the key says: ${action || "NO ACTION"}`, () =>
      withEngine(async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        const module = await moduleOf("900_t", versions(action, "none"));
        await engine.apply(module);
        const [person] = await column(client, "SELECT id FROM auth.users ORDER BY id LIMIT 1");
        // 2 is a person's; 3 and 4 come from it; 5, in a circle with 6, is his too.
        await admin.query(`${backwards} (4, 3), (3, 2), (2, 1), (1, NULL), (7, 6), (6, 5), (5, 6)) v(id, parent)`);
        await admin.query("UPDATE public.t SET person = $1 WHERE id IN (2, 5)", [person]);
        await engine.undo("900_t");
        await admin.query("DELETE FROM auth.users WHERE id = $1", [person]);
        await engine.apply(module);
        expect(await column(client, all)).to.deep.equal(left);
        expect(await column(client, counts)).to.deep.equal([`7 ${left.length} 0 ${7 - left.length}`]);
      }));
  }
});

describe("tables that refer to each other", function () {
  this.timeout(60_000);
  const yaml = "objects:\n  table: [public.a, public.b, public.c]\narchive:\n";
  const entry = (name: string): string => `  - { table: public.${name}, subject: none }\n`;

  it("get their rows parents first, in whatever order module.yaml has them,", () =>
    withMigrator(async (engine, client) => {
      const module = await moduleOf("900_t", {
        yaml: yaml + entry("a") + entry("b") + entry("c"),
        up: `CREATE TABLE public.c (id int PRIMARY KEY);
            CREATE TABLE public.b (id int PRIMARY KEY, c int REFERENCES public.c ON DELETE CASCADE);
            CREATE TABLE public.a (id int PRIMARY KEY, b int REFERENCES public.b ON DELETE SET NULL)`,
      });
      await engine.apply(module);
      await client.query(
        "INSERT INTO public.c VALUES (1); INSERT INTO public.b VALUES (1, 1); INSERT INTO public.a VALUES (1, 1)",
      );
      await engine.undo("900_t");
      expect((await engine.apply(module)).restored).to.equal(3n);
      expect(await column(client, "SELECT b FROM public.a")).to.deep.equal([1]);
    }));

  it("in a circle that somebody closed by hand are refused, and their rows go on waiting", () =>
    withMigrator(async (engine, client, db) => {
      const module = await moduleOf("900_t", {
        yaml: yaml + entry("a") + entry("b") + entry("c"),
        up: `CREATE TABLE public.c (id int PRIMARY KEY);
            CREATE TABLE public.b (id int PRIMARY KEY, a int);
            CREATE TABLE public.a (id int PRIMARY KEY, b int REFERENCES public.b ON DELETE SET NULL);`,
      });
      await engine.apply(module);
      await client.query(
        "INSERT INTO public.c VALUES (1); INSERT INTO public.b VALUES (1); INSERT INTO public.a VALUES (1, 1)",
      );
      await engine.undo("900_t");
      await whileWaiting(engine, db, module, () =>
        client.query("ALTER TABLE public.b ADD FOREIGN KEY (a) REFERENCES public.a ON DELETE SET NULL"),
      );
      const said = await refusalOf(engine.apply(module));
      expect(said.what).to.match(/^archived tables refer to each other in a circle/);
      expect(said.where).to.equal("public.a, public.b");
      expect(await column(client, "SELECT count(*) FROM guardian_archive.a__1")).to.deep.equal(["1"]);
      await engine.undo("900_t");
    }));
});
