import { expect } from "chai";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { refusalOf, column, until, endWriters } from "../module/harness";
import { long } from "../../support/long";
import { constants, differingSql, withOnline, type Online } from "./harness";

/** More than one worker moves, and the throttle watches the way back. */
const many = 21_000;
const preferences = "SELECT count(*)::int FROM public.user_preferences";

/** A consent is for who was there a day ago: these are on either side of it. */
const someTime = "now() - random() * interval '3 days'";
const come = (id: string): string =>
  `INSERT INTO auth.users (id, email, created_at) VALUES ('${id}', '${id}@example.org', ${someTime})`;
/** Others' results may hang on somebody's documents: v6 itself does not let him go then. */
const go = (id: string): string =>
  `DELETE FROM auth.users WHERE id = '${id}' AND NOT EXISTS (SELECT FROM public.documents WHERE user_id = '${id}')`;

/** What v6 does to somebody, in turn, besides that he comes: what the migration reads changes and goes. */
const mischief: Record<string, ((id: string) => string)[]> = {
  preferences: [
    go,
    (id) => `UPDATE public.user_profiles SET language = '${["de", "fr-CA"][Number(id < "8")]}' WHERE user_id = '${id}'`,
    (id) => `DELETE FROM public.user_profiles WHERE user_id = '${id}'`,
  ],
  consents: [
    go,
    (id) => `UPDATE auth.users SET created_at = ${someTime} WHERE id = '${id}'`,
    (id) => `UPDATE auth.users SET created_at = created_at - interval '1 second' WHERE id = '${id}'`,
  ],
};

/**
 * v6 writes by three connections until it is told to stop; some of it is rolled back. Each transaction is one message, so
 * that none holds its locks while this process is busy.
 * @returns transactions
 */
async function writers(online: Online, stop: { now: boolean }): Promise<number> {
  // Three who change nothing but created_at, without a pause, change 4000 accounts a second: more than can be followed.
  const pause = online.migration.name === "consents" ? 1 : 0;
  const ids = await column<string>(online.admin, "SELECT id::text FROM auth.users");
  const kinds = mischief[online.migration.name] ?? [];
  let writes = 0;
  const loop = async (seed: number): Promise<void> => {
    const admin = await online.db.connect("admin");
    for (let i = seed; !stop.now; i++) {
      const kind = kinds[i % (kinds.length + 1)];
      const id = kind ? (ids[Math.floor(Math.random() * ids.length)] ?? "") : randomUUID();
      await admin.query(`BEGIN; ${(kind ?? come)(id)}; ${i % 7 === 0 ? "ROLLBACK" : "COMMIT"}`);
      if (!kind) ids.push(id);
      writes++;
      if (pause > 0) await sleep(pause);
    }
  };
  await Promise.all([1, 2, 3].map(loop));
  return writes;
}

