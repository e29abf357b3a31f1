import { expect } from "chai";
import { ConnectionLostError } from "../../../engine/connect";
import { column, endWriters, Engine, moduleOf, refusalOf, until, withEngine, withAdmin, withMigrator } from "./harness";
import { Wire } from "./wire";

const indexed = {
  yaml: "objects:\n  table: [public.t]\n  index: [public.t_a_idx, public.t_b_idx]\n",
  up: "CREATE TABLE public.t (id int PRIMARY KEY, a int, b int);\nINSERT INTO public.t SELECT i, i, i FROM generate_series(1, 5000) i;",
  down: "DROP TABLE public.t;",
  indexes: "CREATE INDEX CONCURRENTLY t_a_idx ON public.t (a);\nCREATE INDEX CONCURRENTLY t_b_idx ON public.t (b);\n",
};
const indexes = `SELECT c.relname || ' ' || i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE indrelid = 'public.t'::regclass ORDER BY 1`;
const parts = { "": "done", "index public.t_a_idx": "done", "index public.t_b_idx": "done" };

describe("a module whose application is cut off", function () {
  this.timeout(60_000);

  it("builds its concurrent indexes, each a step of its own, and records them", () =>
    withEngine(async (engine, db) => {
      await engine.apply(await moduleOf("900_t", indexed));
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal(parts);
      const client = await db.connect();
      expect(await column(client, indexes)).to.deep.equal(["t_a_idx true", "t_b_idx true", "t_pkey true"]);
      expect(await column(client, "SELECT object FROM guardian_migration.object ORDER BY 1")).to.deep.equal([
        "index public.t_a_idx",
        "index public.t_b_idx",
        "table public.t",
      ]);
      await engine.undo("900_t");
      expect(await column(client, "SELECT to_regclass('public.t')::text")).to.deep.equal([null]);
    }));

  it("in the middle of an index: the invalid one is found, dropped and built anew", () =>
    withEngine(async (engine, db) => {
      const [admin, other] = [await db.connect("admin"), await db.connect()];
      // A transaction that holds a snapshot keeps a concurrent build waiting for its end.
      await other.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
      await other.query("SELECT count(*) FROM auth.users");
      const failed = refusalOf(engine.apply(await moduleOf("900_t", indexed)));
      await until(
        admin,
        `SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('public.t_a_idx') AND NOT indisvalid)`,
      );
      expect(await endWriters(admin)).to.equal(1);
      expect(await failed).to.be.instanceOf(ConnectionLostError);
      await other.query("ROLLBACK");
      expect(await column(admin, indexes)).to.deep.equal(["t_a_idx false", "t_pkey true"]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({
        ...parts,
        "index public.t_a_idx": "running",
        "index public.t_b_idx": "planned",
      });
      await engine.apply(await moduleOf("900_t", indexed));
      expect(engine.told).to.deep.include({
        phase: "index",
        subject: "public.t_a_idx",
        reason: "anew: an earlier build was cut off",
      });
      expect(await column(admin, indexes)).to.deep.equal(["t_a_idx true", "t_b_idx true", "t_pkey true"]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal(parts);
    }));

  it("an index that cannot be built is named by file and line, and stays to be done", () =>
    withEngine(async (engine) => {
      const broken = {
        ...indexed,
        indexes: "-- unique\n\nCREATE UNIQUE INDEX CONCURRENTLY t_a_idx ON public.t ((a % 2));\n",
      };
      const module = await moduleOf("900_t", { ...broken, yaml: "objects:\n  table: [public.t]\n" });
      const said = await refusalOf(engine.apply(module));
      expect(said.message).to.match(
        /^PostgreSQL refused: could not create unique index "t_a_idx" \(SQLSTATE 23505\) \[postgres-refused\]\n {2}where: sql\/900_t\/indexes\.sql:3/,
      );
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({
        "": "done",
        "index public.t_a_idx": "planned",
      });
      const step = (await engine.steps()).find((found) => found.part !== "");
      expect(step?.detail["error"]).to.have.property("sqlstate", "23505");
      // A module that is half there can be rolled back.
      await engine.undo("900_t");
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({
        "": "undone",
        "index public.t_a_idx": "undone",
      });
    }));

  it("indexes.sql with anything else in it is refused before anything is done", () =>
    withEngine(async (engine) => {
      for (const wrong of ["CREATE INDEX t_a_idx ON public.t (a);", "\nSELECT 1;"]) {
        const said = await refusalOf(engine.apply(await moduleOf("900_t", { ...indexed, indexes: wrong })));
        expect(said.what).to.equal("indexes.sql may hold only CREATE INDEX CONCURRENTLY with a name");
        expect(await engine.states("SqlModule", "900_t")).to.deep.equal({});
      }
    }));

  it("at its deferred triggers, the last before COMMIT, by the end of its session: nothing is there, and the next one does it", () =>
    withAdmin(async (engine, admin) => {
      // A deferred trigger runs at the end: there it waits to be killed.
      await admin.query(`CREATE TABLE public.gate (open boolean);
            CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF NOT EXISTS (SELECT FROM public.gate) THEN PERFORM pg_sleep(30); END IF; RETURN NULL; END $$;
            GRANT ALL ON public.gate TO guardian_migrator`);
      const files = {
        yaml: "objects:\n  table: [public.t]\n  trigger: [late on public.t]\n",
        up: `CREATE TABLE public.t (id int PRIMARY KEY);
              CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.wait();
              INSERT INTO public.t VALUES (1);`,
      };
      const failed = refusalOf(engine.apply(await moduleOf("900_t", files)));
      await until(
        admin,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'SET CONSTRAINTS ALL IMMEDIATE' AND wait_event = 'PgSleep')",
      );
      expect(await endWriters(admin)).to.equal(1);
      expect((await failed).what).to.match(/^the connection to the database was lost/);
      expect(await column(admin, "SELECT to_regclass('public.t')::text")).to.deep.equal([null]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "running" });
      await admin.query("INSERT INTO public.gate VALUES (true)");
      await engine.apply(await moduleOf("900_t", files));
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
    }));

  it("with the answer to any of its COMMITs lost: the ledger says what is there, and the next one ends as usual", () =>
    withMigrator(async (engine, client, db) => {
      const wire = new Wire(db.migrator.host, db.migrator.port);
      const far = new Engine(db.migrator, {}, await wire.listen());
      try {
        await far.identity();
        for (let commit = 0; commit < 6; commit++) {
          wire.letThrough = commit;
          await far.apply(await moduleOf("900_t", indexed)).catch((err: unknown) => {
            expect(err, `commit ${commit}`).to.be.instanceOf(ConnectionLostError);
          });
          expect(wire.letThrough, `commit ${commit} was cut`).to.equal(Infinity);
          await engine.apply(await moduleOf("900_t", indexed));
          expect(await engine.states("SqlModule", "900_t")).to.deep.equal(parts);
          expect(await column(client, indexes)).to.deep.equal(["t_a_idx true", "t_b_idx true", "t_pkey true"]);
          expect(
            await column(client, "SELECT count(*) FROM guardian_migration.module WHERE undone_at IS NULL"),
          ).to.deep.equal(["1"]);
          await engine.undo("900_t");
        }
      } finally {
        await far.close();
        wire.stop();
      }
    }));
});
