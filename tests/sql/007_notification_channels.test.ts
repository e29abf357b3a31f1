import { expect } from "chai";
import type { Client } from "pg";
import { as, expectRefusal, queryAs, service, testOn, value } from "../support/modules";
import { claim, modules, prefer, send, titles, users } from "./007_notices";

const test = testOn(modules);

describe("007_notification_queue: channels", function () {
  this.timeout(60_000);

  test("a channel is used when it is enabled, verified and the consent still stands", async (client) => {
    const [user] = await users(client);
    const mine = <T = string>(text: string, values: unknown[] = []) => as<T>(client, user, text, values);
    const used = async () => {
      await send(client, user, ", p_channels => '{in_app,email,sms,push}'");
      return (await claim(client))[0]?.channels;
    };
    expect(await used()).to.deep.equal(["email", "in_app"]);
    await client.query("UPDATE auth.users SET email_confirmed_at = NULL WHERE id = $1", [user]);
    expect(await used()).to.deep.equal(["in_app"]);
    await prefer(client, user, { notification_channels: { in_app: true, email: true, sms: true } });
    const id = await mine("SELECT public.add_notification_channel('sms', '+61 400 000 000')");
    expect(await used(), "not verified").to.deep.equal(["in_app"]);
    const token = await service(client, "SELECT public.start_channel_verification($1)", [id]);
    const verify = "SELECT public.verify_notification_channel($1, $2)";
    expect(await mine(verify, [id, "wrong"])).to.equal(false);
    expect(await mine(verify, [id, token])).to.equal(true);
    expect(await mine(verify, [id, token]), "used").to.equal(false);
    expect(await used()).to.deep.equal(["in_app", "sms"]);
    const guessed = await service(client, "SELECT public.start_channel_verification($1)", [id]);
    for (let i = 0; i < 5; i++) await mine(verify, [id, `guess ${i}`]);
    expect(await mine(verify, [id, guessed]), "five wrong ones are enough").to.equal(false);
    await prefer(client, user, { notification_channels: { in_app: false } });
    expect(await used()).to.equal(undefined);
    await send(client, user, ", p_priority => 'urgent'");
    expect((await claim(client))[0]!.channels).to.deep.equal(["in_app"]);
    expect(await mine("SELECT public.remove_notification_channel($1)", [id])).to.equal(true);
    await prefer(client, user, { notification_channels: { in_app: true } });
    const consent = await mine("SELECT public.grant_patient_consent($1, 'marketing_communication', 'newsletter')", [
      user,
    ]);
    await send(client, user, ", p_category => 'marketing'", "ad 1");
    expect(await titles(client)).to.include("ad 1");
    await send(client, user, ", p_category => 'marketing'", "ad 2");
    await mine("SELECT public.revoke_patient_consent($1)", [consent]);
    expect(await titles(client)).to.not.include("ad 2");
  });

  test("a user has at most 20 addresses, two requests at once included; one that is there becomes active again", async (client, db) => {
    const [one] = await users(client);
    const add = (c: Client, identifier: string): Promise<string> =>
      as(c, one, "SELECT public.add_notification_channel('sms', $1)", [identifier]);
    const ids: string[] = [];
    for (let i = 0; i < 19; i++) ids.push(await add(client, `+61 400 000 0${i + 10}`));
    const rivals = [await db.connect(), await db.connect()];
    const both = await Promise.allSettled(rivals.map((rival, i) => add(rival, `+61 400 000 1${i + 10}`)));
    expect(both.map((each) => each.status).sort(), "one place for two").to.deep.equal(["fulfilled", "rejected"]);
    const lost = both.find((each) => each.status === "rejected") as PromiseRejectedResult;
    expect((lost.reason as { code: string }).code).to.equal("54000");
    await queryAs(client, "authenticated", one, "UPDATE public.notification_delivery_channels SET is_active = false");
    await expectRefusal("54000", add(client, "+61 400 000 200"), "inactive ones count");
    expect(await add(client, "+61 400 000 010"), "one of the 20").to.equal(ids[0]);
    const counted =
      "SELECT count(*) || ' ' || count(*) FILTER (WHERE is_active) FROM public.notification_delivery_channels";
    expect(await value(client, counted)).to.equal("20 1");
  });

  test("K-16: users read their own messages and mark them; they send none, and nobody reads a token", async (client) => {
    const [one, other] = await users(client);
    const id = await send(client, one);
    expect(await send(client, one, ", p_dedup_key => 'k'")).to.equal(await send(client, one, ", p_dedup_key => 'k'"));
    const channel = await as(client, one, "SELECT public.add_notification_channel('sms', '+61 400 000 000')");
    const count = (user: string) =>
      as(
        client,
        user,
        "SELECT (SELECT count(id) FROM public.notification_queue) || ' ' || (SELECT count(id) FROM public.notification_delivery_channels)",
      );
    expect(await count(one)).to.equal("2 1");
    expect(await count(other)).to.equal("0 0");
    const mark = (user: string) => as(client, user, "SELECT public.mark_notification($1, 'dismissed')", [id]);
    expect([await mark(other), await mark(one)]).to.deep.equal([false, true]);
    await queryAs(
      client,
      "authenticated",
      one,
      "UPDATE public.notification_delivery_channels SET priority_threshold = 'high'",
    );
    const stolen = await queryAs(
      client,
      "authenticated",
      other,
      "UPDATE public.notification_delivery_channels SET is_active = false",
    );
    expect(stolen.rowCount).to.equal(0);
    expect(await as(client, other, "SELECT public.remove_notification_channel($1)", [channel])).to.equal(false);
    for (const [role, sql] of [
      [
        "authenticated",
        `INSERT INTO public.notification_queue (user_id, notification_type, title, body) VALUES ('${other}', 'security_alert', 'a', 'b')`,
      ],
      ["authenticated", "UPDATE public.notification_queue SET title = 'x'"],
      ["authenticated", "DELETE FROM public.notification_queue"],
      ["authenticated", "SELECT lease_token FROM public.notification_queue"],
      ["authenticated", `SELECT public.enqueue_notification('${other}', 'security_alert', 'a', 'b')`],
      ["authenticated", "UPDATE public.notification_delivery_channels SET verified_at = now()"],
      ["authenticated", "SELECT verification_hash FROM public.notification_delivery_channels"],
      ["service_role", "SELECT verification_hash FROM public.notification_delivery_channels"],
      ["service_role", "TRUNCATE public.notification_queue"],
      ["anon", "SELECT id FROM public.notification_queue"],
    ] as const) {
      await expectRefusal("42501", queryAs(client, role, one, sql), `${role}: ${sql}`);
    }
  });
});
