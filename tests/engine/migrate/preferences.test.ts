import { expect } from "chai";
import { column } from "../module/harness";
import { withData } from "./data";

describe("the preferences of v6", function () {
  this.timeout(60_000);

  it("preferences: a row for every account, from its profile where there is one", () =>
    withData("preferences", async ({ db, client, move, back }) => {
      const admin = await db.connect("admin");
      const cases: [string | null, string | null, string, string][] = [
        ["en-AU", "Australia/Sydney", "en-AU", "Australia/Sydney"],
        ["EN", "utc", "en", "UTC"],
        ["pt-br", "america/sao_paulo", "pt-BR", "America/Sao_Paulo"],
        ["zh-Hans-CN", "America/Argentina/Buenos_Aires", "zh-Hans-CN", "America/Argentina/Buenos_Aires"],
        ["English", "EST5EDT", "en", "EST5EDT"],
        ["e'n; DROP", "Mars/Olympus_Mons", "en", "UTC"],
        ["", "", "en", "UTC"],
        [null, null, "en", "UTC"],
        ["de_DE", "posix/Europe/Berlin", "de-DE", "UTC"],
        ["en_AU", "Japan", "en-AU", "Japan"],
        ["en_au.UTF-8", "gb", "en-AU", "GB"],
        ["ca_ES.UTF-8@valencia", "Factory", "ca-ES", "UTC"],
        ["en_AU.UTF-8; DROP", "PST", "en", "UTC"],
        ["de-CH-1996", "etc/gmt-10", "de-CH-1996", "Etc/GMT-10"],
        ["ca-ES-valencia", "Etc/UTC", "ca-ES-valencia", "Etc/UTC"],
        ["en-AU\n", "Europe/Berlin\n", "en", "UTC"],
        ["ⅴn", "Europe/Berlin; SELECT 1", "en", "UTC"],
      ];
      const users = await column<string>(client, "SELECT id FROM auth.users ORDER BY id LIMIT 20");
      await admin.query("DELETE FROM public.user_profiles WHERE user_id = ANY ($1)", [users]);
      for (const [i, [language, timezone]] of cases.entries()) {
        await admin.query("INSERT INTO public.user_profiles (user_id, language, timezone) VALUES ($1, $2, $3)", [
          users[i],
          language,
          timezone,
        ]);
      }
      const [all] = await column<number>(client, "SELECT count(*)::int FROM auth.users");
      expect(await move({})).to.deep.equal({ source: BigInt(all!), written: BigInt(all!) });
      const { rows } = await client.query<{ user_id: string; language: string; timezone: string }>(
        "SELECT user_id, language, timezone FROM public.user_preferences WHERE user_id = ANY ($1) ORDER BY array_position($1, user_id)",
        [users],
      );
      expect(rows.map((row) => [row.language, row.timezone])).to.deep.equal(
        users.map((_user, i) => [cases[i]?.[2] ?? "en", cases[i]?.[3] ?? "UTC"]),
      );
      expect(await back()).to.deep.equal({ removed: BigInt(all!), kept: 0n });
    }));

  it("preferences, where v6 has no profiles: the defaults for every account", () =>
    withData(
      "preferences",
      async ({ client, move }) => {
        await move({});
        expect(
          await column(
            client,
            "SELECT concat_ws(' ', language, timezone, count(*) = (SELECT count(*) FROM auth.users)) FROM public.user_preferences GROUP BY language, timezone",
          ),
        ).to.deep.equal(["en UTC t"]);
      },
      { profiles: false },
    ));
});