describe("data that moves online", function () {
  this.timeout(120_000);

  it("what v6 does after a range was moved arrives: rows that come, change, lose their profile, and go", () =>
    withOnline("preferences", 3000, async (online) => {
      const { admin, engine } = online;
      const ids = await column<string>(
        admin,
        "SELECT user_id FROM public.user_profiles WHERE language IS DISTINCT FROM 'it' ORDER BY user_id LIMIT 4",
      );
      // Holds the comparison up: by then every range is moved, and the triggers are there.
      const holder = await online.db.connect("admin");
      let mischief: Promise<unknown> | undefined;
      engine.onProgress = ({ phase }) => {
        if (phase !== "prove" || mischief) return;
        mischief = (async () => {
          await holder.query("UPDATE public.user_profiles SET language = 'it' WHERE user_id = $1", [ids[0]]);
          await holder.query("DELETE FROM public.user_profiles WHERE user_id = $1", [ids[1]]);
          await holder.query("DELETE FROM auth.users WHERE id = $1", [ids[2]]);
          await holder.query(
            "INSERT INTO auth.users (id, email, created_at) VALUES ('ffffffff-ffff-4fff-bfff-ffffffffffff', 'last@example.org', now())",
          );
          // Somebody changed his preferences under v7 already: they stay as he wants them.
          await holder.query("UPDATE public.user_preferences SET theme = 'dark' WHERE user_id = $1", [ids[3]]);
          await holder.query("UPDATE public.user_profiles SET language = 'it' WHERE user_id = $1", [ids[3]]);
        })();
      };
      // The proof waits for this lock, so that all of it happens before the cut-over.
      await admin.query("BEGIN; LOCK TABLE guardian_migration.reject IN ACCESS EXCLUSIVE MODE");
      const moving = online.move();
      await until(
        holder,
        "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'guardian_migration.reject'::regclass AND NOT granted",
      );
      await admin.query("COMMIT");
      await moving;
      await mischief;
      expect(mischief).not.to.equal(undefined);
      expect(await online.traces()).to.equal(0);
    }));

  it("cut off in the middle it goes on where it was, and so does the way back", () =>
    withOnline("preferences", many, async (online) => {
      const { engine, admin } = online;
      const slow = (does: string) => admin.query(`ALTER TABLE public.user_preferences ${does} TRIGGER slow`);
      let kills = 0;
      const kill = (): void => {
        kills++;
        void endWriters(admin);
      };
      await admin.query(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
            CREATE TRIGGER slow AFTER INSERT OR DELETE ON public.user_preferences FOR EACH STATEMENT EXECUTE FUNCTION public.slow()`);
      const begun = `SELECT count(*) > 0 FROM guardian_migration.batch WHERE state = 'done'`;
      const first = refusalOf(online.move({ throttled: false }));
      await until(admin, begun);
      kill();
      expect((await first).what).to.match(/lost/);
      await slow("DISABLE");
      const [some] = await column<number>(admin, preferences);
      expect(some).to.be.within(1, many - 1);
      const [before] = await column<string>(admin, "SELECT min(transaction_time)::text FROM guardian_migration.batch");
      const moved = await online.move({ throttled: false });
      expect(moved.written).to.equal(BigInt(many));
      expect(await column(admin, "SELECT min(transaction_time)::text FROM guardian_migration.batch")).to.deep.equal([
        before,
      ]);
      expect(await online.differing()).to.equal(0);
      await slow("ENABLE");
      const back = refusalOf(online.back());
      await until(admin, `SELECT count(*) < ${many} FROM public.user_preferences`);
      kill();
      expect((await back).what).to.match(/lost/);
      await slow("DISABLE");
      expect(await column<number>(admin, preferences)).not.to.deep.equal([0]);
      expect(await engine.states("DataMigration", "preferences")).to.deep.equal({ "": "undoing" });
      expect(await online.back()).to.deep.equal({ removed: BigInt(many), kept: 0n });
      expect(await column(admin, preferences)).to.deep.equal([0]);
      expect(kills).to.equal(2);
    }));

  it("^C stops it within two batches, and the next run goes on", () =>
    withOnline("preferences", many, async (online) => {
      const { admin } = online;
      await admin.query(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
            CREATE TRIGGER slow AFTER INSERT ON public.user_preferences FOR EACH STATEMENT EXECUTE FUNCTION public.slow()`);
      const stop = new AbortController();
      const cut = refusalOf(online.move({ throttled: false }, { signal: stop.signal }));
      await until(admin, "SELECT count(*) > 0 FROM guardian_migration.batch WHERE state = 'done'");
      stop.abort();
      const [at] = await column<number>(admin, "SELECT count(*)::int FROM guardian_migration.batch");
      await cut;
      const [end] = await column<number>(admin, "SELECT count(*)::int FROM guardian_migration.batch");
      expect(end! - at!).to.be.within(0, 2);
      await admin.query("DROP TRIGGER slow ON public.user_preferences");
      expect((await online.move({ throttled: false })).written).to.equal(BigInt(many));
    }));

  for (const name of Object.keys(mischief)) {
    const test = name === "consents" ? it : long;
    test(`while v6 inserts, updates and deletes at full speed the target equals the source at cut-over: ${name}`, () =>
      withOnline(name, 30_000, async (online) => {
        // Looks in the cut-over's own transaction, while v6 is locked out.
        await online.admin.query(`CREATE TABLE guardian_migration.seen (differing int);
            CREATE FUNCTION public.look() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET row_security = off AS $look$
            BEGIN
              IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_type = 'trigger' AND object_identity LIKE 'guardian_follow_${name}_rows %')
              THEN INSERT INTO guardian_migration.seen VALUES ((${differingSql(online.migration, constants)})); END IF;
            END $look$; CREATE EVENT TRIGGER look ON sql_drop EXECUTE FUNCTION public.look()`);
        const stop = { now: false };
        const busy = writers(online, stop);
        let moved;
        try {
          moved = await online.move({ throttled: false });
        } finally {
          stop.now = true;
        }
        expect(await busy).to.be.greaterThan(100);
        expect(await online.traces(), "triggers, functions, noted changes").to.equal(0);
        expect(moved.rejected).to.equal(0n);
        expect(await column(online.admin, "SELECT DISTINCT differing FROM guardian_migration.seen")).to.deep.equal([0]);
      })).timeout(300_000); // every missed try for v6's locks is paid with 99 times its wait
  }

  it("a trigger that somebody took away between two runs is noticed: every row is compared with v6 again", () =>
    withOnline("preferences", 3000, async (online) => {
      const { admin } = online;
      await admin.query("ALTER TABLE public.user_preferences ADD CONSTRAINT odd CHECK (left(user_id::text, 1) <> '0')");
      await refusalOf(online.move());
      expect(await online.traces()).to.be.greaterThan(0);
      await admin.query("DROP FUNCTION guardian_migration.follow_preferences_1 CASCADE");
      await admin.query("UPDATE public.user_profiles SET language = 'it'");
      await admin.query("ALTER TABLE public.user_preferences DROP CONSTRAINT odd");
      await online.move();
      expect(await online.differing()).to.equal(0);
      expect(await online.traces()).to.equal(0);
    }));

  it("a table that v6 empties at once is followed as well", () =>
    withOnline("preferences", 3000, async (online) => {
      const { admin } = online;
      await admin.query("ALTER TABLE public.user_preferences ADD CONSTRAINT odd CHECK (left(user_id::text, 1) <> '0')");
      await refusalOf(online.move());
      await admin.query("TRUNCATE public.user_profiles; ALTER TABLE public.user_preferences DROP CONSTRAINT odd");
      await online.move();
      expect(await online.differing()).to.equal(0);
      expect(await column(admin, "SELECT DISTINCT language FROM public.user_preferences")).to.deep.equal(["en"]);
    }));
});
