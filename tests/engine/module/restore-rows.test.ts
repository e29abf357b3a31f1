import { expect } from "chai";
import type { FencedWriter } from "../../../engine/database";
import { applyModule } from "../../../engine/module/apply";
import { column, moduleOf, refusalOf, withEngine, withMigrator } from "./harness";
import { archived, counts, files, keys, meanwhile, rejects, some, whileWaiting } from "./restored";

describe("bringing rows back", function () {
  this.timeout(60_000);

  it("a live row wins, by any of its unique keys, and the archived one stays, named", () =>
    withMigrator(async (engine, client, db) => {
      await archived(engine, client, some(10));
      const live = "INSERT INTO public.t (id, note) OVERRIDING SYSTEM VALUE VALUES (3, 'live'), (99, 'note 7')";
      await meanwhile(engine, db, await moduleOf("900_t", files), () => client.query(live));
      expect(await column(client, counts)).to.deep.equal(["public.t 10 8 0 0 f"]);
      expect(await column(client, "SELECT note FROM public.t WHERE id IN (3, 7, 99)")).to.have.members([
        "live",
        "note 7",
      ]);
      expect(await column(client, rejects)).to.deep.equal(["3 23505 t_pkey", "7 23505 t_note_key"]);
    }));

  it("of two archives of one table both come back; where they say different things the later one wins, and the other stays", () =>
    withMigrator(async (engine, client, db) => {
      await archived(engine, client, "INSERT INTO public.t (note) VALUES ('first'), ('both, early')");
      const late = "INSERT INTO public.t (id, note) OVERRIDING SYSTEM VALUE VALUES (2, 'both, late'), (7, 'second')";
      const module = await moduleOf("900_t", files);
      await whileWaiting(engine, db, module, () => client.query(late));
      await engine.undo("900_t");
      expect(await column(client, "SELECT archived_as FROM guardian_migration.archived ORDER BY 1")).to.deep.equal([
        "guardian_archive.t__1",
        "guardian_archive.t__2",
      ]);
      const { restored } = await engine.apply(module);
      expect(restored).to.equal(3n);
      expect(await column(client, "SELECT note FROM public.t ORDER BY id")).to.deep.equal([
        "first",
        "both, late",
        "second",
      ]);
      expect(await column(client, counts)).to.deep.equal(["public.t 2 1 0 0 f", "public.t 2 2 0 0 t"]);
      expect(await column(client, "SELECT note FROM guardian_archive.t__1")).to.deep.equal(["both, early"]);
    }));

  it("rows of a person who was deleted since stay away, an actor who was is forgotten", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      await archived(engine, client, some(5));
      const gone =
        "(SELECT person FROM guardian_archive.t__1 WHERE id = 1), (SELECT actor FROM guardian_archive.t__1 WHERE id = 2)";
      await admin.query(`DELETE FROM auth.users WHERE id IN (${gone})`);
      await engine.apply(await moduleOf("900_t", files));
      expect(await column(client, "SELECT id || ' ' || (actor IS NULL) FROM public.t ORDER BY id")).to.deep.equal([
        "2 true",
        "3 false",
        "4 false",
        "5 false",
      ]);
      expect(await column(client, counts)).to.deep.equal(["public.t 5 4 0 1 t"]);
    }));

  it("the person is not forgotten where his key says so: his rows stay away all the same", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const forgets = { ...files, up: files.up.replace("ON DELETE CASCADE", "ON DELETE SET NULL") };
      await archived(engine, client, some(5), forgets);
      await admin.query(`SET session_replication_role = replica; -- so that the archive keeps the row
            DELETE FROM auth.users WHERE id IN (SELECT person FROM guardian_archive.t__1 WHERE id = 1)`);
      await engine.apply(await moduleOf("900_t", forgets));
      expect(await column(client, "SELECT id FROM public.t ORDER BY id")).to.deep.equal([2, 3, 4, 5]);
      expect(await column(client, counts)).to.deep.equal(["public.t 5 4 0 1 t"]);
    }));

  for (const [action, expected] of [
    ["ON DELETE CASCADE", ["2 d2"]],
    ["ON DELETE RESTRICT", ["2 d2"]],
    ["ON DELETE SET NULL", ["1 ", "2 d2"]],
    ["ON DELETE SET DEFAULT", ["1 d3", "2 d2"]],
  ] as const) {
    it(`a reference to what was deleted since does what its key says: ${action}`, () =>
      withEngine(async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        await admin.query(
          "CREATE TABLE public.d (id text PRIMARY KEY); INSERT INTO public.d VALUES ('d1'), ('d2'), ('d3'); ALTER TABLE public.d OWNER TO guardian_migrator",
        );
        const module = {
          yaml: "locks: [public.d]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: none }\n",
          up: `CREATE TABLE public.t (id int PRIMARY KEY, d text DEFAULT 'd3');\nALTER TABLE public.t ADD FOREIGN KEY (d) REFERENCES public.d ${action};`,
        };
        await archived(engine, client, "INSERT INTO public.t VALUES (1, 'd1'), (2, 'd2')", module);
        await client.query("DELETE FROM public.d WHERE id = 'd1'");
        await engine.apply(await moduleOf("900_t", module));
        expect(await column(client, "SELECT concat(id, ' ', d) FROM public.t ORDER BY id")).to.deep.equal(expected);
      }));
  }

  it("triggers do not hear of it, and are as they were: always, replica, off", () =>
    withMigrator(async (engine, client) => {
      const names = ["a_on", "b_always", "c_replica", "d_off"];
      const triggers = names.map(
        (name) => `CREATE TRIGGER ${name} BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.heard();`,
      );
      const module = {
        ...files,
        yaml: files.yaml!.replace(
          "archive:",
          `  function: [public.heard()]\n  trigger: [${names.map((name) => `${name} on public.t`).join(", ")}]\narchive:`,
        ),
        up: `CREATE FUNCTION public.heard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'heard'; RETURN NEW; END $$;
              ${files.up.replace(keys, "")} ${triggers.join("\n")}
              ALTER TABLE public.t ENABLE ALWAYS TRIGGER b_always, ENABLE REPLICA TRIGGER c_replica, DISABLE TRIGGER d_off; ${keys}`,
        down: "DROP FUNCTION public.heard();",
      };
      await archived(
        engine,
        client,
        "ALTER TABLE public.t DISABLE TRIGGER ALL; INSERT INTO public.t (note) VALUES ('said')".replace("ALL", "USER"),
        module,
      );
      await engine.apply(await moduleOf("900_t", module));
      expect(await column(client, "SELECT note FROM public.t")).to.deep.equal(["said"]);
      expect(
        await column(
          client,
          "SELECT tgname || ' ' || tgenabled::text FROM pg_trigger WHERE tgrelid = 'public.t'::regclass AND NOT tgisinternal ORDER BY 1",
        ),
      ).to.deep.equal(["a_on O", "b_always A", "c_replica R", "d_off D"]);
    }));

  it("a column that is new gets its default, one that is gone and held nothing is left, one of another type is read as that", () =>
    withMigrator(async (engine, client) => {
      const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
      await archived(engine, client, "INSERT INTO public.t VALUES (1, NULL, '42')", {
        yaml,
        up: "CREATE TABLE public.t (id int PRIMARY KEY, gone text, typed text)",
      });
      await engine.apply(
        await moduleOf("900_t", {
          yaml,
          up: "CREATE TABLE public.t (fresh int DEFAULT 7, typed bigint, id int PRIMARY KEY)",
        }),
      );
      expect(await column(client, "SELECT t::text FROM public.t t")).to.deep.equal(["(7,42,1)"]);
    }));

  it("a value that does not fit any more is not cut: nothing is lost in silence", () =>
    withMigrator(async (engine, client) => {
      const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
      const up = (type: string): string => `CREATE TABLE public.t (id int PRIMARY KEY, note ${type})`;
      await archived(engine, client, "INSERT INTO public.t VALUES (1, 'longer')", { yaml, up: up("text") });
      await engine.apply(await moduleOf("900_t", { yaml, up: up("varchar(3)") }));
      expect(await column(client, "SELECT note FROM guardian_archive.t__1")).to.deep.equal(["longer"]);
      expect(await column(client, "SELECT sqlstate || object FROM guardian_migration.reject")).to.deep.equal([
        "22000note",
      ]);
      await engine.undo("900_t");
      await engine.apply(await moduleOf("900_t", { yaml, up: up("varchar(9)") }));
      expect(await column(client, "SELECT note FROM public.t")).to.deep.equal(["longer"]);
    }));

  it("16-15 a value that its column's type now would round or cut stays in the archive, named; all others come back", () =>
    withMigrator(async (engine, client) => {
      const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
      const up = (...types: string[]): string =>
        `CREATE TABLE public.t (id int PRIMARY KEY, ${types.map((type, i) => `c${i + 1} ${type}`).join(", ")},
          parent int REFERENCES public.t)`;
      const wide = ["numeric", "timestamptz", "text", "bigint", "numeric[]", "jsonb", "json"];
      const narrow = ["numeric(10,1)", "timestamptz(0)", "varchar(3)", "int", "numeric(9,1)[]", "int", "jsonb"];
      // Spaces, the order of members and how a number is written are no part of a JSON value; of two members of one name one is lost.
      const json = `'{ "b": [ {"c":1e2}, null],   "a": "\\u0041" }'`;
      const fits = `1.50, '2020-01-01 00:00:01+00', 'abc', 7, '{2.50}', '7', ${json}`;
      await archived(
        engine,
        client,
        `INSERT INTO public.t VALUES (1, ${fits}, NULL), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
          (3, ${fits.replace("1.50", "1.55")}, NULL), (4, ${fits.replace(":01+", ":01.5+")}, NULL),
          (5, ${fits.replace("'abc'", "'abc '")}, NULL), (6, ${fits.replace(" 7,", " 3000000000,")}, NULL),
          (7, ${fits.replace("2.50", "2.55")}, NULL), (8, ${fits.replace("'7'", "'7.5'")}, NULL), (9, ${fits}, 3),
          (10, ${fits.replace('{"c":1e2}', '{"c":1, "c":1}')}, NULL)`,
        { yaml, up: up(...wide) },
      );
      const waiting = await column(client, "SELECT t::text FROM guardian_archive.t__1 t WHERE id > 2 ORDER BY id");
      await engine.apply(await moduleOf("900_t", { yaml, up: up(...narrow) }));
      expect(await column(client, "SELECT id FROM public.t ORDER BY id")).to.deep.equal([1, 2]);
      expect(await column(client, "SELECT t::text FROM guardian_archive.t__1 t ORDER BY id")).to.deep.equal(waiting);
      expect(
        await column(
          client,
          "SELECT concat_ws(' ', key[1], sqlstate, object) FROM guardian_migration.reject ORDER BY 1",
        ),
      ).to.deep.equal([
        "10 22000 c7",
        "3 22000 c1",
        "4 22000 c2",
        "5 22000 c3",
        "6 22003",
        "7 22000 c5",
        "8 22000 c6",
        "9 23503 t_parent_fkey",
      ]);
      await engine.undo("900_t");
      await engine.apply(await moduleOf("900_t", { yaml, up: up(...wide) }));
      expect(await column(client, "SELECT t::text FROM public.t t WHERE id > 2 ORDER BY id")).to.deep.equal(waiting);
    }));

  it("16-15 a run whose time is up goes on where it stopped, though values are to be looked at", () =>
    withMigrator(async (engine, client) => {
      const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
      const up = (type: string): string => `CREATE TABLE public.t (id int PRIMARY KEY, n ${type}, pad char(1000))`;
      await archived(engine, client, "INSERT INTO public.t SELECT i, i, 'x' FROM generate_series(1, 6000) i", {
        yaml,
        up: up("numeric"),
      });
      const module = await moduleOf("900_t", { yaml, up: up("int") });
      // Each run ends with the first piece of work that it tells of.
      for (let run = 1; run <= 6; run++) {
        const stop = new AbortController();
        engine.onProgress = ({ done }) => {
          if (done !== undefined) stop.abort();
        };
        const work = (fenced: FencedWriter): Promise<unknown> => applyModule(fenced, module, Date.now() + 60_000);
        await engine.write("SqlModule", "900_t", work, { signal: stop.signal }).catch(() => undefined);
      }
      expect(await column(client, counts)).to.deep.equal(["public.t 6000 6000 0 0 t"]);
    }));

  it("16-15 of a type that knows no equality, what reads otherwise now stays in the archive too", () =>
    withMigrator(async (engine, client) => {
      const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
      const up = (type: string): string => `CREATE TABLE public.t (id int PRIMARY KEY, note ${type})`;
      const rows = `INSERT INTO public.t VALUES (1, '{"a": 1}'), (2, '{"a": 1, "a": 2}'), (3, NULL)`;
      await archived(engine, client, rows, { yaml, up: up("json") });
      await engine.apply(await moduleOf("900_t", { yaml, up: up("jsonb") }));
      expect(await column(client, "SELECT id FROM public.t ORDER BY id")).to.deep.equal([1, 3]);
      expect(await column(client, "SELECT note::text FROM guardian_archive.t__1")).to.deep.equal(['{"a": 1, "a": 2}']);
      expect(
        await column(client, "SELECT concat_ws(' ', key[1], object) FROM guardian_migration.reject"),
      ).to.deep.equal(["2 note"]);
    }));

  it("16-15 nor does a column that is computed now take the place of what was written into it", () =>
    withMigrator(async (engine, client) => {
      const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
      const up = (how: string): string => `CREATE TABLE public.t (id int PRIMARY KEY, note text${how})`;
      await archived(engine, client, "INSERT INTO public.t VALUES (1, 'mine')", { yaml, up: up("") });
      const computed = await moduleOf("900_t", { yaml, up: up(" GENERATED ALWAYS AS ('ours') STORED") });
      expect((await refusalOf(engine.apply(computed))).where).to.equal(
        "note of guardian_archive.t__1, rows of public.t",
      );
      expect(await column(client, "SELECT note FROM guardian_archive.t__1")).to.deep.equal(["mine"]);
    }));
});
