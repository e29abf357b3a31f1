import { expect } from "chai";
import { moveRows, type Moved } from "../../../engine/migrate";
import { column, refusalOf, until } from "../module/harness";
import { constants, stopped, withOnline, type Online } from "./harness";

/**
 * Moves the rows of a migration that was stopped, while somebody's transaction keeps the cut-over from auth.users.
 * @param hold what takes the lock; @param then what it does once the cut-over waits for it, before it commits
 * @param patience for how long the cut-over may ask for v6 tables, in milliseconds
 */
async function heldAtCutOver(online: Online, hold: string, then: string, patience = 60_000): Promise<Moved> {
  await stopped(online);
  const holder = await online.db.connect("admin");
  await holder.query(`BEGIN; ${hold}`);
  const moving = online.move({ deadline: Date.now() + patience });
  await until(
    online.admin,
    "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'auth.users'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted",
  );
  await holder.query(`${then}; COMMIT`);
  return moving;
}

describe("a run that goes on, and its cut-over", function () {
  this.timeout(120_000);

  it("keys that v6 notes often hide no other at the cut-over", () =>
    withOnline(
      "preferences",
      3000,
      async (online) => {
        const { admin, engine } = online;
        // Somebody reads auth.users for long: the cut-over's first tries miss while v6 goes on writing, and a short try makes a
        // short pause.
        const reader = await online.db.connect("admin");
        const writing = { done: undefined as Promise<unknown> | undefined };
        engine.onProgress = ({ phase }) => {
          if (phase !== "prove" || writing.done) return;
          writing.done = (async () => {
            await reader.query("BEGIN; SELECT 1 FROM auth.users LIMIT 1");
            for (const language of ["fr", "es", "it"])
              await admin.query("UPDATE public.user_profiles SET language = $1", [language]);
            await new Promise((resolve) => setTimeout(resolve, 500));
            await reader.query("COMMIT");
          })();
        };
        await online.move();
        await writing.done;
        expect(writing.done).not.to.equal(undefined);
        expect(await online.differing()).to.equal(0);
        expect(await online.traces()).to.equal(0);
      },
      { lockTimeout: 10 },
    ));

  it("more than fifty keys in every turn of the catch-up do not keep it from the cut-over, if turns are short", () =>
    withOnline("preferences", 3000, async (online) => {
      // As if v6 changed sixty profiles in each turn, but for the one under the locks.
      await online.admin
        .query(`CREATE FUNCTION public.busy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
          INSERT INTO guardian_migration.change (migration, key)
          SELECT 'preferences', ARRAY[id::text] FROM (SELECT id FROM auth.users ORDER BY random() LIMIT 60) u
          WHERE EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE 'guardian_follow_%') AND NOT EXISTS (SELECT FROM pg_locks
            WHERE pid = pg_backend_pid() AND relation = 'auth.users'::regclass AND mode = 'AccessExclusiveLock');
          RETURN NULL; END $$;
        CREATE TRIGGER busy AFTER INSERT ON guardian_migration.batch FOR EACH STATEMENT EXECUTE FUNCTION public.busy()`);
      await online.move();
      expect(await online.differing()).to.equal(0);
      expect(await online.traces()).to.equal(0);
    }));

  it("a trigger that is switched off while v6 is waited for at the cut-over is seen: all rows are looked at once more", () =>
    withOnline(
      "preferences",
      300,
      async (online) => {
        const { admin, engine } = online;
        await stopped(online);
        const holder = await online.db.connect("admin");
        await holder.query("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE");
        const other = { done: undefined as Promise<unknown> | undefined };
        engine.onProgress = ({ phase }) => {
          if (phase !== "v6 locks" || other.done) return;
          other.done = (async () => {
            await admin.query(`ALTER TABLE public.user_profiles DISABLE TRIGGER USER`);
            await admin.query(`UPDATE public.user_profiles SET language = 'fr'`);
            await holder.query("ROLLBACK");
          })();
        };
        await online.move();
        await other.done;
        expect(other.done).not.to.equal(undefined);
        expect(await online.differing()).to.equal(0);
        expect(await online.traces()).to.equal(0);
      },
      { lockTimeout: 10 },
    ));

  it("one that is switched off and on again meanwhile as well; where the time is up, that is what is told", () =>
    withOnline(
      "preferences",
      300,
      async (online) => {
        const hold = "LOCK TABLE auth.users IN ROW EXCLUSIVE MODE";
        const offAndOn = (language: string): string =>
          `ALTER TABLE public.user_profiles DISABLE TRIGGER USER; UPDATE public.user_profiles SET language = '${language}';
           ALTER TABLE public.user_profiles ENABLE TRIGGER USER`;
        const late = heldAtCutOver(online, hold, `${offAndOn("fr")}; SELECT pg_sleep(2)`, 1500);
        expect((await refusalOf(late)).code).to.equal("not-followed");
        await heldAtCutOver(online, hold, offAndOn("it"));
        expect(await online.differing()).to.equal(0);
        expect(await online.traces()).to.equal(0);
      },
      { lockTimeout: 20_000, lockHold: 20_000 },
    ));

  it("a row that is settled under the locks is in the account of what was written", () =>
    withOnline(
      "preferences",
      300,
      async (online) => {
        const { admin } = online;
        const late = "INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'late@example.org')";
        expect(await heldAtCutOver(online, late, "")).to.deep.include({ written: 301n });
        const kept =
          "SELECT detail ->> 'processed' FROM guardian_migration.step WHERE kind = 'DataMigration' ORDER BY id DESC LIMIT 1";
        expect(await column(admin, kept)).to.deep.equal(["301"]);
        expect(await online.differing()).to.equal(0);
      },
      { lockTimeout: 20_000, lockHold: 20_000 },
    ));

  it("a table that is emptied while v6 is waited for puts every row in question: all are settled before the end", () =>
    withOnline(
      "preferences",
      300,
      async (online) => {
        // The tables are locked one after the other: this one is free while the first is waited for.
        const hold = "LOCK TABLE auth.users IN ROW EXCLUSIVE MODE";
        await heldAtCutOver(online, hold, "TRUNCATE public.user_profiles");
        expect(await online.differing()).to.equal(0);
        expect(await online.traces()).to.equal(0);
      },
      { lockTimeout: 20_000, lockHold: 20_000 },
    ));

  it("an account that was a day old when it began, to the microsecond, is not older than a day", () =>
    withOnline("consents", 300, async (online) => {
      const { admin } = online;
      await stopped(online);
      await admin.query(`INSERT INTO auth.users (id, email, created_at)
        SELECT gen_random_uuid(), n || '@day', (${constants} ->> 'asOf')::timestamptz - interval '1 day' - n * interval '1 us'
        FROM generate_series(0, 1) n`);
      await online.move();
      const asked =
        "SELECT email FROM auth.users JOIN public.patient_consents ON patient_id = users.id WHERE email LIKE '%@day'";
      expect(await column(admin, asked)).to.deep.equal(["1@day"]);
    }));

  it("what began with one choice does not go on with another", () =>
    withOnline("preferences", 3000, async (online) => {
      await online.move();
      const { engine, migration } = online;
      const other = engine.write("DataMigration", migration.name, (fenced) =>
        moveRows(fenced, migration, { mode: "pending" }),
      );
      expect((await refusalOf(other)).what).to.match(/began with other parameters or another text/);
    }));

  it("nor with another source: a profile table that came meanwhile is not half used", () =>
    withOnline("preferences", 3000, async (online) => {
      const { admin, engine } = online;
      await admin.query("ALTER TABLE public.user_profiles RENAME TO hidden");
      const stop = new AbortController();
      engine.onProgress = ({ phase }) => {
        if (phase === "prove") stop.abort();
      };
      await refusalOf(online.move({}, { signal: stop.signal }));
      await admin.query("ALTER TABLE public.hidden RENAME TO user_profiles");
      const said = await refusalOf(online.move());
      expect(said.what).to.contain("data migration preferences began with another source");
      expect(said.where)
        .to.contain("without_profiles.sql then")
        .and.contain("from_profiles.sql now: public.user_profiles");
      await online.back();
      expect(await online.move()).to.deep.include({ written: 3000n });
      expect(await online.differing()).to.equal(0);
    }));

  it("a refusal that a batch could not see leaves no assumed consent beside it", () =>
    withOnline("consents", 3000, async (online) => {
      const { admin } = online;
      const refusal = await online.db.connect("admin");
      const [user] = await column<string>(
        admin,
        "SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' LIMIT 1",
      );
      await refusal.query("BEGIN");
      await refusal.query(
        `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, granted, consent_metadata)
         VALUES ($1, 'data_sharing', 'healthcare_services', 'consent', false, '{"state": "refused"}')`,
        [user],
      );
      let committed: Promise<unknown> | undefined;
      online.engine.onProgress = ({ phase }) => {
        if (phase === "writers" || phase === "prove") committed ??= refusal.query("COMMIT");
      };
      await admin.query("BEGIN; LOCK TABLE guardian_migration.reject IN ACCESS EXCLUSIVE MODE");
      const moving = online.move();
      await until(
        refusal,
        "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'guardian_migration.reject'::regclass AND NOT granted",
      );
      await admin.query("COMMIT");
      await moving;
      await committed;
      const states =
        "SELECT concat_ws(' ', granted, consent_metadata ->> 'state') FROM public.patient_consents WHERE patient_id = $1";
      expect(await column(admin, states, [user])).to.deep.equal(["f refused"]);
    }));
});
