import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Client } from "pg";
import type { Moved } from "../../../engine/migrate";
import { column, refusalOf } from "../module/harness";
import { withOnline, type Online } from "./harness";

const users = 3000;

/** Moves all rows, is stopped right before the comparison, does something to the target, and goes on. */
async function meddle(online: Online, mischief: (admin: Client) => Promise<unknown>): Promise<Moved> {
  const stop = new AbortController();
  online.engine.onProgress = ({ phase }) => {
    if (phase === "prove") stop.abort();
  };
  const said = await refusalOf(online.move({}, { signal: stop.signal }));
  expect(said.what).to.match(/^cancelled/);
  await mischief(online.admin);
  return online.move();
}

/** Some rows of the target that are not the first or last of their range. */
async function someOf(online: Online, table: string, key: string): Promise<string[]> {
  return column<string>(online.admin, `SELECT ${key} FROM ${table} ORDER BY ${key} LIMIT 3 OFFSET 1200`);
}

describe("the comparison of source and target", function () {
  this.timeout(60_000);

  it("finds a single cell that a trigger on the target alters, and names key and column, no value", () =>
    withOnline("preferences", users, async (online) => {
      const { admin, engine } = online;
      const [id] = await someOf(online, "auth.users", "id");
      await admin.query(`CREATE FUNCTION public.odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.user_id = '${id}' THEN NEW.timezone := 'Pacific/Apia'; END IF; RETURN NEW; END $$;
          CREATE TRIGGER odd BEFORE INSERT ON public.user_preferences FOR EACH ROW EXECUTE FUNCTION public.odd()`);
      const said = await refusalOf(online.move());
      expect(said.what).to.equal(
        "rows of public.user_preferences differ from what v6 has for them, and nobody is known to have changed them",
      );
      expect(said.where).to.equal(`${id} (timezone)`);
      expect(said.message + JSON.stringify(engine.told)).not.to.contain("Apia");
      expect(await engine.states("DataMigration", "preferences")).to.deep.equal({ "": "planned" });
      // One way out that it names: back, and up again without the trigger.
      await admin.query("DROP TRIGGER odd ON public.user_preferences");
      await online.back();
      expect(await online.move()).to.deep.include({ written: BigInt(users) });
      expect(await online.differing()).to.equal(0);
    }));

  it("finds a row that is gone and one that v6 has nothing for", () =>
    withOnline("preferences", users, async (online) => {
      const [gone] = await someOf(online, "auth.users", "id");
      const extra = "00000000-0000-4000-8000-0000000000ee";
      await online.admin.query("ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_user_id_fkey");
      const going = meddle(online, (admin) =>
        admin.query(
          `WITH d AS (DELETE FROM public.user_preferences WHERE user_id = '${gone}' RETURNING updated_at)
           INSERT INTO public.user_preferences (user_id, updated_at) SELECT '${extra}', updated_at FROM d`,
        ),
      );
      const said = await refusalOf(going);
      expect(said.where?.split("; ").sort()).to.deep.equal(
        [`${extra} (the whole row)`, `${gone} (the whole row)`].sort(),
      );
    }));

  it("finds a second row for the same source row, though each equals it", () =>
    withOnline("consents", users, async (online) => {
      const { admin, migration } = online;
      await admin.query("DROP INDEX public.patient_consents_live_key");
      const columns = `${migration.columns.join(", ")}, updated_at`;
      const text = `INSERT INTO public.patient_consents (${columns}) SELECT ${columns} FROM public.patient_consents
        ORDER BY patient_id LIMIT 1 OFFSET 1100 RETURNING patient_id AS id`;
      let twice: string | undefined;
      const going = meddle(online, async (client) => (twice = (await client.query<{ id: string }>(text)).rows[0]?.id));
      const said = await refusalOf(going);
      expect(said.where).to.equal(`${twice} (twice)`);
    }));

  it("takes no offence at a row that somebody changed under v7, nor at one that he had before", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      const [changed, had] = await someOf(online, "auth.users", "id");
      await admin.query("INSERT INTO public.user_preferences (user_id, language) VALUES ($1, 'cy')", [had]);
      const going = meddle(online, (client) =>
        client.query("UPDATE public.user_preferences SET language = 'cy' WHERE user_id = $1", [changed]),
      );
      expect(await going).to.deep.include({ source: BigInt(users), written: BigInt(users - 1) });
      const theirs = "SELECT user_id FROM public.user_preferences WHERE language = 'cy' ORDER BY 1";
      expect(await column(admin, theirs)).to.deep.equal([changed, had]);
      // Nor does the way back take them.
      expect(await online.back()).to.deep.equal({ removed: BigInt(users - 2), kept: 1n });
      expect(await column(admin, theirs)).to.deep.equal([changed, had]);
    }));

  for (const [how, statement] of [
    ["follow v6", "UPDATE public.user_profiles SET language = 'pt-BR' WHERE user_id = $1"],
    ["are looked at again because v6 emptied a table", "DO $$ BEGIN TRUNCATE public.user_profiles; END $$"],
  ] as const) {
    it(`looks at rows as well that ${how} after it: a trigger on the target that alters them is found at the cut-over`, () =>
      withOnline("preferences", users, async (online) => {
        const { admin, engine } = online;
        const [id] = await someOf(online, "public.user_profiles", "user_id");
        await admin.query(`CREATE FUNCTION public.odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.timezone := 'Pacific/Apia'; RETURN NEW; END $$;
          CREATE TRIGGER odd BEFORE UPDATE ON public.user_preferences FOR EACH ROW EXECUTE FUNCTION public.odd()`);
        const v6 = await online.db.connect("admin");
        let change: Promise<unknown> | undefined;
        engine.onProgress = ({ phase, done, total }) => {
          if (phase === "compare" && done === total)
            change ??= v6.query(statement, statement.includes("$1") ? [id] : []);
        };
        // Until v6 is through with it, the cut-over cannot have the table.
        await v6.query("BEGIN");
        await v6.query("LOCK TABLE auth.users IN ROW SHARE MODE");
        const moving = refusalOf(online.move());
        while (!change) await sleep(5);
        await change;
        await v6.query("COMMIT");
        const said = await moving;
        expect(said.what).to.contain("differ from what v6 has for them");
        expect(said.where).to.contain("(timezone)");
        if (statement.includes("$1")) expect(said.where).to.equal(`${id} (timezone)`);
        expect(await engine.states("DataMigration", "preferences")).to.deep.equal({ "": "planned" });
      }));
  }
});
