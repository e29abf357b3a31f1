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
});
