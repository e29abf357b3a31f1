import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { FencedWriter } from "../../../engine/database";
import { withV6Locks, type LockedWork } from "../../../engine/module/v6-locks";
import { column, refusalOf, until, withEngine } from "./harness";
import { byASlowClock } from "./watched";

/** How long the operator stands still; far longer than a busy machine makes anyone wait. */
const still = 6000;
const parameters = {
  lockTimeout: 1000,
  lockHold: 200,
  pauseFloor: 20,
  patience: 300,
  lease: 60_000,
  rangeKeys: 1000,
  queryTurns: 1,
};

/** As SIGSTOP does, or a machine that sleeps: not even a timer of this process runs. */
async function stopFor(ms: number): Promise<void> {
  await sleep(20);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
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
function dropping(stop: () => Promise<void>): LockedWork {
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

  const waits = (): Promise<void> => sleep(still);
  const stops = (): Promise<void> => stopFor(still);

  for (const [what, stop, where] of [
    ["waits for something else", waits, "locked"],
    ["is stopped", stops, "locked"],
    ["is stopped before COMMIT", stops, "commit"],
  ] as const) {
    it(`and ${what}: the server lets go for it, and nothing is done,`, () =>
      withEngine(
        async (engine, db) => {
          const admin = await db.connect("admin");
          await admin.query("CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO guardian_migrator");
          const login = await db.connect("admin");
          let waited: Promise<unknown> = Promise.resolve();
          const stand = async (): Promise<void> => {
            // By the server's clock, for this process may not look at its own.
            waited = login.query(
              "CREATE TEMP TABLE began AS SELECT clock_timestamp() AS at; SELECT 1 FROM auth.users LIMIT 1; CREATE TEMP TABLE ended AS SELECT clock_timestamp() AS at",
            );
            await until(
              admin,
              "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'auth.users'::regclass AND NOT granted)",
            );
            await stop();
          };
          const done = engine.write("SqlModule", "900_t", (fenced) => {
            if (where === "commit") beforeCommit(fenced, stand);
            const work = dropping(where === "commit" ? () => Promise.resolve() : stand);
            return withV6Locks(fenced, Date.now() + 1000, work);
          });
          expect((await refusalOf(done)).what).to.match(
            /^the work under the locks on v6 tables took longer than the 200 ms for which they may be held; it was rolled back/,
          );
          await waited;
          const [ms] = await column<number>(
            login,
            "SELECT (extract(epoch FROM e.at - b.at) * 1000)::int FROM began b, ended e",
          );
          expect(ms).to.be.below(still / 2);
          expect(await column(admin, "SELECT to_regclass('public.t') IS NOT NULL")).to.deep.equal([true]);
        },
        { parameters },
      ));
  }

  it("goes on with a new session after the pause", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        await admin.query("CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO guardian_migrator");
        const pids = new Set<number>();
        const write = (): Promise<unknown> =>
          engine.write("SqlModule", "900_t", (fenced) => {
            pids.add(fenced.writer.pid);
            const stop = pids.size === 1 ? () => stopFor(3000) : () => Promise.resolve();
            return withV6Locks(fenced, Date.now() + 90_000, dropping(stop));
          });
        await byASlowClock(write);
        expect(pids.size).to.equal(2);
        expect(engine.told[0]).to.include({ tries: 1, reason: "auth.users: longer than 1000 ms under the locks" });
        expect(engine.told).to.deep.include({ phase: "new session" });
        expect(await column(admin, "SELECT to_regclass('public.t')")).to.deep.equal([null]);
      },
      { parameters: { ...parameters, lockHold: 1000 } },
    ));
});
