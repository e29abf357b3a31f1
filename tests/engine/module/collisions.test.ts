import { expect } from "chai";
import type { Client } from "pg";
import type { Queryable } from "../../../engine/base/sql";
import { settle, sharedKeys } from "../../../engine/module/archive/collisions";
import { column, moduleOf, withEngine, type Files, withMigrator } from "./harness";
import { archived, counts, meanwhile } from "./restored";

/** Keys of the first version, and those that a later one brings. */
const [old, fresh] = [
  "UNIQUE (a)",
  `UNIQUE (b), CONSTRAINT t_c UNIQUE NULLS NOT DISTINCT (c), CONSTRAINT t_p EXCLUDE USING gist (p WITH &&), CONSTRAINT t_e UNIQUE (e)`,
];
const indexes = `CREATE UNIQUE INDEX t_d ON public.t (lower(d)) WHERE id > 0;
  CREATE UNIQUE INDEX t_f_all ON public.t (f);`;
const partial = "CREATE UNIQUE INDEX t_f ON public.t (f) WHERE id < 100;";

/** A thing with a key of each kind; `e` is text at first, a number later on. */
const version = (constraints: string, e: string, also = ""): Files => ({
  yaml: `objects:
  table: [public.t]
  index: [public.t_f${also === "" ? "" : ", public.t_d, public.t_f_all"}]
archive:
  - { table: public.t, subject: none }
`,
  up: `CREATE TABLE public.t (id int PRIMARY KEY, a text, b text, c text, d text, e ${e}, f int, p int4range,
      ${constraints}); ${partial} ${also}`,
});
const before = version(`${old}, CONSTRAINT t_e UNIQUE (e)`, "text");
const later = version(`${old}, ${fresh}`, "int", indexes);

const rejects =
  "SELECT concat_ws(' ', urn, key[1], sqlstate, object) FROM guardian_migration.reject ORDER BY urn, key[1]::int";
const ids = (client: Client, table: string): Promise<number[]> => column(client, `SELECT id FROM ${table} ORDER BY id`);

/** How many rows the nodes of a plan looked at in vain. */
function looked(plan: unknown): number {
  if (typeof plan !== "object" || plan === null) return 0;
  const { "Actual Loops": loops = 0, ...node } = plan as Record<string, unknown>;
  const removed = [node["Rows Removed by Filter"], node["Rows Removed by Join Filter"]].map((n) => Number(n ?? 0));
  const here = removed.reduce((sum, n) => sum + n, 0) * Number(loops);
  return Object.values(node).reduce<number>((sum, inner) => sum + looked(inner), here);
}

