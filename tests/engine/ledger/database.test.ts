import { expect } from "chai";
import type { Client } from "pg";
import type { Database, FencedWriter } from "../../../engine/database";
import { engineParameters } from "../../../engine/parameters";
import { first, rows, type Queryable } from "../../../engine/base/sql";
import { long } from "../../support/long";
import { withV6, type V6 } from "../../support/postgres";
import { withHost } from "../host";
import { column, refusalOf, until, withEngine } from "../module/harness";

const kill = `SELECT count(pg_terminate_backend(pid, 5000))::int FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'guardian-migration reading'`;

/** A v6 as one process has it, and an administrator's connection to it. */
const onHost = (test: (host: Database, admin: Client, db: V6) => Promise<void>): Promise<void> =>
  withV6((db) => withHost(db.migrator, async (host) => test(host, await db.connect("admin"), db)));

describe("a database as one process has it", function () {
  this.timeout(60_000);

  it("cannot write while it reads", () =>
    onHost(async (host) => {
      for (const sql of ["CREATE TABLE public.x ()", "DELETE FROM public.documents", "SELECT nextval('public.s')"]) {
        const wrote: unknown = await host.read((tx) => tx.query(sql)).catch((err: unknown) => err);
        expect(wrote, sql).to.have.property("code").that.is.oneOf(["25006", "42P01"]);
      }
    }));

  it("goes on after its reading session was ended while it lay idle, and says so where it was in use", () =>
    onHost(async (host, admin) => {
      const one = (): Promise<unknown> => host.read((tx) => first(tx, "SELECT 1 AS one"));
      await one();
      expect(await column(admin, kill)).to.deep.equal([1]);
      expect(await one()).to.deep.equal({ one: 1 });
      let runs = 0;
      const dying = host.read(async (tx) => {
        runs += 1;
        await admin.query(kill);
        return first(tx, "SELECT 1 AS one");
      });
      expect((await refusalOf(dying)).what).to.match(/^the connection to the database was lost/);
      expect(runs, "tried once more, and not for ever").to.equal(2);
      expect(await one()).to.deep.equal({ one: 1 });
    }));

  it("reads at the same time come one after the other; what is cached is asked once, until something is written", () =>
    withEngine(async (engine) => {
      let asked = 0;
      const ask = (): Promise<number> =>
        engine.host.cached("x", async (tx) => {
          await first(tx, "SELECT pg_sleep(0.02)");
          return ++asked;
        });
      expect(await Promise.all([ask(), ask(), ask()])).to.deep.equal([1, 1, 1]);
      await engine.write("Thing", "x", () => Promise.resolve());
      expect(await ask()).to.equal(2);
      const failing = engine.host.cached("y", () => Promise.reject(new Error("no")));
      expect(await failing.catch((err: unknown) => String(err))).to.equal("Error: no");
      expect(await engine.host.cached("y", () => Promise.resolve("now")), "a failure is not remembered").to.equal(
        "now",
      );
    }));

  const sessions = `SELECT application_name::text AS name FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'guardian-migration%' ORDER BY 1`;
  const looking =
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'guardian-migration probe'";
  const names = async (tx: Queryable): Promise<string[]> =>
    (await rows<{ name: string }>(tx, sessions)).map(({ name }) => name);

  it("15-H reads ahead beside other reads, on a session that ends with it; what looked at the server reads from then on", () =>
    onHost(async (host, admin) => {
      await host.server();
      // The other connection that looked at the server waits for who reads ahead.
      const [probe] = await column(admin, `SELECT pid ${looking}`);
      expect(await column(admin, sessions)).to.deep.equal(["guardian-migration probe", "guardian-migration reading"]);
      // Each waits for what only the other does: one after the other they would wait for ever.
      let [began, ended] = [(): void => undefined, (): void => undefined];
      const beside = new Promise<void>((resolve) => (began = resolve));
      const done = new Promise<void>((resolve) => (ended = resolve));
      const ahead = host.ahead("x", async (tx) => {
        expect(await first(tx, "SELECT pg_backend_pid() AS pid")).to.deep.equal({ pid: probe });
        const there = await names(tx);
        began();
        await done;
        return there;
      });
      await host.read(() => beside);
      ended();
      expect(await ahead).to.deep.equal(["guardian-migration reading", "guardian-migration reading ahead"]);
      const cached = await host.cached("x", () => Promise.reject(new Error("asked again")));
      expect(cached).to.equal(await ahead);
      expect(await column(admin, sessions)).to.deep.equal(["guardian-migration reading"]);
    }));

  it("15-H makes another connection where the server has ended the one that was kept", () =>
    onHost(async (host, admin) => {
      await host.server();
      await admin.query(`SELECT pg_terminate_backend(pid, 5000) ${looking}`);
      const two = ["guardian-migration reading", "guardian-migration reading ahead"];
      expect(await host.ahead("x", (tx) => names(tx))).to.deep.equal(two);
    }));

  long("15-H a connection that looked at the server and that nobody wants is ended after 5 s", () =>
    onHost(async (host, admin) => {
      await host.server();
      expect(await column(admin, `SELECT pid ${looking}`)).to.have.length(1);
      await until(admin, `SELECT NOT EXISTS (SELECT ${looking})`);
      expect(await column(admin, sessions)).to.deep.equal(["guardian-migration reading"]);
    }),
  );

  it("15-H reads ahead in turn where there is no second connection", () =>
    onHost(async (host, admin, db) => {
      await host.server();
      await host.ahead("what the probe left", () => Promise.resolve());
      // This one and the reading one.
      await admin.query(`ALTER DATABASE ${db.name} CONNECTION LIMIT 2`);
      expect(await host.ahead("x", (tx) => names(tx))).to.deep.equal(["guardian-migration reading"]);
    }));

  it("a session that fails gives the lock back", () =>
    withEngine(async (engine) => {
      for (let i = 0; i < 3; i++) {
        const failed = engine
          .write("Thing", "x", () => Promise.reject(new Error("no")))
          .catch((err: unknown) => String(err));
        expect(await failed).to.equal("Error: no");
      }
      expect(engine.told).to.deep.equal([]);
    }));

  /** Stands still in a transaction until the server has ended the session. */
  const standStill = (client: Client, fenced: FencedWriter, meanwhile = (): unknown => undefined): Promise<unknown> =>
    fenced.transaction(async (tx) => {
      const { pid } = fenced.writer;
      await tx.query("CREATE TABLE public.never ()");
      await tx.query("SET LOCAL idle_in_transaction_session_timeout = 50");
      await until(client, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", [pid]);
      await meanwhile();
      await tx.query("SELECT 1");
    });
  it("begins a piece of work anew whose session stood still and was ended, with an epoch of its own", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      const epochs: number[] = [];
      await engine.write("Thing", "x", async (fenced) => {
        epochs.push(Number(fenced.epoch));
        if (epochs.length === 1) await standStill(client, fenced);
        await fenced.transaction((tx) => tx.query("CREATE TABLE public.once ()"));
      });
      expect(epochs).to.deep.equal([epochs[0], epochs[0]! + 1]);
      expect(engine.told.filter(({ phase }) => phase === "new session")).to.have.length(1);
      const there = "SELECT to_regclass('public.never') IS NULL AND to_regclass('public.once') IS NOT NULL";
      expect(await column(client, there)).to.deep.equal([true]);
    }));

  it("does not, if another operator took over meanwhile", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      let runs = 0;
      const slept = engine.write("Thing", "x", async (fenced) => {
        runs += 1;
        await standStill(client, fenced, () => client.query("UPDATE guardian_migration.ledger SET epoch = epoch + 1"));
      });
      const said = await refusalOf(slept);
      expect(said.what).to.equal("another operator has taken over; this one commits nothing more");
      expect(runs).to.equal(1);
    }));

  it("does not for ever: whoever stands still a third time is told", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      let runs = 0;
      const slept = engine.write("Thing", "x", async (fenced) => {
        runs += 1;
        await standStill(client, fenced);
      });
      const said = await refusalOf(slept);
      expect(said.message).to.match(/idle_in_transaction_session_timeout ended it[^]*to do: run again/);
      expect(runs).to.equal(3);
    }));

  it("its parameters can be lowered by variables, and nothing else", () => {
    const usual = {
      lockTimeout: 50,
      lockHold: 200,
      pauseFloor: 5000,
      pauseTimes: 99,
      patience: 60_000,
      lease: 15_000,
      rangeKeys: 1000,
      queryTurns: 20,
    };
    expect(engineParameters({})).to.deep.equal(usual);
    const chosen = engineParameters({ GUARDIAN_LOCK_PAUSE_MS: "1" }, { timeout: 60, pause: 7000 });
    expect(chosen, "16-5").to.deep.equal({ ...usual, lockTimeout: 60, pauseFloor: 7000 });
    expect(
      engineParameters({
        GUARDIAN_LOCK_HOLD_MS: "300",
        GUARDIAN_PATIENCE_MS: "x",
        GUARDIAN_LOCK_PAUSE_MS: "-1",
        GUARDIAN_LOCK_TIMEOUT_MS: "",
      }),
    ).to.deep.equal({
      ...usual,
      lockHold: 300,
    });
    expect(engineParameters({ GUARDIAN_RANGE_KEYS: "0.5" })).to.deep.equal({ ...usual, rangeKeys: 1 });
  });
});
