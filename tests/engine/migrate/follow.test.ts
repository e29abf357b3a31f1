import { expect } from "chai";
import { column } from "../module/harness";
import { stopped, withOnline } from "./harness";

const users = 3000;

/** The keys that the triggers have noted. */
const noted = "SELECT DISTINCT key::text FROM guardian_migration.change ORDER BY 1";

describe("a key with a NULL in it", function () {
  this.timeout(60_000);

  /** As some v6 have it: a profile may belong to nobody. */
  const loose = `ALTER TABLE public.user_profiles DROP CONSTRAINT user_profiles_pkey;
    ALTER TABLE public.user_profiles ALTER user_id DROP NOT NULL, ADD UNIQUE (user_id)`;

  it("is not noted; the key that a row comes from or gets is", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await admin.query(loose);
      const [lost, changed] = await column<string>(
        admin,
        "SELECT user_id FROM public.user_profiles WHERE language = 'en' ORDER BY user_id LIMIT 2",
      );
      const [got] = await column<string>(
        admin,
        "SELECT id FROM auth.users WHERE id NOT IN (SELECT user_id FROM public.user_profiles) ORDER BY id LIMIT 1",
      );
      await stopped(online);
      const profile = "UPDATE public.user_profiles SET";
      await admin.query(
        "INSERT INTO public.user_profiles (user_id, language) VALUES (NULL, 'de'), (NULL, 'fr'), (NULL, 'it')",
      );
      await admin.query(`${profile} language = 'es' WHERE user_id IS NULL AND language = 'de'`);
      await admin.query("DELETE FROM public.user_profiles WHERE user_id IS NULL AND language = 'fr'");
      expect(await column(admin, noted)).to.deep.equal([]);
      await admin.query(`${profile} user_id = $1 WHERE user_id IS NULL AND language = 'it'`, [got]);
      await admin.query(`${profile} user_id = NULL, language = 'pl' WHERE user_id = $1`, [lost]);
      await admin.query(`${profile} language = 'pl' WHERE user_id = $1`, [changed]);
      expect(await column(admin, noted)).to.deep.equal([`{${got}}`, `{${lost}}`, `{${changed}}`].sort());
      expect(await online.move()).to.deep.include({ written: BigInt(users), rejected: 0n });
      expect(await online.differing()).to.equal(0);
      const language = "SELECT language FROM public.user_preferences WHERE user_id = $1";
      for (const [id, says] of [
        [got, "it"],
        [lost, "en"],
        [changed, "pl"],
      ])
        expect(await column(admin, language, [id])).to.deep.equal([says]);
    }));

  it("that an older run noted or rejected goes, and is in nobody's way", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await stopped(online);
      await admin.query(`INSERT INTO guardian_migration.change (migration, key) VALUES ('preferences', '{NULL}');
        INSERT INTO guardian_migration.reject (urn, key, sqlstate)
        SELECT urn, '{NULL}', '22P02' FROM guardian_migration.step WHERE kind = 'DataMigration' LIMIT 1`);
      expect(await online.move({ maxDataLoss: 0 })).to.deep.include({ written: BigInt(users), rejected: 0n });
      expect(await column(admin, "SELECT count(*)::int FROM guardian_migration.reject")).to.deep.equal([0]);
      expect(await online.differing()).to.equal(0);
    }));
});

describe("triggers on v6's tables", function () {
  this.timeout(60_000);

  const fires =
    "SELECT DISTINCT concat_ws(' ', tgrelid::regclass, tgenabled) FROM pg_trigger WHERE tgname LIKE 'guardian_follow_%' ORDER BY 1";

  const callable = `SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'follow_%' AND has_function_privilege('anon', oid, 'EXECUTE')`;

  it("that the operator owns fire for a subscription and a bulk load too", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await admin.query("ALTER TABLE auth.users OWNER TO guardian_migrator");
      await stopped(online);
      expect(await column(admin, fires)).to.deep.equal(["auth.users A", "user_profiles A"]);
      await admin.query(`SET session_replication_role = replica;
          INSERT INTO auth.users (id, email, created_at) SELECT gen_random_uuid(), 'x' || n || '@example.org', now() FROM generate_series(1, 40) n;
          UPDATE public.user_profiles SET language = 'it' WHERE left(user_id::text, 1) = '7';
          DELETE FROM public.user_profiles WHERE left(user_id::text, 1) = '8';
          RESET session_replication_role`);
      // They count as there: a further run makes none, and has not to look at every row again.
      await stopped(online);
      expect(online.engine.told.filter(({ phase }) => phase === "look again")).to.deep.equal([]);
      expect(await online.move()).to.deep.include({ written: BigInt(users + 40) });
      expect(await online.differing()).to.equal(0);
      expect(await online.traces()).to.equal(0);
    }));

  it("that somebody else owns are left as they are made", () =>
    withOnline("preferences", users, async (online) => {
      await stopped(online);
      expect(await column(online.admin, fires)).to.deep.equal(["auth.users O", "user_profiles A"]);
      expect(await column(online.admin, callable), "the functions run with the operator's rights").to.deep.equal([]);
      expect(await online.move()).to.deep.include({ written: BigInt(users) });
      expect(await online.traces()).to.equal(0);
    }));

  it("that fire for a subscription only, as somebody set them, are made anew, and every row is looked at", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await stopped(online);
      await admin.query(`ALTER TABLE public.user_profiles ENABLE REPLICA TRIGGER guardian_follow_preferences_columns;
        UPDATE public.user_profiles SET language = 'it'`);
      await online.move();
      expect(online.engine.told.map(({ phase }) => phase)).to.include("look again");
      expect(await online.differing()).to.equal(0);
    }));

  it("that were off for a while look the same: they are made anew, and every row is looked at", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await stopped(online);
      // As pg_restore --data-only --disable-triggers does.
      await admin.query(`ALTER TABLE public.user_profiles DISABLE TRIGGER ALL; UPDATE public.user_profiles SET language = 'it';
        ALTER TABLE public.user_profiles ENABLE TRIGGER ALL`);
      await online.move();
      expect(online.engine.told.map(({ phase }) => phase)).to.include("look again");
      expect(await online.differing()).to.equal(0);
    }));

  it("that an older release made are made anew, as nobody knows of them", () =>
    withOnline("preferences", users, async (online) => {
      await stopped(online);
      await online.admin.query("UPDATE guardian_migration.step SET detail = detail - 'followed'");
      await online.move();
      expect(online.engine.told.map(({ phase }) => phase)).to.include("look again");
      expect(await online.differing()).to.equal(0);
    }));

  it("that do not watch a column which v6 got meanwhile are made anew", () =>
    withOnline("consents", users, async (online) => {
      const { admin } = online;
      await admin.query("ALTER TABLE auth.users DROP COLUMN deleted_at CASCADE");
      await stopped(online);
      await admin.query(`ALTER TABLE auth.users ADD COLUMN deleted_at timestamptz;
        UPDATE auth.users SET deleted_at = now() WHERE id IN (SELECT patient_id FROM public.patient_consents LIMIT 1)`);
      await online.move();
      expect(online.engine.told.map(({ phase }) => phase)).to.include("look again");
      expect(await online.differing()).to.equal(0);
    }));

  it("that are left alone make nobody look at every row again", () =>
    withOnline("preferences", users, async (online) => {
      await stopped(online);
      await online.move();
      expect(online.engine.told.map(({ phase }) => phase)).to.not.include("look again");
    }));
});
