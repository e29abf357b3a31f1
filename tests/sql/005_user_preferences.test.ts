import { expect } from "chai";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import {
  count,
  accounts,
  archived,
  describeLifecycle,
  expectRefusal,
  lines,
  queryAs,
  refusal,
  service,
  testOn,
  value,
} from "../support/modules";

const modules = ["000_audit_log", "005_user_preferences"];
const set = (client: Client, column: string, given: unknown): Promise<unknown> =>
  client.query(`UPDATE public.user_preferences SET ${column} = $1`, [given]);

const test = testOn(modules);

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

  test("S-11: takes the guide's columns for every account, with en-AU, once", async (client) => {
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

  test("S-11: language is a BCP 47 tag, whatever its parts", async (client) => {
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
      await expectRefusal("23514", set(client, "language", tag), tag);
    }
    await set(client, "secondary_languages", ["fr", "zh-Hant-TW"]);
    for (const tags of [["fr", ""], ["en_AU"], [null], ["fr,de"], ["fr de"], [["fr"]], ["englishlanguage"]]) {
      await expectRefusal("23514", set(client, "secondary_languages", tags), String(tags));
    }
  });

  test("S-11 16-13: every zone of the server is taken, and what only looks like one is refused", async (client) => {
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
    await expectRefusal("22023", insert);
  });

  test("S-11: the channels are the guide's three and in_app, each true or false", async (client) => {
    await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users LIMIT 1");
    expect(await value(client, "SELECT notification_channels FROM public.user_preferences")).to.deep.equal({
      email: true,
      sms: false,
      push: true,
      in_app: true,
    });
    await set(client, "notification_channels", { email: true, sms: false, push: true });
    for (const bad of [{ fax: true }, { email: "yes" }, { email: null }, [], "email"]) {
      await expectRefusal("23514", set(client, "notification_channels", JSON.stringify(bad)));
    }
    await set(client, "quiet_hours", { enabled: true, start: "23:30", end: "06:00", timezone: "user" });
    for (const bad of [
      {},
      { enabled: true, start: "24:00", end: "06:00" },
      { enabled: "yes", start: "23:30", end: "06:00" },
    ]) {
      await expectRefusal("23514", set(client, "quiet_hours", bad));
    }
    await expectRefusal("23514", set(client, "emergency_contacts", "{}"));
  });

  test("every user gets a row: the migration's, or one with the defaults when he first asks", async (client) => {
    const [one, other] = await accounts(client);
    const mine = await asRole(client, "authenticated", one, async (c) => {
      await value(c, "SELECT public.get_user_preferences()");
      return value<Record<string, unknown>>(c, "SELECT public.get_user_preferences()");
    });
    expect(mine).to.include({ user_id: one, language: "en", timezone: "UTC", theme: "system" });
    expect(await count(client, "public.user_preferences")).to.equal(1);
    await expectRefusal(
      "42501",
      queryAs(client, "authenticated", other, "SELECT public.get_user_preferences($1)", [one]),
    );
    await expectRefusal("42501", queryAs(client, "authenticated", null, "SELECT public.get_user_preferences()"));
    await expectRefusal("42501", queryAs(client, "anon", null, "SELECT public.get_user_preferences()"));
    const served = await service(client, "SELECT public.get_user_preferences($1) ->> 'user_id'", [other]);
    expect(served).to.equal(other);
  });

  test("users read and write their own row and nobody else's, and cannot set its times", async (client) => {
    const [one, other] = await accounts(client);
    await queryAs(
      client,
      "authenticated",
      one,
      "INSERT INTO public.user_preferences (user_id, theme, language) VALUES ($1, 'dark', 'de')",
      [one],
    );
    await queryAs(
      client,
      "authenticated",
      one,
      "INSERT INTO public.user_preferences (user_id, theme) VALUES ($1, 'light') ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id, theme = excluded.theme",
      [one],
    );
    await asRole(client, "authenticated", other, async (c) => {
      expect(await count(c, "public.user_preferences")).to.equal(0);
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
      await expectRefusal("42501", queryAs(client, role, user, sql), `${role}: ${sql}`);
    }
    expect(await value(client, "SELECT theme || (updated_at > created_at) FROM public.user_preferences")).to.equal(
      "lighttrue",
    );
  });

  test("audits what others may see and nothing else, and not the rows that the migration writes", async (client) => {
    const trail = () =>
      lines(client, "SELECT action || changed_columns::text AS line FROM public.audit_log ORDER BY occurred_at");
    await client.query("INSERT INTO public.user_preferences (user_id, language) SELECT id, 'fr' FROM auth.users");
    await client.query("UPDATE public.user_preferences SET theme = 'dark'");
    expect(await trail()).to.deep.equal([]);
    const [one] = await accounts(client);
    await client.query(
      "UPDATE public.user_preferences SET family_access_level = 'full', theme = 'light' WHERE user_id = $1",
      [one],
    );
    await client.query("DELETE FROM auth.users WHERE id = $1", [one]);
    expect(await trail()).to.deep.equal(["UPDATE{family_access_level,theme}", "DELETE{}"]);
  });

  test("D-1: an account can be deleted, under v7 and after a rollback, and its preferences go with it", async (client, _, engine) => {
    const [one, other] = await accounts(client);
    await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users");
    await client.query("DELETE FROM auth.users WHERE id = $1", [one]);
    const left = (table: string) =>
      value(client, `SELECT count(*) FROM ${table} WHERE user_id = ANY ($1)`, [[one, other]]);
    expect(await left("public.user_preferences")).to.equal("1");
    await engine.undo("005_user_preferences");
    await client.query("DELETE FROM auth.users WHERE id = $1", [other]);
    expect(await left(await archived(client, "user_preferences"))).to.equal("0");
  });
});
