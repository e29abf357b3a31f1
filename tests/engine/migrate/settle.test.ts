import { expect } from "chai";
import type { Client } from "pg";
import { column, refusalOf, until } from "../module/harness";
import { stopped, withOnline } from "./harness";

const users = 3000;

/** Some users with a profile in English. */
const english = (admin: Client, count: number): Promise<string[]> =>
  column(admin, "SELECT user_id FROM public.user_profiles WHERE language = 'en' ORDER BY user_id LIMIT $1", [count]);

const refers = "CREATE TABLE public.refers (who uuid REFERENCES public.user_preferences ON DELETE CASCADE)";
/** As some v6 have it: a user may have two profiles. */
const loose = `ALTER TABLE public.user_profiles DROP CONSTRAINT user_profiles_pkey;
  CREATE INDEX ON public.user_profiles (user_id)`;
const waiting =
  "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

describe("keys that are settled", function () {
  this.timeout(60_000);

  it("a row that comes to refer to one that v6 deleted meanwhile is waited for, and not deleted with it", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await admin.query(`ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_user_id_fkey; ${refers}`);
      const [late, gone] = await english(admin, 2);
      await stopped(online);
      await admin.query("DELETE FROM auth.users WHERE id IN ($1, $2)", [late, gone]);
      const other = await online.db.connect("admin");
      await other.query("BEGIN");
      await other.query("INSERT INTO public.refers VALUES ($1)", [late]);
      const going = refusalOf(online.move());
      await until(admin, waiting);
      await other.query("COMMIT");
      // It stays as it is, and the comparison does not pass over a row that v6 has no more.
      expect((await going).where).to.equal(`${late} (the whole row)`);
      expect(await column(admin, "SELECT who FROM public.refers")).to.deep.equal([late]);
      const there = "SELECT user_id FROM public.user_preferences WHERE user_id IN ($1, $2)";
      expect(await column(admin, there, [late, gone])).to.deep.equal([late]);
    }));

  const listed = "SELECT concat_ws(' ', key[1], sqlstate, object) FROM guardian_migration.reject ORDER BY key";
  const has = "SELECT user_id FROM public.user_preferences WHERE user_id = ANY ($1) ORDER BY 1";
  const noKlingon = "ALTER TABLE public.user_preferences ADD CONSTRAINT no_klingon CHECK (language <> 'tlh')";
  const klingon = "UPDATE public.user_profiles SET language = 'tlh' WHERE user_id = ANY ($1)";

  it("a row that v6 makes unmovable after it was moved goes from the target, and comes when it is mended", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await admin.query(noKlingon);
      const ids = await english(admin, 4);
      const [bad, mended, changed, referred] = ids;
      await admin.query(refers);
      await stopped(online);
      await admin.query("INSERT INTO public.refers VALUES ($1)", [referred]);
      await admin.query("UPDATE public.user_preferences SET theme = 'dark' WHERE user_id = $1", [changed]);
      await admin.query(klingon, [ids]);
      // Somebody's own row is left alone, and is none that cannot be moved; one that others refer to stays as it was.
      await stopped(online);
      expect(await column(admin, "SELECT count(*)::int FROM guardian_migration.reject")).to.deep.equal([3]);
      expect(await column(admin, has, [ids])).to.deep.equal([changed, referred]);
      await admin.query("UPDATE public.user_profiles SET language = 'it' WHERE user_id = $1", [mended]);
      const moved = await online.move();
      expect(moved).to.deep.include({ source: BigInt(users), written: BigInt(users - 1), rejected: 2n });
      expect(await column(admin, has, [ids])).to.deep.equal([mended, changed, referred]);
      expect(await column(admin, listed)).to.deep.equal([`${bad} 23514 no_klingon`, `${referred} 23514 no_klingon`]);
      // What was taken back is in the ledger: the way back counts none of it.
      expect(await online.back()).to.deep.equal({ removed: BigInt(users - 3), kept: 2n });
    }));

  it("a second source row for one that was moved is refused as if it had been there before", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await admin.query(loose);
      const ids = await english(admin, 3);
      const [before, later, mended] = ids;
      const second = "INSERT INTO public.user_profiles (user_id, language) SELECT unnest($1::uuid[]), 'it'";
      await admin.query(second, [[before]]);
      await stopped(online);
      await admin.query(second, [[later, mended]]);
      const options = { maxDataLoss: 0.01 };
      await stopped(online, options);
      const refused = [before, later, mended].map((id) => `${id} 23505 user_preferences_pkey`);
      expect(await column(admin, listed)).to.deep.equal(refused);
      await admin.query("DELETE FROM public.user_profiles WHERE user_id = $1 AND language = 'en'", [mended]);
      const moved = await online.move(options);
      expect(moved).to.deep.include({ written: BigInt(users - 2), rejected: 2n });
      expect(await column(admin, listed)).to.deep.equal(refused.slice(0, 2));
      expect(await column(admin, has, [ids])).to.deep.equal([mended]);
      expect(
        await column(admin, "SELECT language FROM public.user_preferences WHERE user_id = $1", [mended]),
      ).to.deep.equal(["it"]);
    }));

  it("a second source row is refused too where no index of the target does it; beside somebody's own row it is none", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await admin.query(`${loose}; ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_pkey;
        CREATE INDEX ON public.user_preferences (user_id)`);
      const [later, changed] = await english(admin, 2);
      await stopped(online);
      await admin.query("UPDATE public.user_preferences SET theme = 'dark' WHERE user_id = $1", [changed]);
      await admin.query("INSERT INTO public.user_profiles (user_id, language) VALUES ($1, 'it'), ($2, 'it')", [
        later,
        changed,
      ]);
      expect(await online.move()).to.deep.include({ written: BigInt(users - 1), rejected: 1n });
      expect(await column(admin, listed)).to.deep.equal([`${later} 23505`]);
      expect(await column(admin, has, [[later, changed]])).to.deep.equal([changed]);
      const theirs = "SELECT concat_ws(' ', theme, language) FROM public.user_preferences WHERE user_id = $1";
      expect(await column(admin, theirs, [changed])).to.deep.equal(["dark en"]);
    }));
});
