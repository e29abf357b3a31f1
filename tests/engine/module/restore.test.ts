import { expect } from "chai";
import type { Client } from "pg";
import { catalogue } from "../../support/modules";
import { column, endWriters, majors, moduleOf, refusalOf, until, withEngine, type Engine, type Files } from "./harness";

const keys = `ALTER TABLE public.t
  ADD CONSTRAINT t_person_fkey FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE,
  ADD CONSTRAINT t_actor_fkey FOREIGN KEY (actor) REFERENCES auth.users ON DELETE SET NULL;`;
const files: Files = {
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: person }\n",
  up: `CREATE TABLE public.t (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person uuid, actor uuid, note text UNIQUE,
  length int GENERATED ALWAYS AS (length(note)) STORED, updated_at timestamptz NOT NULL DEFAULT now());
${keys}`,
};

const counts =
  "SELECT concat_ws(' ', original, rows, restored, beaten, left_out, restored_at IS NOT NULL) FROM guardian_migration.archived ORDER BY apply_id, original";
const content = "SELECT t::text FROM public.t t ORDER BY id";

/** Applies, fills, rolls back: the rows wait. */
async function archived(engine: Engine, client: Client, fill: string, module: Files = files): Promise<string[]> {
  await engine.apply(await moduleOf("900_t", module));
  await client.query(fill);
  const before = await column<string>(client, content);
  await engine.undo("900_t");
  return before;
}

const some = (n: number): string =>
  `INSERT INTO public.t (person, actor, note, updated_at) SELECT u.id, a.id, 'note ' || i, '2020-01-01'
   FROM generate_series(1, ${n}) i JOIN (SELECT id, row_number() OVER (ORDER BY id) n FROM auth.users) u ON u.n = 1 + i % 100
   JOIN (SELECT id, row_number() OVER (ORDER BY id) n FROM auth.users) a ON a.n = 101 + i % 100`;

