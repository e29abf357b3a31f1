import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { GuardianError } from "../../../engine/base/errors";
import { Throttle } from "../../../engine/migrate/workers/throttle";
import { withEmpty, withV6, type V6 } from "../../support/postgres";
import { refusalOf } from "../module/harness";
import { connections, until, withThrottle } from "./throttle-harness";

const table = "CREATE TABLE public.t (id int PRIMARY KEY) WITH (autovacuum_enabled = false)";
/** How long the application has to wait is what public.load says. */
const loaded = { text: "SELECT pg_catalog.pg_sleep(delay) FROM public.load WHERE delay < $1", values: () => [9] };

/** VACUUM public.t, so slowly that it goes on until its session is ended; resolves when it is under way. */
async function vacuumSlowly(db: V6): Promise<{ end: () => Promise<void> }> {
  const [client, admin] = [await db.connect("admin"), await db.connect("admin")];
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  await client.query("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1");
  const ended = client.query("VACUUM public.t").catch(() => undefined);
  while ((await admin.query("SELECT FROM pg_stat_progress_vacuum")).rowCount === 0) await sleep(10);
  const end = async () => {
    await admin.query("SELECT pg_cancel_backend($1)", [rows[0]?.pid]);
    await ended;
  };
  return { end };
}

describe("throttle", function () {
  this.timeout(180_000);
  // What else runs on the machine is felt as well: that is what it is made for.
  this.retries(2);

  // They do nothing but wait, each on a database of its own: all begin at once. One that is tried again begins anew.
  const tests = new Map<string, () => Promise<void>>();
  const begun = new Map<string, Promise<void>>();
  before(() => {
    for (const [title, test] of tests) begun.set(title, test());
    for (const run of begun.values()) run.catch(() => undefined);
  });
  const together = (title: string, test: () => Promise<void>): void => {
    tests.set(title, test);
    it(title, () => {
      const first = begun.get(title);
      begun.delete(title);
      return first ?? test();
    });
  };

  together("is slower after a load step, and faster again afterwards", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`${table}; CREATE TABLE public.load (delay float8); INSERT INTO public.load VALUES (0)`);
      await withThrottle(db.admin, { probe: loaded, maxWorkers: 2 }, async (throttle) => {
        await until(throttle, () => throttle.speed === 2 && throttle.reason === undefined);
        await Promise.all([throttle.rest(0, 60_000), throttle.rest(1, 60_000)]);
        await admin.query("UPDATE public.load SET delay = 0.6");
        await until(throttle, () => throttle.speed < 2);
        expect(throttle.reason).to.match(/^p95 of probes \d+ ms, \+\d+ % \(budget \+10 %\)$/);
        await until(throttle, () => throttle.speed === 0.02);
        const from = Date.now();
        await throttle.rest(0, 20);
        expect(Date.now() - from, "49 times the batch").to.be.at.least(960);
        let room = false;
        const second = throttle.rest(1, 0).then(() => (room = true));
        await sleep(300);
        expect(room, "the second worker waits").to.equal(false);
        await admin.query("UPDATE public.load SET delay = 0");
        await second;
        expect(throttle.speed).to.be.above(1);
        await until(throttle, () => throttle.reason === undefined);
        expect(throttle.speed).to.equal(2);
      });
    }),
  );

  together("sees a probe that hangs before it comes back", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(table);
      const probe = { text: "SELECT id FROM public.t WHERE id = $1", values: () => [1] };
      await withThrottle(db.admin, { probe }, async (throttle) => {
        await admin.query("BEGIN; LOCK TABLE public.t");
        await until(throttle, () => throttle.speed < 1);
        await admin.query("ROLLBACK");
        await until(throttle, () => throttle.speed === 1);
        await admin.query("BEGIN; LOCK TABLE public.t");
        await until(throttle, () => throttle.speed < 1);
        await throttle.close(); // which does not wait for it: the table is still locked
        await admin.query("ROLLBACK");
      });
    }),
  );

  together("stands still while somebody waits behind a worker, and only then", () =>
    withV6(async (db) => {
      const [worker, other, app] = [await db.connect(), await db.connect(), await db.connect()];
      const admin = await db.connect("admin");
      await admin.query(`${table}; GRANT ALL ON public.t TO PUBLIC`);
      const pid = async (client: typeof app) =>
        (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]!.pid;
      const workers = [await pid(worker), await pid(other)];
      await withThrottle(db.migrator, { workers: () => workers, maxWorkers: 2 }, async (throttle) => {
        await worker.query("BEGIN; LOCK TABLE public.t");
        const colleague = other.query("BEGIN; LOCK TABLE public.t");
        await sleep(1200);
        expect(throttle.reason ?? "", "workers that wait for one another").not.to.contain("another session waits");
        await worker.query("ROLLBACK");
        await colleague;
        const blocked = app.query("SELECT FROM public.t");
        await until(throttle, () => throttle.speed === 0);
        expect(throttle.reason).to.match(
          /^another session waits for a lock of the migration for [\d.]+ s \(at most 0\.5 s\)$/,
        );
        let rested = false;
        const rest = throttle.rest(0, 1).then(() => (rested = true));
        await sleep(400);
        expect(rested).to.equal(false);
        await other.query("ROLLBACK");
        await blocked;
        await rest;
        await until(throttle, () => throttle.speed === 2);
        expect(throttle.unavailable()).to.deep.equal([]);
      });
    }),
  );

  together("goes half as fast beside a VACUUM, and stops for one against wraparound", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`${table}; INSERT INTO public.t SELECT generate_series(1, 200000)`);
      await withThrottle(db.migrator, { tables: ["public.documents", "public.t"] }, async (throttle) => {
        const usual = await vacuumSlowly(db);
        await until(throttle, () => throttle.speed === 0.5);
        expect(throttle.reason).to.equal("VACUUM at work on public.t (half speed at most)");
        await usual.end();
        await until(throttle, () => throttle.speed === 1);
        // The table's own limit is the lowest that there is, and its rows get older than that.
        await admin.query("ALTER TABLE public.t SET (autovacuum_freeze_max_age = 100000)");
        await admin.query(`DO $$ BEGIN
            FOR i IN 1..100001 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`);
        const urgent = await vacuumSlowly(db);
        await until(throttle, () => throttle.speed === 0);
        expect(throttle.reason).to.equal("VACUUM against transaction id wraparound at work on public.t");
        await urgent.end();
        await until(throttle, () => throttle.speed === 1);
      });
    }),
  );

  together("creeps while it has lost its eyes, and opens them again", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await withThrottle(db.admin, {}, async (throttle, opened) => {
        for (const { pid } of opened.slice(0, 2)) {
          await admin.query("SELECT pg_terminate_backend($1)", [pid]);
          await until(throttle, () => throttle.speed === 0.02);
          expect(throttle.reason).to.match(/^(the probe fails|the server cannot be watched): the connection to/);
          await until(throttle, () => throttle.speed === 1);
        }
        expect(opened).to.have.length(4);
      });
    }),
  );

  together("an abort ends every rest and closes the connections", () =>
    withEmpty(async (db) => {
      const stop = new AbortController();
      await withThrottle(db.admin, { signal: stop.signal }, async (throttle) => {
        const rest = throttle.rest(1, 0);
        setTimeout(() => stop.abort(), 100);
        await rest;
        await throttle.rest(5, 60_000);
      });
    }),
  );

  together("cannot write, and says at once what is wrong with its probe", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(table);
      const opening = (text: string) =>
        refusalOf(
          Throttle.open({
            ...connections(db.admin),
            tables: ["public.t"],
            probe: { text, values: () => [] },
            workers: () => [],
            budget: 0.1,
            maxWorkers: 1,
            signal: new AbortController().signal,
          }),
        );
      expect(await opening("INSERT INTO public.t VALUES (1)")).to.be.instanceOf(GuardianError);
      expect((await opening("INSERT INTO public.t VALUES (1)")).sqlstate).to.equal("25006");
      expect((await opening("SELECT nothing FROM public.t")).sqlstate).to.equal("42703");
    }),
  );
});
