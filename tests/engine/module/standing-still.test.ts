import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import type { FencedWriter } from "../../../engine/database";
import { withV6Locks, type LockedWork } from "../../../engine/module/v6-locks";
import { column, refusalOf, until, withAdmin } from "./harness";

const parameters = { lockTimeout: 1000, lockHold: 500, lease: 60_000 };

/** Logs in once it is told to, and says so by a number that other threads see. */
const login = `const { parentPort, workerData } = require("node:worker_threads");
  const client = new (require("pg").Client)(workerData.login);
  parentPort.once("message", async () => {
    await client.query("SELECT 1 FROM auth.users LIMIT 1");
    Atomics.store(workerData.served, 0, 1);
    Atomics.notify(workerData.served, 0);
    await client.end();
  });
  client.connect().then(() => parentPort.postMessage("connected"));`;

/** As SIGSTOP does, or a machine that sleeps: not even a timer of this process runs until the number is another. */
async function stopFor(ms: number, number = new Int32Array(new SharedArrayBuffer(4))): Promise<string> {
  await sleep(20);
  return Atomics.wait(number, 0, 0, ms);
}

/** Makes the session stand still before its COMMIT, after everything under the locks is done and checked. */
function beforeCommit(fenced: FencedWriter, stop: () => Promise<void>): void {
  const { writer } = fenced;
  const usual = writer.query.bind(writer);
  writer.query = async (text, values) => {
    if (text.includes("xact_id_if_assigned")) await stop();
    return usual(text, values);
  };
}

/** Drops what it may drop under ACCESS EXCLUSIVE, and stands still. */
function dropping(stop: () => Promise<unknown>): LockedWork {
  return {
    ...{ relations: ["auth.users"], mode: "ACCESS EXCLUSIVE", own: ["table public.t"] },
    before: () => Promise.resolve(),
    locked: async (db) => {
      await db.script("DROP TABLE public.t");
      await stop();
    },
  };
}

describe("an operator that stands still with v6 locked", function () {
  this.timeout(120_000);

  for (const [what, stops, where] of [
    ["waits for something else", false, "locked"],
    ["is stopped", true, "locked"],
    ["is stopped before COMMIT", true, "commit"],
  ] as const) {
    it(`and ${what}: the server lets go for it, and nothing is done,`, () =>
      withAdmin(
        async (engine, admin, db) => {
          await admin.query("CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO guardian_migrator");
          const served = new Int32Array(new SharedArrayBuffer(4));
          const workerData = { login: db.admin, served };
          // In a thread of its own, which goes on while this one stands still.
          const thread = new Worker(login, { eval: true, execArgv: [], workerData });
          await once(thread, "message");
          const through = once(thread, "exit");
          const stand = async (): Promise<void> => {
            thread.postMessage("log in");
            await until(
              admin,
              "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'auth.users'::regclass AND NOT granted)",
            );
            if (stops) expect(await stopFor(60_000, served), "the server lets go").not.to.equal("timed-out");
            else await through;
          };
          const done = engine.write("SqlModule", "900_t", (fenced) => {
            if (where === "commit") beforeCommit(fenced, stand);
            const work = dropping(where === "commit" ? () => Promise.resolve() : stand);
            return withV6Locks(fenced, Date.now() + 1000, work);
          });
          expect((await refusalOf(done)).what).to.match(
            /^the work under the locks on v6 tables took longer than the 500 ms for which they may be held; it was rolled back/,
          );
          await through;
          expect(await column(admin, "SELECT to_regclass('public.t') IS NOT NULL")).to.deep.equal([true]);
        },
        { parameters },
      ));
  }

  it("goes on with a new session after the pause", () =>
    withAdmin(
      async (engine, admin) => {
        await admin.query("CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO guardian_migrator");
        const pids = new Set<number>();
        const write = (): Promise<unknown> =>
          engine.write("SqlModule", "900_t", (fenced) => {
            pids.add(fenced.writer.pid);
            const stop = pids.size === 1 ? () => stopFor(2500) : () => Promise.resolve();
            return withV6Locks(fenced, Date.now() + 90_000, dropping(stop));
          });
        await write();
        expect(pids.size).to.equal(2);
        expect(engine.told[0]).to.include({ tries: 1, reason: "auth.users: longer than 1000 ms under the locks" });
        expect(engine.told).to.deep.include({ phase: "new session" });
        expect(await column(admin, "SELECT to_regclass('public.t')")).to.deep.equal([null]);
      },
      { parameters: { ...parameters, lockHold: 1000, pauseTimes: 0 } },
    ));
});