describe("bringing rows back", function () {
  this.timeout(60_000);

  for (const major of majors) {
    describe(`on PostgreSQL ${major}`, () => {
      it("every row is as it was, the archived table is gone, and what was made has new numbers", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          const before = await archived(engine, client, `${some(5000)}; DELETE FROM public.t WHERE id > 4990`);
          const { restored } = await engine.apply(await moduleOf("900_t", files));
          expect(restored).to.equal(4990n);
          expect(await column(client, content)).to.deep.equal(before);
          expect(await column(client, counts)).to.deep.equal(["public.t 4990 4990 0 0 t"]);
          expect(
            await column(client, "SELECT relname FROM pg_class WHERE relnamespace = 'guardian_archive'::regnamespace"),
          ).to.deep.equal([]);
          expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "done" });
          // Past the largest, and past what was handed out and deleted: no number ever means two rows.
          expect(await column(client, "INSERT INTO public.t (note) VALUES ('new') RETURNING id")).to.deep.equal([5001]);
        }));

      it("from the first moment on a new row takes no number that waits in the archive", () =>
        withEngine(major, async (engine, db) => {
          const [client, holder] = [await db.connect(), await db.connect()];
          await archived(engine, client, some(50));
          await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
          await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
          expect(await column(client, "INSERT INTO public.t (note) VALUES ('live') RETURNING id")).to.deep.equal([51]);
          await holder.query("COMMIT");
          await engine.apply(await moduleOf("900_t", files));
          expect(await column(client, counts)).to.deep.equal(["public.t 50 50 0 0 t"]);
        }));

      it("a killed run goes on where it stopped, and no row is there twice", () =>
        withEngine(major, async (engine, db) => {
          const [client, admin] = [await db.connect(), await db.connect("admin")];
          const before = await archived(engine, client, some(5000));
          let ended: Promise<number> | undefined;
          engine.onStatus = (line) => {
            if (line.startsWith("public.t: 2000 of 5000")) ended = endWriters(admin);
          };
          const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
          expect(said.what).to.match(/^the connection to the database was lost/);
          expect(await ended).to.equal(1);
          expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "running" });
          const moved = await column(
            client,
            "SELECT (SELECT count(*) FROM public.t) + (SELECT count(*) FROM guardian_archive.t__1)",
          );
          expect(moved).to.deep.equal(["5000"]);
          expect(Number((await column(client, "SELECT count(*) FROM guardian_archive.t__1"))[0])).to.be.above(0);
          engine.onStatus = () => undefined;
          await engine.apply(await moduleOf("900_t", files));
          expect(await column(client, content)).to.deep.equal(before);
          expect(await column(client, counts)).to.deep.equal(["public.t 5000 5000 0 0 t"]);
          expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "done" });
        }));

      it("a timeout says so, and the next run goes on", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          const before = await archived(engine, client, some(10));
          const holder = await db.connect();
          await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
          const said = await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
          expect(said.where).to.match(/^rows of public\.t in guardian_archive\.t__1/);
          expect(said.sqlstate).to.equal("55P03");
          expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "planned" });
          await holder.query("COMMIT");
          await engine.apply(await moduleOf("900_t", files));
          expect(await column(client, content)).to.deep.equal(before);
        }));

      it("a live row wins, by any of its unique keys, and the archived one is counted", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          await archived(engine, client, some(10));
          const live = "INSERT INTO public.t (id, note) OVERRIDING SYSTEM VALUE VALUES (3, 'live'), (99, 'note 7');\n";
          await engine.apply(await moduleOf("900_t", { ...files, up: files.up.replace(keys, live + keys) }));
          expect(await column(client, counts)).to.deep.equal(["public.t 10 8 2 0 t"]);
          expect(await column(client, "SELECT note FROM public.t WHERE id IN (3, 7, 99)")).to.have.members([
            "live",
            "note 7",
          ]);
        }));

      it("of two archives of one table both come back; where they say different things the later one wins", () =>
        withEngine(major, async (engine, db) => {
          const [client, holder] = [await db.connect(), await db.connect()];
          await archived(engine, client, "INSERT INTO public.t (note) VALUES ('first'), ('both, early')");
          await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
          await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
          await holder.query("COMMIT");
          await client.query(
            "INSERT INTO public.t (id, note) OVERRIDING SYSTEM VALUE VALUES (2, 'both, late'), (7, 'second')",
          );
          await engine.undo("900_t");
          expect(await column(client, "SELECT archived_as FROM guardian_migration.archived ORDER BY 1")).to.deep.equal([
            "guardian_archive.t__1",
            "guardian_archive.t__2",
          ]);
          const { restored } = await engine.apply(await moduleOf("900_t", files));
          expect(restored).to.equal(3n);
          expect(await column(client, "SELECT note FROM public.t ORDER BY id")).to.deep.equal([
            "first",
            "both, late",
            "second",
          ]);
          expect(await column(client, counts)).to.deep.equal(["public.t 2 1 1 0 t", "public.t 2 2 0 0 t"]);
        }));

      it("rows of a person who was deleted since stay away, an actor who was is forgotten", () =>
        withEngine(major, async (engine, db) => {
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
        withEngine(major, async (engine, db) => {
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
          withEngine(major, async (engine, db) => {
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
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
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
            "ALTER TABLE public.t DISABLE TRIGGER ALL; INSERT INTO public.t (note) VALUES ('said')".replace(
              "ALL",
              "USER",
            ),
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

      it("a column that is new gets its default, one that is gone is left, one of another type is read as that", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
          await archived(engine, client, "INSERT INTO public.t VALUES (1, 'old', '42')", {
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
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          const yaml = files.yaml!.replace("locks: [auth.users]\n", "").replace("person", "none");
          const up = (type: string): string => `CREATE TABLE public.t (id int PRIMARY KEY, note ${type})`;
          await archived(engine, client, "INSERT INTO public.t VALUES (1, 'longer')", { yaml, up: up("text") });
          expect(
            (await refusalOf(engine.apply(await moduleOf("900_t", { yaml, up: up("varchar(3)") })))).sqlstate,
          ).to.equal("22001");
          await engine.undo("900_t");
          await engine.apply(await moduleOf("900_t", { yaml, up: up("varchar(9)") }));
          expect(await column(client, "SELECT note FROM public.t")).to.deep.equal(["longer"]);
        }));

      it("somebody writes into the table meanwhile: nobody waits for long, and it comes through", () =>
        withEngine(major, async (engine, db) => {
          const [client, writer] = [await db.connect(), await db.connect()];
          await archived(engine, client, some(3000));
          const table = { ...files, up: `${files.up}\n` };
          let writing: Promise<unknown> | undefined;
          engine.onStatus = (line) => {
            // After the first batch: a writer who takes his time. The next batch must not queue behind him.
            writing ??= line.startsWith("public.t: 2000 of 3000")
              ? writer
                  .query("BEGIN; INSERT INTO public.t (note) VALUES ('mine'); SELECT pg_sleep(0.5)")
                  .then(() => client.query("SELECT count(*) FROM public.t"))
                  .then(() => writer.query("COMMIT"))
              : undefined;
          };
          await engine.apply(await moduleOf("900_t", table));
          await writing;
          expect(await column(client, "SELECT count(*) FROM public.t")).to.deep.equal(["3001"]);
        }));

      it("an account is deleted in the same moment: its row stays away, and nothing fails", () =>
        withEngine(major, async (engine, db) => {
          const [client, holder] = [await db.connect(), await db.connect()];
          const [admin, watcher] = [await db.connect("admin"), await db.connect("admin")];
          const waits = `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%SqlModule%'
            AND datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1)`;
          await archived(engine, client, some(50));
          const [person] = await column<string>(client, "SELECT person FROM guardian_archive.t__1 WHERE id = 10");
          await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
          const done = engine.apply(await moduleOf("900_t", files));
          await until(watcher, waits, ["%guardian_archive%"]);
          // Without the archive's key, or this would wait for the archive as well: the account goes after the look at it.
          await admin.query("BEGIN; SET LOCAL session_replication_role = replica");
          await admin.query("DELETE FROM auth.users WHERE id = $1", [person]);
          await holder.query("COMMIT");
          await until(watcher, waits, ["WITH m AS%"]);
          await admin.query("COMMIT");
          await done;
          expect(await column(client, "SELECT count(*) FROM public.t WHERE person = $1", [person])).to.deep.equal([
            "0",
          ]);
          expect(await column(client, counts)).to.deep.equal(["public.t 50 49 0 1 t"]);
        }));

      it("the archived table goes only when v6 can be locked for a moment; logins do not queue behind it", () =>
        withEngine(
          major,
          async (engine, db) => {
            const [client, holder] = [await db.connect(), await db.connect()];
            await archived(engine, client, some(10));
            await holder.query("BEGIN; SELECT count(*) FROM auth.users");
            const said = await refusalOf(engine.apply(await moduleOf("900_t", files), 2));
            expect(said.what).to.match(/^tables could not be locked \(ACCESS EXCLUSIVE/);
            expect(await column(client, "SELECT count(*) FROM public.t")).to.deep.equal(["10"]);
            expect(await engine.states("SqlModule", "900_t")).to.deep.equal({
              "": "done",
              "rows public.t 1": "planned",
            });
            await holder.query("COMMIT");
            await engine.apply(await moduleOf("900_t", files));
            expect(await column(client, counts)).to.deep.equal(["public.t 10 10 0 0 t"]);
          },
          { parameters: { lockTimeout: 5 } },
        ));

      it("a view that somebody made over the archive is named; the rows are back all the same", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          await archived(engine, client, some(10));
          await client.query("CREATE VIEW public.curious AS SELECT * FROM guardian_archive.t__1");
          const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
          expect(said.message).to.match(
            /^others made objects that depend on an archived table\n {2}where: view public\.curious\n/,
          );
          await client.query("DROP VIEW public.curious");
          await engine.apply(await moduleOf("900_t", files));
          expect(await column(client, counts)).to.deep.equal(["public.t 10 10 0 0 t"]);
          expect((await catalogue(client)).filter((line) => /curious|t__1/.test(line))).to.deep.equal([]);
        }));
    });
  }
});