describe("archived rows that collide when they come back", function () {
  this.timeout(60_000);

  it("16-15 by a key that is new: the second of two stays in the archive, named by key and what refused it", () =>
    withMigrator(async (engine, client) => {
      await archived(
        engine,
        client,
        `INSERT INTO public.t VALUES
           (1, 'a1', 'b', 'c1', 'd1', '1', 1, '[1,2)'),   (2, 'a2', 'b', 'c2', 'd2', '2', 2, '[2,3)'),
           (3, 'a3', 'b3', NULL, 'd3', '3', 3, '[3,4)'),  (4, 'a4', 'b4', NULL, 'd4', '4', 4, '[4,5)'),
           (5, 'a5', 'b5', 'c5', 'D', '5', 5, '[5,9)'),   (6, 'a6', 'b6', 'c6', 'd', '6', 6, '[9,10)'),
           (7, 'a7', 'b7', 'c7', 'd7', '7', 7, '[8,9)'),  (8, 'a8', 'b8', 'c8', 'd8', '05', 8, '[10,11)'),
           (100, 'a9', 'b9', 'c9', 'd9', '9', 9, '[11,12)'), (101, 'b1', 'b10', 'c10', 'd10', '10', 9, '[12,13)')`,
        before,
      );
      const { restored } = await engine.apply(await moduleOf("900_t", later));
      expect(await ids(client, "public.t")).to.deep.equal([1, 3, 5, 100]);
      expect(restored).to.equal(4n);
      expect(await ids(client, "guardian_archive.t__1")).to.deep.equal([2, 4, 6, 7, 8, 101]);
      expect(await column(client, rejects)).to.deep.equal(
        ["2 23505 t_b_key", "4 23505 t_c", "6 23505 t_d", "7 23P01 t_p", "8 22000 e", "101 23505 t_f_all"].map(
          (line) => `guardian_archive.t__1 ${line}`,
        ),
      );
      expect(await column(client, counts)).to.deep.equal(["public.t 10 4 0 0 f"]);
      // Nothing is lost: the version that takes them has them all.
      await engine.undo("900_t");
      expect((await engine.apply(await moduleOf("900_t", before))).restored).to.equal(10n);
    }));

  it("16-15 who is the same thing as a live row stays, named by that key, whether it was there before or is new", () =>
    withMigrator(async (engine, client, db) => {
      await archived(
        engine,
        client,
        `INSERT INTO public.t (id, a, b, c, e, f) VALUES (1, 'a1', 'b1', 'c1', '1', 1), (2, 'a2', 'b2', 'c2', '2', 2),
           (3, 'a3', 'b3', 'c3', '3', 3), (4, 'a4', 'b4', 'c4', '4', 4), (200, 'a5', 'b5', 'c5', '5', 5), (6, 'a6', 'b6', 'c6', '6', 6)`,
        before,
      );
      // By the primary key, by an old constraint, by an old partial index; by the new key and by the new index alone.
      const live = `INSERT INTO public.t (id, a, b, c, f) VALUES (1, 'x1', 'x1', 'x1', 91), (92, 'a2', 'x2', 'x2', 92),
        (93, 'x3', 'x3', 'x3', 3), (94, 'x4', 'b4', 'x4', 94), (95, 'x5', 'x5', 'x5', 5)`;
      await meanwhile(engine, db, await moduleOf("900_t", later), () => client.query(live));
      expect(await ids(client, "public.t")).to.deep.equal([1, 6, 92, 93, 94, 95]);
      expect(await ids(client, "guardian_archive.t__1")).to.deep.equal([1, 2, 3, 4, 200]);
      expect(await column(client, rejects)).to.deep.equal(
        ["1 23505 t_pkey", "2 23505 t_a_key", "3 23505 t_f", "4 23505 t_b_key", "200 23505 t_f_all"].map(
          (line) => `guardian_archive.t__1 ${line}`,
        ),
      );
      expect(await column(client, counts)).to.deep.equal(["public.t 6 1 0 0 f"]);
    }));

  it("16-15 by a key whose NULLs are the same each is looked up, and not compared with every live row", () =>
    withEngine(async (engine, db) => {
      await (
        await db.connect()
      ).query(`CREATE TABLE public.t (id int, c text, d int, UNIQUE NULLS NOT DISTINCT (c, d));
        CREATE TABLE public.a (LIKE public.t INCLUDING INDEXES);
        INSERT INTO public.t SELECT i, CASE WHEN i < 4 THEN 'c' END, nullif(i, 2) FROM generate_series(1, 5000) i;
        INSERT INTO public.a SELECT nullif(i, 3), CASE WHEN i < 4 THEN 'c' END, nullif(i, 2) FROM generate_series(1, 5100) i WHERE i < 4 OR i > 4900;
        ANALYZE public.t, public.a`);
      let passedOver = 0;
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (now) => {
          const watching: Queryable = {
            script: now.script.bind(now),
            query: async (text, values) => {
              if (text.includes("FROM public.a")) {
                await now.script("SAVEPOINT one");
                const plan = await now.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values);
                passedOver += looked(plan.rows);
                await now.script("ROLLBACK TO one");
              }
              return now.query(text, values);
            },
          };
          const [table, archived] = ["public.t", "public.a"];
          const shared = await sharedKeys(watching, table, archived, []);
          expect(shared).to.have.length(1);
          const places = await now.query<{ at: string }>("SELECT ctid::text AS at FROM public.a");
          const at = places.rows.map((row) => row.at);
          const compared = ["id", "c", "d"].map((name) => ({ live: `l.${name}`, value: `m.${name}` }));
          const named = { urn: archived, key: (alias: string) => `ARRAY[${alias}.d::text]` };
          const meeting = { ...named, table, archived, shared, compared, unchosen: null };
          expect(await settle(watching, meeting, at)).to.deep.equal({ beaten: 102n, noted: 1 });
        }),
      );
      expect(passedOver).to.be.below(5001);
    }));

  it("16-15 by a column that is emptied, or computed otherwise, on the way: the second stays", () =>
    withMigrator(async (engine, client) => {
      const of = (slug: string): Files => ({
        yaml: `objects:
  table: [public.t, public.u, public.who]
archive:
  - { table: public.t, subject: none }
  - { table: public.u, subject: none }
`,
        up: `CREATE TABLE public.who (id int PRIMARY KEY);
          CREATE TABLE public.t (id int PRIMARY KEY, who int UNIQUE NULLS NOT DISTINCT REFERENCES public.who ON DELETE SET NULL);
          CREATE TABLE public.u (id int PRIMARY KEY, note text, slug text GENERATED ALWAYS AS (${slug}) STORED UNIQUE);`,
        down: "DROP TABLE public.who;",
      });
      await archived(
        engine,
        client,
        `INSERT INTO public.who VALUES (1), (2); INSERT INTO public.t VALUES (1, 1), (2, 2);
         INSERT INTO public.u (id, note) VALUES (1, 'one'), (2, 'ONE')`,
        of("note"),
      );
      // Whom they refer to went with the module.
      await engine.apply(await moduleOf("900_t", of("lower(note)")));
      expect(await ids(client, "public.t")).to.deep.equal([1]);
      expect(await ids(client, "public.u")).to.deep.equal([1]);
      expect(await column(client, rejects)).to.deep.equal([
        "guardian_archive.t__1 2 23505 t_who_key",
        "guardian_archive.u__1 2 23505 u_slug_key",
      ]);
    }));

  it("16-15 what refers to one that stays waits with it, and a circle with one in it", () =>
    withMigrator(async (engine, client) => {
      const of = (key: string): Files => ({
        yaml: "objects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: none }\n",
        up: `CREATE TABLE public.t (id int PRIMARY KEY, parent int REFERENCES public.t ON DELETE SET NULL, note text ${key})`,
      });
      await archived(
        engine,
        client,
        `INSERT INTO public.t VALUES (1, NULL, 'same'), (2, NULL, 'same'), (3, 2, 'three'), (4, 1, 'four'), (5, NULL, 'five'), (6, 5, 'same');
         UPDATE public.t SET parent = 6 WHERE id = 5`,
        of(""),
      );
      await engine.apply(await moduleOf("900_t", of("UNIQUE")));
      expect(await ids(client, "public.t")).to.deep.equal([1, 4]);
      expect(await column(client, rejects)).to.deep.equal(
        ["2 23505 t_note_key", "3 23503 t_parent_fkey", "5 23503 t_parent_fkey", "6 23505 t_note_key"].map(
          (line) => `guardian_archive.t__1 ${line}`,
        ),
      );
    }));
});
