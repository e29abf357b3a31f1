import { expect } from "chai";
import { defaultLimits } from "../../../engine/migrate/workers/throttle";
import { Monitor, noSignals } from "../../../engine/migrate/workers/throttle/signals";
import { column, refusalOf, until } from "../module/harness";
import { withOnline } from "./harness";
import { long } from "../../support/long";

/** More than are moved without a throttle. */
const users = 21_000;

describe("a migration's crew", function () {
  this.timeout(180_000);
  // A busy machine is no slow server here.
  const { noiseMs } = defaultLimits;
  before(() => void (defaultLimits.noiseMs = 150));
  after(() => void (defaultLimits.noiseMs = noiseMs));

  long("makes do with the connections there are: without the second worker, and at last without the throttle", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      const [role] = await column<string>(online.client, "SELECT current_user::text");
      const warnings: string[] = [];
      const onWarning = (line: string): void => void warnings.push(line);
      const open = `SELECT count(*)::int FROM pg_stat_activity WHERE usename = '${role}'`;
      const limit = async (more: number): Promise<void> => {
        const [n = 0] = await column<number>(admin, open);
        await admin.query(`ALTER ROLE ${role} CONNECTION LIMIT ${n + more}`);
      };
      try {
        await limit(4); // its own, one that renews the lease, two of the throttle
        expect(await online.move({ onWarning })).to.deep.include({ written: BigInt(users) });
        expect(warnings).to.deep.equal([]);
        await limit(2); // of what the way back needs: without the throttle, it is sooner through
        await online.back();
        await limit(2);
        // A tenth of its time is too long to wait for all of them.
        const stop = new AbortController();
        const moving = refusalOf(online.move({ onWarning }, { signal: stop.signal }));
        await until(admin, "SELECT count(*) > 0 FROM public.user_preferences");
        stop.abort();
        expect((await moving).what).to.match(/^(cancelled|stopped) on request/);
        expect(warnings).to.deep.equal([
          "no connection is left to watch the server by; the migration works a tenth of its time",
        ]);
      } finally {
        await admin.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`); // a role is the whole server's
      }
    }),
  );

  it("^C ends it while the probes wait for a lock before anything is moved", () =>
    withOnline("preferences", users, async (online) => {
      const { admin, db } = online;
      const locker = await db.connect("admin");
      const stop = new AbortController();
      const moving = refusalOf(online.move({}, { signal: stop.signal }));
      await until(admin, "SELECT count(*) > 1 FROM pg_stat_activity WHERE application_name LIKE '%throttle%'");
      await locker.query("BEGIN; LOCK TABLE auth.users IN ACCESS EXCLUSIVE MODE");
      await until(admin, "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'auth.users'::regclass AND NOT granted");
      stop.abort();
      // The table is still held.
      expect((await moving).what).to.match(/^cancelled on request/);
      await locker.query("ROLLBACK");
    }));

  it("the way back does not wait for ever for a standby that stays behind", () =>
    withOnline("preferences", users, async (online) => {
      await online.move({ throttled: false });
      const usual = Monitor.prototype.read;
      const { standStillMs } = defaultLimits;
      const crept = (): boolean =>
        online.engine.told.some(({ reason }) => reason?.includes("did not help, so it goes on at"));
      Monitor.prototype.read = () => Promise.resolve({ ...noSignals, lagSeconds: crept() ? 0 : 3600 });
      defaultLimits.standStillMs = 1000;
      try {
        expect(await online.back()).to.deep.include({ removed: BigInt(users) });
        expect(crept()).to.equal(true);
      } finally {
        Monitor.prototype.read = usual;
        defaultLimits.standStillMs = standStillMs;
      }
    }));
});
