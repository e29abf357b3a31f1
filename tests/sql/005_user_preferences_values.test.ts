import { expect } from "chai";
import { count, accounts, expectRefusal, refusal, testOn, value } from "../support/modules";

const modules = ["000_audit_log", "005_user_preferences"];

const test = testOn(modules);

describe("005_user_preferences: values", function () {
  this.timeout(60_000);

  test("refuses every value that a column may not have, on insert and on update, without saying the value", async (client) => {
    const [one, other] = await accounts(client);
    await client.query("INSERT INTO public.user_preferences (user_id) VALUES ($1)", [one]);
    const checked = [
      ...["theme", "font_size", "font_family", "color_blind_support", "language", "timezone", "date_format"],
      ...["time_format", "medical_terminology_level", "notification_frequency", "default_sharing_level"],
      ...["family_access_level", "preferred_export_format", "auto_backup_frequency", "secondary_languages"],
      ...["preferred_units", "dashboard_layout", "notification_channels", "quiet_hours", "emergency_contacts"],
    ];
    for (const column of checked) {
      const bad = column === "secondary_languages" ? "{no language}" : '"no such value"';
      const insert = `INSERT INTO public.user_preferences (user_id, ${column}) VALUES ('${other}', $1)`;
      const alone = `UPDATE public.user_preferences SET ${column} = $1`;
      const amongOthers = `UPDATE public.user_preferences SET ${column} = $1, theme = 'dark', language = 'de'`;
      for (const sql of column === "theme" || column === "language" ? [insert, alone] : [insert, alone, amongOthers]) {
        const said = await refusal(client.query(sql, [bad]));
        expect(said, sql).to.deep.equal({
          code: "23514",
          message: `${sql.slice(0, 6)} of public.user_preferences is refused: column ${column} does not take this value`,
        });
      }
      await expectRefusal("23502", client.query(`UPDATE public.user_preferences SET ${column} = NULL`), column);
    }
    expect(await count(client, "public.user_preferences")).to.equal(1);
    expect(await value(client, "SELECT updated_at = created_at FROM public.user_preferences")).to.equal(true);
  });

  test("sets updated_at when something changed, in whatever column, and only then", async (client) => {
    await client.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users LIMIT 1");
    const time = () => value<string>(client, "SELECT updated_at::text FROM public.user_preferences");
    let before = await time();
    for (const [assignment, changes] of [
      ["theme = 'system'", false],
      ["theme = 'dark'", true],
      ["theme = 'dark', notification_channels = notification_channels", false],
      ["auto_backup_enabled = true", true],
      ["notification_channels = '{}'", true],
      ["user_id = user_id", false],
    ] as const) {
      await client.query(`UPDATE public.user_preferences SET ${assignment}`);
      const after = await time();
      expect(after !== before, assignment).to.equal(changes);
      before = after;
    }
  });
});
