import { expect } from "chai";
import { catalogue } from "../../support/modules";
import {
  column,
  endWriters,
  moduleOf,
  refusalOf,
  until,
  withEngine,
  withMigrator,
  type Engine,
  type Files,
} from "./harness";
import { archived, content, counts, files, meanwhile, some } from "./restored";

describe("bringing rows back", function () {
  this.timeout(60_000);

  it("every row is as it was, the archived table is gone, and what was made has new numbers", () =>
    withMigrator(async (engine, client) => {
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
    withEngine(async (engine, db) => {
      const [client, holder] = [await db.connect(), await db.connect()];
      await archived(engine, client, some(50));
      await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
      await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
      expect(await column(client, "INSERT INTO public.t (note) VALUES ('live') RETURNING id")).to.deep.equal([51]);
      await holder.query("COMMIT");
      await engine.apply(await moduleOf("900_t", files));
      expect(await column(client, counts)).to.deep.equal(["public.t 50 50 0 0 t"]);
    }));

  it("16-16 nor one of a sequence that it does not own, though another table takes numbers of it too", () =>
    withMigrator(async (engine, client, db) => {
      const of = (name: string): string =>
        `CREATE TABLE public.${name} (id bigint DEFAULT nextval('public.s') PRIMARY KEY, note text);`;
      const module = {
        yaml: "objects:\n  table: [public.t, public.u]\n  sequence: [public.s]\narchive:\n  - { table: public.t, subject: none }\n  - { table: public.u, subject: none }\n",
        up: `CREATE SEQUENCE public.s; ${of("t")} ${of("u")}`,
        down: "DROP SEQUENCE public.s;",
      };
      const fill = "INSERT INTO public.t (note) VALUES ('a'), ('b'); INSERT INTO public.u (note) VALUES ('c')";
      const before = await archived(engine, client, fill, module);
      const done = await meanwhile(engine, db, await moduleOf("900_t", module), async () => {
        const text = "INSERT INTO public.t (note) VALUES ('live') RETURNING id";
        expect(await column(client, text)).to.deep.equal(["4"]);
      });
      expect(done.restored).to.equal(3n);
      await client.query("DELETE FROM public.t WHERE note = 'live'");
      expect(await column(client, content)).to.deep.equal(before);
    }));

  it("16-16 so does a table that is made while v6 is locked: its key to v6 stands in CREATE TABLE", () =>
    withEngine(async (engine, db) => {
      const [client, holder] = [await db.connect(), await db.connect()];
      const inline = {
        yaml: files.yaml!,
        up: `CREATE TABLE public.t (
          id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person uuid REFERENCES auth.users ON DELETE CASCADE, actor uuid,
          note text UNIQUE, shelf int, updated_at timestamptz)`,
      };
      const before = await archived(engine, client, `${some(50)}; DELETE FROM public.t WHERE id > 48`, inline);
      await holder.query("BEGIN; LOCK TABLE guardian_archive.t__1 IN EXCLUSIVE MODE");
      await refusalOf(engine.apply(await moduleOf("900_t", inline), 1));
      expect(await column(client, "INSERT INTO public.t (note) VALUES ('live') RETURNING id")).to.deep.equal([51]);
      await holder.query("COMMIT");
      expect((await engine.apply(await moduleOf("900_t", inline))).restored).to.equal(48n);
      await client.query("DELETE FROM public.t WHERE note = 'live'");
      expect(await column(client, content)).to.deep.equal(before);
    }));

  it("16-14 so do rows from before a column with a key, which they have not: also one that is generated", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client, some(50));
      const later = {
        ...files,
        up: files.up.replace(
          "note text",
          "known boolean NOT NULL DEFAULT true, account uuid GENERATED ALWAYS AS (CASE WHEN known THEN person END) STORED, other uuid, note text",
        ).concat(`ALTER TABLE public.t ADD FOREIGN KEY (account) REFERENCES auth.users ON DELETE CASCADE,
          ADD FOREIGN KEY (other) REFERENCES auth.users ON DELETE SET NULL`),
      };
      expect((await engine.apply(await moduleOf("900_t", later))).restored).to.equal(50n);
      expect(await column(client, "SELECT count(*) FROM public.t WHERE account = person")).to.deep.equal(["50"]);
      // And back once more: now the archive has the column.
      await client.query("UPDATE public.t SET known = false WHERE id <= 3");
      await engine.undo("900_t");
      expect((await engine.apply(await moduleOf("900_t", later))).restored).to.equal(50n);
      expect(await column(client, "SELECT id FROM public.t WHERE account IS NULL")).to.deep.equal([1, 2, 3]);
    }));

  it("16-15 a later version without a column takes no value away: its rows wait until somebody says what becomes of it", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client, some(10));
      const later = {
        ...files,
        up: files.up.replace("note text UNIQUE,\n  length int GENERATED ALWAYS AS (length(note)) STORED", "words text"),
      };
      const said = await refusalOf(engine.apply(await moduleOf("900_t", later)));
      expect(said.code).to.equal("module-changed");
      expect(said.where).to.equal("note of guardian_archive.t__1, rows of public.t");
      expect(await column(client, counts)).to.deep.equal(["public.t 10 0 0 0 f"]);
      await client.query("ALTER TABLE guardian_archive.t__1 RENAME note TO words");
      await engine.apply(await moduleOf("900_t", later));
      expect(await column(client, counts)).to.deep.equal(["public.t 10 10 0 0 t"]);
      expect(await column(client, "SELECT count(*)::int FROM public.t WHERE words LIKE 'note %'")).to.deep.equal([10]);
    }));

  it("a killed run goes on where it stopped, and no row is there twice", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const before = await archived(engine, client, some(5000));
      let ended: Promise<number> | undefined;
      engine.onProgress = ({ phase, done }) => {
        if (phase === "restore" && done === 2000) ended = endWriters(admin);
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
      engine.onProgress = () => undefined;
      await engine.apply(await moduleOf("900_t", files));
      expect(await column(client, content)).to.deep.equal(before);
      expect(await column(client, counts)).to.deep.equal(["public.t 5000 5000 0 0 t"]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "done" });
    }));

  it("a timeout says so, and the next run goes on", () =>
    withMigrator(async (engine, client, db) => {
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

  it("somebody writes into the table meanwhile: nobody waits for long, and it comes through", () =>
    withEngine(async (engine, db) => {
      const [client, writer] = [await db.connect(), await db.connect()];
      await archived(engine, client, some(3000));
      const table = { ...files, up: `${files.up}\n` };
      let writing: Promise<unknown> | undefined;
      engine.onProgress = ({ phase, done }) => {
        // After the first batch: a writer who takes his time. The next batch must not queue behind him.
        writing ??=
          phase === "restore" && done === 2000
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
    withEngine(async (engine, db) => {
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
      expect(await column(client, "SELECT count(*) FROM public.t WHERE person = $1", [person])).to.deep.equal(["0"]);
      expect(await column(client, counts)).to.deep.equal(["public.t 50 49 0 1 t"]);
    }));

  it("the archived table goes only when v6 can be locked for a moment; logins do not queue behind it", () =>
    withEngine(
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
    withMigrator(async (engine, client) => {
      await archived(engine, client, some(10));
      await client.query("CREATE VIEW public.curious AS SELECT * FROM guardian_archive.t__1");
      const said = await refusalOf(engine.apply(await moduleOf("900_t", files)));
      expect(said.message).to.match(
        /^others made objects that depend on an archived table \[dependent-objects\]\n {2}where: view public\.curious\n/,
      );
      await client.query("DROP VIEW public.curious");
      await engine.apply(await moduleOf("900_t", files));
      expect(await column(client, counts)).to.deep.equal(["public.t 10 10 0 0 t"]);
      expect((await catalogue(client)).filter((line) => /curious|t__1/.test(line))).to.deep.equal([]);
    }));

  /** How many rows each slice brought. */
  const slices = (engine: Engine): number[] => {
    const done = engine.told.flatMap((it) => (it.phase === "restore" && it.done !== undefined ? [it.done] : []));
    return done.map((n, i) => n - (done[i - 1] ?? 0));
  };
  const noted = (): Files => ({
    yaml: "objects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: none }\n",
    up: "CREATE TABLE public.t (id int PRIMARY KEY, note text)",
  });

  it("by few at a time where values are large, however many small ones came in the time of a slice", () =>
    withMigrator(async (engine, client) => {
      const large = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 98304) n)";
      await archived(
        engine,
        client,
        `ALTER TABLE public.t ALTER note SET STORAGE EXTERNAL; INSERT INTO public.t SELECT i, '' FROM generate_series(1, 3000) i;
         INSERT INTO public.t SELECT i, v FROM generate_series(3001, 3012) i, ${large} l(v)`,
        noted(),
      );
      expect((await engine.apply(await moduleOf("900_t", noted()))).restored).to.equal(3012n);
      const each = slices(engine);
      expect(each[0]).to.equal(2000);
      // Of 3 MB each; the first of them may come with small ones.
      expect(Math.max(...each.slice(-5))).to.be.at.most(2);
    }));

  it("by few at a time where values are compressed, of which it is not told how long they are", () =>
    withMigrator(async (engine, client) => {
      const value = "(SELECT repeat('x', 10000000))";
      await archived(
        engine,
        client,
        `INSERT INTO public.t SELECT i, v FROM generate_series(1, 30) i, ${value} l(v)`,
        noted(),
      );
      expect((await engine.apply(await moduleOf("900_t", noted()))).restored).to.equal(30n);
      expect(Math.max(...slices(engine))).to.be.at.most(10);
    }));
});
