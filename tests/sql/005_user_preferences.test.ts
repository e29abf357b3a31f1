import { expect } from "chai";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { archived, describeLifecycle, refusal, value, withModules } from "../support/modules";

const modules = ["000_audit_log", "005_user_preferences"];
const users = async (client: Client): Promise<[string, string]> => {
  const { rows } = await client.query<{ id: string }>("SELECT id FROM auth.users ORDER BY id LIMIT 2");
  return [rows[0]!.id, rows[1]!.id];
};
const set = (client: Client, column: string, given: unknown): Promise<unknown> =>
  client.query(`UPDATE public.user_preferences SET ${column} = $1`, [given]);

describe("005_user_preferences", function () {
  this.timeout(60_000);

  describeLifecycle("005_user_preferences", {
    "ALTER TABLE public.user_preferences DISABLE ROW LEVEL SECURITY": /NO row security/,
    "GRANT DELETE ON public.user_preferences TO authenticated": /authenticated may DELETE/,
    "GRANT UPDATE (updated_at) ON public.user_preferences TO authenticated": /preferences_version, updated_at\]/,
    "ALTER POLICY user_preferences_own_update ON public.user_preferences WITH CHECK (true)":
      /user_preferences_own_update .* check true/,
    "ALTER POLICY user_preferences_own_read ON public.user_preferences TO PUBLIC": /own_read for SELECT to PUBLIC/,
    "ALTER TABLE public.user_preferences DISABLE TRIGGER user_preferences_check": /user_preferences_check .*DISABLED/,
    "DROP TRIGGER user_preferences_check_all ON public.user_preferences": /missing \[.*user_preferences_check_all/,
    "GRANT EXECUTE ON FUNCTION public.check_user_preferences() TO PUBLIC": /check_user_preferences.*PUBLIC may EXECUTE/,
    "ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_user_id_fkey":
      /missing \[.*REFERENCES auth.users\(id\) ON DELETE CASCADE/,
    "GRANT EXECUTE ON FUNCTION public.get_user_preferences(uuid) TO anon": /anon may EXECUTE/,
  });

  it("S-11: takes the guide's columns for every account, with en-AU, once", async () => {
    await withModules(modules, async (client) => {
      await client.query(
        "UPDATE public.user_profiles SET language = 'en', timezone = 'UTC' WHERE language !~ '^[a-z]{2}(-[A-Z]{2})?$' OR timezone !~ '^[A-Z][a-z]+/[A-Z][a-z]+$'",
      );
      const guide = `INSERT INTO public.user_preferences (user_id, language, timezone, notification_channels, updated_at)
            SELECT u.id, coalesce(up.language, 'en'), coalesce(up.timezone, 'UTC'), '{"email": true, "sms": false, "push": true}', now()
            FROM auth.users u LEFT JOIN public.user_profiles up ON up.user_id = u.id ON CONFLICT (user_id) DO NOTHING`;
      const first = await client.query(guide);
      expect(first.rowCount).to.equal(300);
      expect((await client.query(guide)).rowCount, "again").to.equal(0);
      expect(
        await value<string>(client, "SELECT count(*) FROM public.user_preferences WHERE language = 'en-AU'"),
      ).not.to.equal("0");
    });
  });

  it("S-11: language is a BCP 47 tag, whatever its parts", async () => {
    await withModules(modules, async (client) => {
      await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users LIMIT 1");
      for (const tag of [
        "en",
        "en-AU",
        "fr",
        "pt-BR",
        "zh-Hant-TW",
        "es-419",
        "sl-rozaj-biske",
        "de-CH-1996",
        "en-u-ca-gregory",
        "en-x-guardian",
        "gsw",
        "zh-yue",
      ]) {
        await set(client, "language", tag);
      }
      for (const tag of [
        "",
        "e",
        "english language",
        "en_AU",
        "en-",
        "-en",
        "en--AU",
        "xx-y",
        "12",
        "en-AU-",
        "a".repeat(40),
        "en-u",
      ]) {
        expect((await refusal(set(client, "language", tag))).code, tag).to.equal("23514");
      }
      await set(client, "secondary_languages", ["fr", "zh-Hant-TW"]);
      for (const tags of [["fr", ""], ["en_AU"], [null], ["fr,de"], ["fr de"], [["fr"]], ["englishlanguage"]]) {
        expect((await refusal(set(client, "secondary_languages", tags))).code, String(tags)).to.equal("23514");
      }
    });
  });

  it("S-11 16-13: every zone of the server is taken, and what only looks like one is refused", async () => {
    await withModules(modules, async (client) => {
      await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users LIMIT 1");
      const known = `SELECT name FROM pg_timezone_names WHERE name !~ '^(posix|right|SystemV)/' AND name NOT IN ('Factory', 'localtime', 'posixrules')`;
      const { rows } = await client.query<{ name: string }>(known);
      expect(rows.length).to.be.above(400);
      await client.query(
        `DO $$ DECLARE z text; BEGIN FOR z IN ${known} LOOP UPDATE public.user_preferences SET timezone = z; END LOOP; END $$`,
      );
      await set(client, "timezone", "UTC");
      for (const zone of [
        "Mars/Olympus",
        "Foo/Bar3",
        "Europe/Berlin5",
        "PST",
        "GMT-5",
        "japan",
        "+02:00",
        "UTC+3",
        "FOO3",
        "",
        "Etc/GMT+20",
        "local",
      ]) {
        const said = await refusal(set(client, "timezone", zone));
        expect(["22023", "23514"], zone).to.include(said.code);
      }
      const insert = client.query(
        "INSERT INTO public.user_preferences (user_id, timezone) SELECT id, 'Mars/Olympus' FROM auth.users OFFSET 5 LIMIT 1",
      );
      expect((await refusal(insert)).code).to.equal("22023");
    });
  });

  it("S-11: the channels are the guide's three and in_app, each true or false", async () => {
    await withModules(modules, async (client) => {
      await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users LIMIT 1");
      expect(await value(client, "SELECT notification_channels FROM public.user_preferences")).to.deep.equal({
        email: true,
        sms: false,
        push: true,
        in_app: true,
      });
      await set(client, "notification_channels", { email: true, sms: false, push: true });
      for (const bad of [{ fax: true }, { email: "yes" }, { email: null }, [], "email"]) {
        expect((await refusal(set(client, "notification_channels", JSON.stringify(bad)))).code).to.equal("23514");
      }
      await set(client, "quiet_hours", { enabled: true, start: "23:30", end: "06:00", timezone: "user" });
      for (const bad of [
        {},
        { enabled: true, start: "24:00", end: "06:00" },
        { enabled: "yes", start: "23:30", end: "06:00" },
      ]) {
        expect((await refusal(set(client, "quiet_hours", bad))).code).to.equal("23514");
      }
      expect((await refusal(set(client, "emergency_contacts", "{}"))).code).to.equal("23514");
    });
  });

  it("every user gets a row: the migration's, or one with the defaults when he first asks", async () => {
    await withModules(modules, async (client) => {
      const [one, other] = await users(client);
      const mine = await asRole(client, "authenticated", one, async (c) => {
        await value(c, "SELECT public.get_user_preferences()");
        return value<Record<string, unknown>>(c, "SELECT public.get_user_preferences()");
      });
      expect(mine).to.include({ user_id: one, language: "en", timezone: "UTC", theme: "system" });
      expect(await value(client, "SELECT count(*) FROM public.user_preferences")).to.equal("1");
      const said = await refusal(
        asRole(client, "authenticated", other, (c) => c.query("SELECT public.get_user_preferences($1)", [one])),
      );
      expect(said.code).to.equal("42501");
      expect(
        (await refusal(asRole(client, "authenticated", null, (c) => c.query("SELECT public.get_user_preferences()"))))
          .code,
      ).to.equal("42501");
      expect(
        (await refusal(asRole(client, "anon", null, (c) => c.query("SELECT public.get_user_preferences()")))).code,
      ).to.equal("42501");
      const served = await asRole(client, "service_role", null, (c) =>
        value(c, "SELECT public.get_user_preferences($1) ->> 'user_id'", [other]),
      );
      expect(served).to.equal(other);
    });
  });

  it("users read and write their own row and nobody else's, and cannot set its times", async () => {
    await withModules(modules, async (client) => {
      const [one, other] = await users(client);
      await asRole(client, "authenticated", one, (c) =>
        c.query("INSERT INTO public.user_preferences (user_id, theme, language) VALUES ($1, 'dark', 'de')", [one]),
      );
      await asRole(client, "authenticated", one, (c) =>
        c.query(
          "INSERT INTO public.user_preferences (user_id, theme) VALUES ($1, 'light') ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id, theme = excluded.theme",
          [one],
        ),
      );
      await asRole(client, "authenticated", other, async (c) => {
        expect(await value(c, "SELECT count(*) FROM public.user_preferences")).to.equal("0");
        expect((await c.query("UPDATE public.user_preferences SET theme = 'dark'")).rowCount).to.equal(0);
      });
      for (const [role, user, sql] of [
        ["authenticated", other, `INSERT INTO public.user_preferences (user_id) VALUES ('${one}')`],
        ["authenticated", one, `UPDATE public.user_preferences SET user_id = '${other}'`],
        ["authenticated", one, "UPDATE public.user_preferences SET updated_at = now()"],
        ["authenticated", one, "DELETE FROM public.user_preferences"],
        ["authenticated", one, "TRUNCATE public.user_preferences"],
        ["service_role", null, "UPDATE public.user_preferences SET theme = 'dark'"],
        ["anon", null, "SELECT * FROM public.user_preferences"],
      ] as const) {
        expect((await refusal(asRole(client, role, user, (c) => c.query(sql)))).code, `${role}: ${sql}`).to.equal(
          "42501",
        );
      }
      expect(await value(client, "SELECT theme || (updated_at > created_at) FROM public.user_preferences")).to.equal(
        "lighttrue",
      );
    });
  });

  it("audits what others may see and nothing else, and not the rows that the migration writes", async () => {
    await withModules(modules, async (client) => {
      const trail = async () =>
        (
          await client.query<{ line: string }>(
            "SELECT action || changed_columns::text AS line FROM public.audit_log ORDER BY occurred_at",
          )
        ).rows.map((r) => r.line);
      await client.query("INSERT INTO public.user_preferences (user_id, language) SELECT id, 'fr' FROM auth.users");
      await client.query("UPDATE public.user_preferences SET theme = 'dark'");
      expect(await trail()).to.deep.equal([]);
      const [one] = await users(client);
      await client.query(
        "UPDATE public.user_preferences SET family_access_level = 'full', theme = 'light' WHERE user_id = $1",
        [one],
      );
      await client.query("DELETE FROM auth.users WHERE id = $1", [one]);
      expect(await trail()).to.deep.equal(["UPDATE{family_access_level,theme}", "DELETE{}"]);
    });
  });

  it("D-1: an account can be deleted, under v7 and after a rollback, and its preferences go with it", async () => {
    await withModules(modules, async (client, _, engine) => {
      const [one, other] = await users(client);
      await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users");
      await client.query("DELETE FROM auth.users WHERE id = $1", [one]);
      const left = (table: string) =>
        value(client, `SELECT count(*) FROM ${table} WHERE user_id = ANY ($1)`, [[one, other]]);
      expect(await left("public.user_preferences")).to.equal("1");
      await engine.undo("005_user_preferences");
      await client.query("DELETE FROM auth.users WHERE id = $1", [other]);
      expect(await left(await archived(client, "user_preferences"))).to.equal("0");
      await engine.applyReal("005_user_preferences");
    });
  });
});
