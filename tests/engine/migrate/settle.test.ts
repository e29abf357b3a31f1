import { expect } from "chai";
import type { Client } from "pg";
import { column, refusalOf, until } from "../module/harness";
import { withOnline, type Online } from "./harness";

const users = 3000;

/** Moves all rows and is stopped right before the comparison; what v6 does then is settled by the next run. */
async function stopped(online: Online): Promise<void> {
  const stop = new AbortController();
  online.engine.onStatus = (line) => {
    if (line.includes("comparing source and target")) stop.abort();
  };
  await refusalOf(online.move({}, { signal: stop.signal }));
  online.engine.onStatus = () => undefined;
}

/** Some users with a profile in English. */
const english = (admin: Client, count: number): Promise<string[]> =>
  column(admin, "SELECT user_id FROM public.user_profiles WHERE language = 'en' ORDER BY user_id LIMIT $1", [count]);

const refers = "CREATE TABLE public.refers (who uuid REFERENCES public.user_preferences ON DELETE CASCADE)";
const waiting =
  "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

describe("keys that are settled", function () {
  this.timeout(60_000);

  it("a row that comes to refer to one that v6 deleted meanwhile is waited for, and not deleted with it", () =>
    withOnline(17, "preferences", users, async (online) => {
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

  for (const major of [15, 17] as const) {
    it(`a row that v6 makes unmovable after it was moved goes from the target, and comes when it is mended (PostgreSQL ${major})`, () =>
      withOnline(major, "preferences", users, async (online) => {
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
  }
});
