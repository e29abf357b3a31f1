import { expect } from "chai";
import { expectRefusal, service, testOn, value } from "../support/modules";
import { claim, later, modules, prefer, quietNow, send, titles, users } from "./007_notices";

const test = testOn(modules);

describe("007_notification_queue: delivery", function () {
  this.timeout(60_000);

  test("16-13 who was deleted since is told nothing, whatever its priority", async (client) => {
    const [gone, other] = await users(client);
    for (const user of [gone, other]) await send(client, user, ", p_priority => 'urgent'");
    await client.query("UPDATE auth.users SET deleted_at = now() WHERE id = $1", [gone]);
    expect((await claim(client)).map((notice) => notice.user_id)).to.deep.equal([other]);
    const status = "SELECT status FROM public.notification_queue WHERE user_id = $1";
    expect(await value(client, status, [gone])).to.equal("suppressed");
  });

  test("what nobody can be sent is ended 5,000 messages a call, and keeps what can be from going for a call only", async (client) => {
    const [user] = await users(client);
    await client.query(
      `INSERT INTO public.notification_queue (user_id, notification_type, priority, title, body, delivery_channels, dedup_key)
       SELECT $1, 'system_upgrade', 'high', 'No address', 'Text.', '{sms}', n FROM generate_series(1, 5500) AS n`,
      [user],
    );
    await send(client, user);
    const ended = "SELECT count(*)::int FROM public.notification_queue WHERE status = 'suppressed'";
    expect([await titles(client), await value(client, ended)]).to.deep.equal([[], 5000]);
    expect([await titles(client), await value(client, ended)]).to.deep.equal([["Hello"], 5500]);
  });

  test("U-5: quiet hours go by the user's clock and past midnight", async (client) => {
    const end = async (hours: string, zone: string, at: string) =>
      value<string | null>(
        client,
        `SELECT to_char(public.quiet_hours_end($1, $2, $3) AT TIME ZONE 'UTC', 'MM-DD HH24:MI')`,
        [hours, zone, at],
      );
    const hours = (start: string, stop: string, zone = "user", enabled = true) =>
      JSON.stringify({ enabled, start, end: stop, timezone: zone });
    for (const [zone, at, expected] of [
      ["UTC", "2025-06-10 21:59Z", null],
      ["UTC", "2025-06-10 22:00Z", "06-11 08:00"],
      ["UTC", "2025-06-10 23:59Z", "06-11 08:00"],
      ["UTC", "2025-06-11 00:00Z", "06-11 08:00"],
      ["UTC", "2025-06-11 07:59Z", "06-11 08:00"],
      ["UTC", "2025-06-11 08:00Z", null],
      ["Australia/Sydney", "2025-06-11 12:30Z", "06-11 22:00"],
      ["Australia/Sydney", "2025-06-11 22:30Z", null],
      ["America/New_York", "2025-03-09 04:00Z", "03-09 12:00"],
    ] as const) {
      expect(await end(hours("22:00", "08:00"), zone, at), `${zone} ${at}`).to.equal(expected);
    }
    expect(await end(hours("13:00", "15:00"), "UTC", "2025-06-10 14:00Z")).to.equal("06-10 15:00");
    expect(await end(hours("13:00", "15:00"), "UTC", "2025-06-10 23:00Z")).to.equal(null);
    expect(await end(hours("22:00", "08:00", "Asia/Tokyo"), "UTC", "2025-06-10 14:00Z")).to.equal("06-10 23:00");
    expect(await end(hours("22:00", "08:00", "Mars/Olympus"), "UTC", "2025-06-10 23:00Z")).to.equal("06-11 08:00");
    expect(await end(hours("22:00", "08:00", "user", false), "UTC", "2025-06-10 23:00Z")).to.equal(null);
    expect(await end(hours("08:00", "08:00"), "UTC", "2025-06-10 08:00Z")).to.equal(null);
    const digest = async (frequency: string, at: string) =>
      value(
        client,
        "SELECT to_char(public.next_digest_at($1, 'Australia/Sydney', $2) AT TIME ZONE 'Australia/Sydney', 'Dy HH24:MI')",
        [frequency, at],
      );
    expect(await digest("hourly", "2025-06-11 03:10Z")).to.equal("Wed 14:00");
    expect(await digest("daily", "2025-06-10 21:59Z")).to.equal("Wed 08:00");
    expect(await digest("daily", "2025-06-10 22:00Z")).to.equal("Thu 08:00");
    expect(await digest("weekly", "2025-06-10 22:00Z")).to.equal("Mon 08:00");
    expect(await digest("immediate", "2025-06-10 22:00Z")).to.equal(null);
  });

  test("U-5: in quiet hours low, normal and high wait for their end and are delivered then; urgent does not wait", async (client) => {
    const [user] = await users(client);
    await prefer(client, user, {
      timezone: "Australia/Sydney",
      quiet_hours: await quietNow(client, "Australia/Sydney"),
    });
    for (const priority of ["urgent", "high", "normal", "low"])
      await send(client, user, `, p_priority => '${priority}'`, priority);
    expect(await titles(client)).to.deep.equal(["urgent"]);
    const waiting =
      "SELECT count(*) FROM public.notification_queue WHERE status = 'scheduled' AND next_attempt_at BETWEEN now() + interval '118 min' AND now() + interval '121 min'";
    expect(await value(client, waiting)).to.equal("3");
    await prefer(client, user, {
      quiet_hours: { enabled: false, start: "22:00", end: "08:00", timezone: "user" },
    });
    expect(await titles(client)).to.deep.equal([]);
    await later(client);
    expect(await titles(client)).to.deep.equal(["high", "low", "normal"]);
  });

  test("U-5: priorities count by rank: urgent, high, normal, low; a channel's threshold too", async (client) => {
    const [user] = await users(client);
    for (const priority of ["low", "normal", "urgent", "high"])
      await send(client, user, `, p_priority => '${priority}', p_channels => '{in_app,sms}'`, priority);
    await prefer(client, user, { notification_channels: { in_app: true, sms: true } });
    await client.query(
      "INSERT INTO public.notification_delivery_channels (user_id, channel_type, channel_identifier, verified_at, priority_threshold) VALUES ($1, 'sms', '+61 400', now(), 'normal')",
      [user],
    );
    const given = [];
    for (let next = await claim(client, 1); next.length > 0; next = await claim(client, 1))
      given.push(`${next[0]!.priority} ${next[0]!.channels.join("+")}`);
    expect(given).to.deep.equal(["urgent in_app+sms", "high in_app+sms", "normal in_app+sms", "low in_app"]);
  });

  test("U-6: a digest lists what waits, suppresses exactly that, and is none where there is nothing to list", async (client) => {
    const [user, other] = await users(client);
    for (const one of [user, other]) await prefer(client, one, { notification_frequency: "daily" });
    const digest = (one: string) =>
      service<string | null>(client, "SELECT public.create_notification_digest($1, 'daily')", [one]);
    expect(await digest(user)).to.equal(null);
    for (const title of ["a", "b", "c"]) await send(client, user, "", title);
    await send(client, user, ", p_priority => 'high'", "at once");
    await send(client, other, "", "single");
    expect(await titles(client)).to.deep.equal(["at once"]);
    await send(client, user, "", "came later");
    await later(client);
    const given = await claim(client);
    expect(given.map((notice) => notice.notification_type).sort()).to.deep.equal([
      "care_team_message",
      "digest_summary",
    ]);
    expect(given.find((notice) => notice.user_id === other)!.title).to.equal("single");
    const made = given.find((notice) => notice.user_id === user)!;
    expect((made.data["items"] as { title: string }[]).map((item) => item.title)).to.include.members(["a", "b", "c"]);
    const listed = await client.query<{ id: string }>(
      "SELECT id FROM public.notification_queue WHERE status = 'suppressed' AND digest_id = $1 ORDER BY id",
      [made.id],
    );
    expect(listed.rows.map((row) => row.id)).to.deep.equal(
      (made.data["items"] as { id: string }[]).map((item) => item.id).sort(),
    );
    expect(await titles(client)).to.deep.equal([]);
  });

  test("U-5: a claimed message is delivered once or tried again, never queued for ever; expired ones end", async (client, db) => {
    const [user, other] = await users(client);
    for (const one of [user, other]) for (let i = 0; i < 5; i++) await send(client, one, "", `m${i}`);
    const workers = [await db.connect(), await db.connect()];
    const batches = await Promise.all(workers.map((worker) => claim(worker, 5)));
    expect(new Set(batches.flat().map((notice) => notice.id)).size).to.equal(10);
    const [first, second, third] = batches.flat();
    const done = "SELECT public.complete_notification($1, $2, '{in_app}')";
    expect(await service(client, done, [first!.id, second!.lease_token])).to.equal(false);
    expect(await service(client, done, [first!.id, first!.lease_token])).to.equal(true);
    expect(await service(client, done, [first!.id, first!.lease_token])).to.equal(false);
    let lease = second!.lease_token;
    for (const [attempt, expected] of ["scheduled", "scheduled", "scheduled", "scheduled", "failed"].entries()) {
      expect(
        await service(client, "SELECT public.fail_notification($1, $2, 'smtp.451')", [second!.id, lease]),
        `attempt ${attempt + 1}`,
      ).to.equal(expected);
      await client.query("UPDATE public.notification_queue SET next_attempt_at = now() WHERE id = $1", [second!.id]);
      lease = (await claim(client)).find((notice) => notice.id === second!.id)?.lease_token ?? lease;
    }
    await client.query(
      "UPDATE public.notification_queue SET next_attempt_at = now(), expires_at = now() WHERE id = $1",
      [third!.id],
    );
    await claim(client);
    const states = await client.query("SELECT status, count(*) FROM public.notification_queue GROUP BY 1 ORDER BY 1");
    expect(states.rows).to.deep.equal([
      { status: "delivered", count: "1" },
      { status: "expired", count: "1" },
      { status: "failed", count: "1" },
      { status: "processing", count: "7" },
    ]);
    await expectRefusal(
      "22023",
      service(client, "SELECT public.complete_notification($1, $2, '{}')", [first!.id, lease]),
    );
  });
});
