import { expect } from "chai";
import {
  count,
  deleteAccount,
  as,
  describeLifecycle,
  expectRefusal,
  lines,
  openBatch,
  queryAs,
  service,
  testOn,
  value,
  verifyModule,
} from "../support/modules";
import { claim as work, complete, documents, enqueue, fail, save } from "./006_queue";
import { claim, deletedUsers, modules, noticeModule, send, users } from "./007_notices";

const upgrade = `INSERT INTO notification_queue (user_id, notification_type, priority, title, body, data, scheduled_for)
  SELECT u.id, 'system_upgrade', 'normal', 'Guardian v7 Upgrade Coming Soon',
    'The upgrade will happen on ' || to_char(timestamp '2025-05-03', 'Month DD, YYYY') || '.',
    jsonb_build_object('upgrade_date', NOW() + INTERVAL '3 days', 'expected_downtime', '2 hours',
      'new_features', '["FHIR Integration", "Enhanced Consent Management", "Improved Document Processing"]'),
    NOW() + INTERVAL '1 hour'
  FROM auth.users u WHERE u.email IS NOT NULL`;
const welcome = `INSERT INTO notification_queue (user_id, notification_type, priority, title, body, data)
  SELECT u.id, 'feature_introduction', 'normal', 'Welcome to Guardian v7!', 'Your Guardian experience just got better!',
    jsonb_build_object('tour_available', true, 'new_features_url', '/features/v7-overview', 'support_url', '/support/v7-migration')
  FROM auth.users u WHERE u.created_at < NOW() - INTERVAL '1 day'`;
const maintenance = `INSERT INTO notification_queue (user_id, notification_type, priority, title, body)
  SELECT id, 'system_maintenance', 'high', 'System Maintenance', 'We are performing system maintenance.'
  FROM auth.users WHERE role != 'admin'`;

const test = testOn(modules);

describe("007_notification_queue", function () {
  this.timeout(60_000);

  describeLifecycle(noticeModule, {
    "ALTER TABLE public.notification_queue DISABLE ROW LEVEL SECURITY": /notification_queue: NO row security/,
    "GRANT UPDATE ON public.notification_queue TO authenticated": /authenticated may UPDATE/,
    "GRANT SELECT (verification_hash) ON public.notification_delivery_channels TO service_role":
      /service_role may SELECT of .*verification_hash/,
    "ALTER POLICY notification_queue_own ON public.notification_queue USING (true)":
      /queue_own for SELECT to authenticated using true/,
    "DROP INDEX public.notification_queue_once_key": /missing \[.*unique index public.notification_queue_once_key/,
    "ALTER TABLE public.notification_queue DROP CONSTRAINT notification_queue_type_check":
      /missing \[.*queue_type_check/,
    "ALTER TABLE public.notification_queue DROP CONSTRAINT notification_queue_user_id_fkey":
      /missing \[.*ON DELETE CASCADE/,
    "ALTER TABLE public.patient_consents DISABLE TRIGGER patient_consents_notify_change":
      /missing or DISABLED \[public\.patient_consents: trigger patient_consents_notify_change\]/,
    "DROP TRIGGER document_processing_queue_notify ON public.document_processing_queue":
      /missing \[definition of document_processing_queue_notify on/,
    "GRANT EXECUTE ON FUNCTION public.start_channel_verification(uuid) TO authenticated": /authenticated may EXECUTE/,
  });

  test("S-18: the guide's three INSERTs work as they are", async (client) => {
    for (const sql of [upgrade, welcome, maintenance]) expect((await client.query(sql)).rowCount).to.be.above(100);
    const { rows } = await client.query(
      "SELECT DISTINCT notification_type AS type, priority, category, status FROM public.notification_queue ORDER BY 1",
    );
    expect(rows).to.deep.equal([
      { type: "feature_introduction", priority: "normal", category: "administrative", status: "queued" },
      { type: "system_maintenance", priority: "high", category: "administrative", status: "queued" },
      { type: "system_upgrade", priority: "normal", category: "administrative", status: "queued" },
    ]);
    const given = await claim(client, 1000);
    expect(new Set(given.map((notice) => notice.notification_type)).has("system_upgrade"), "not yet due").to.equal(
      false,
    );
    expect(given.find((notice) => notice.notification_type === "system_maintenance")!.data).to.deep.equal({});
  });

  test("S-20: the padded month and the array in a string come out as meant, and nothing is sent twice", async (client) => {
    await client.query(upgrade);
    const { rows } = await client.query(
      "SELECT DISTINCT body, data -> 'new_features' AS news FROM public.notification_queue",
    );
    expect(rows).to.deep.equal([
      {
        body: "The upgrade will happen on May 03, 2025.",
        news: ["FHIR Integration", "Enhanced Consent Management", "Improved Document Processing"],
      },
    ]);
    const [user] = await users(client);
    const sentence = await value(
      client,
      `INSERT INTO public.notification_queue (user_id, notification_type, title, body, data)
            VALUES ($1, 'health_insight', 'a', 'b', '{"new_features": "[sic] many"}') RETURNING data ->> 'new_features'`,
      [user],
    );
    expect(sentence).to.equal("[sic] many");
    await expectRefusal("23505", client.query(upgrade));
    // A month later the same words are news.
    await client.query("UPDATE public.notification_queue SET created_at = created_at - interval '30 days'");
    await client.query(upgrade);
  });

  test("S-19 S-20: a campaign reaches every account once, NULL roles too, and no deleted one; marketing asks first", async (client) => {
    await client.query(
      "UPDATE auth.users SET role = NULL WHERE id IN (SELECT id FROM auth.users ORDER BY id LIMIT 50)",
    );
    await client.query(
      "UPDATE auth.users SET deleted_at = now() WHERE id IN (SELECT id FROM auth.users ORDER BY id DESC LIMIT 3)",
    );
    await client.query(
      "UPDATE auth.users SET email_confirmed_at = NULL WHERE id IN (SELECT id FROM auth.users ORDER BY id OFFSET 60 LIMIT 5)",
    );
    const living = await value(client, "SELECT count(*) FROM auth.users WHERE deleted_at IS NULL");
    const campaign = (name: string, more = "") =>
      service(client, `SELECT public.enqueue_notification_campaign($1, 'system_upgrade', 'Title', 'Text.'${more})`, [
        name,
      ]);
    expect(await campaign("upgrade-2025")).to.equal(living);
    expect(await campaign("upgrade-2025")).to.equal("0");
    const [deleted] = await deletedUsers(client);
    expect(await send(client, deleted!), "16-13 nor by any other way").to.equal(null);
    await client.query(
      "DELETE FROM public.notification_queue WHERE id IN (SELECT id FROM public.notification_queue LIMIT 7)",
    );
    expect(await campaign("upgrade-2025"), "goes on where it stopped").to.equal("7");
    expect(await campaign("upgrade-2026"), "the same words, another campaign").to.equal(living);
    expect(await campaign("tour", ", p_audience => 'confirmed'")).to.equal(
      await value(
        client,
        "SELECT count(*) FROM auth.users WHERE deleted_at IS NULL AND email_confirmed_at IS NOT NULL",
      ),
    );
    expect(await campaign("ads", ", p_category => 'marketing'")).to.equal("0");
    const [user] = await users(client);
    await queryAs(
      client,
      "authenticated",
      user,
      "SELECT public.grant_patient_consent($1, 'marketing_communication', 'newsletter')",
      [user],
    );
    expect(await campaign("ads", ", p_category => 'marketing'")).to.equal("1");
    for (const bad of [
      "campaign('', 'system_upgrade', 'a', 'b')",
      "campaign('x', 'system_upgrade', 'a', 'b', p_audience => 'vip')",
    ]) {
      await expectRefusal("22023", queryAs(client, "service_role", null, `SELECT public.enqueue_notification_${bad}`));
    }
  });

  test("S-20: a user gets a campaign by the channels that he enabled, and none where he enabled none (scenario 11)", async (client) => {
    const [one, other] = await users(client);
    await client.query(
      `INSERT INTO public.user_preferences (user_id, notification_channels) VALUES ($1, '{"in_app": true, "email": false}'), ($2, '{"in_app": false, "email": false}')`,
      [one, other],
    );
    await queryAs(
      client,
      "service_role",
      null,
      "SELECT public.enqueue_notification_campaign('c', 'system_upgrade', 'a', 'b')",
    );
    const { rows } = await client.query(
      "SELECT user_id, delivery_channels FROM public.notification_queue WHERE user_id IN ($1, $2)",
      [one, other],
    );
    expect(rows).to.deep.equal([{ user_id: one, delivery_channels: ["in_app"] }]);
  });

  test("U-3: a consent can be revoked, the patient is told, and a message that fails does not hinder it", async (client) => {
    const [user] = await users(client);
    const request = () =>
      service(client, "SELECT public.request_patient_consent($1, 'data_sharing', 'research')", [user]);
    const decide = (sql: string, id: string) => as(client, user, sql, [id]);
    const told = () =>
      lines(
        client,
        "SELECT notification_type || ' ' || title AS line FROM public.notification_queue ORDER BY created_at, title",
      );
    await request();
    const id = await decide("SELECT public.grant_patient_consent($1, 'data_sharing', 'research')", user);
    expect(await decide("SELECT public.revoke_patient_consent($1, 'no')", id)).to.equal(true);
    expect(await told()).to.deep.equal([
      "data_sharing_request You are asked for a consent",
      "consent_updated A consent was given",
      "consent_updated A consent was revoked",
    ]);
    await client.query("ALTER TABLE public.notification_queue ADD CONSTRAINT broken CHECK (false) NOT VALID");
    const again = await request();
    await decide("SELECT public.grant_patient_consent($1, 'data_sharing', 'research')", user);
    expect(await decide("SELECT public.revoke_patient_consent($1, 'no')", again)).to.equal(true);
    expect(await count(client, "public.patient_consents WHERE revoked_at IS NOT NULL")).to.equal(2);
    expect(await told()).to.have.length(3);
  });

  test("U-4: a completed run and a dead letter are told, once, and a message that fails does not hinder them", async (client) => {
    const [one, other] = await documents(client);
    await save(
      client,
      '[{"stage": "a", "processor_type": "ai_analysis"}, {"stage": "b", "processor_type": "ai_analysis", "max_attempts": 1}]',
    );
    const through = async () => {
      for (let next = await work(client); next.length > 0; next = await work(client))
        for (const w of next) expect(await complete(client, w)).to.equal(true);
    };
    await enqueue(client, one.id);
    await through();
    await enqueue(client, other.id);
    await complete(client, (await work(client))[0]!);
    expect(await fail(client, (await work(client))[0]!)).to.equal("dead_letter");
    const { rows } = await client.query(
      "SELECT user_id AS user, notification_type AS type, title, data FROM public.notification_queue ORDER BY created_at",
    );
    expect(rows).to.deep.equal([
      {
        user: one.owner,
        type: "document_processed",
        title: "A document has been processed",
        data: { document_id: one.id, status: "completed" },
      },
      {
        user: other.owner,
        type: "document_processed",
        title: "A document could not be processed",
        data: { document_id: other.id, status: "dead_letter" },
      },
    ]);
    await client.query("ALTER TABLE public.notification_queue ADD CONSTRAINT broken CHECK (false) NOT VALID");
    await enqueue(client, one.id);
    await through();
    expect(await count(client, "public.document_processing_queue WHERE status = 'completed'")).to.equal(5);
  });

  test("the rows that the migration writes are not told one by one, and the modules below still verify", async (client) => {
    await openBatch(client, "00000000-0000-4000-8000-000000000001");
    const pending = `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, consent_metadata)
            SELECT id, 'data_sharing', $1, 'consent', '{"state": "pending"}' FROM auth.users`;
    await client.query("SET guardian_migration.batch = '00000000-0000-4000-8000-000000000001'");
    await client.query(pending, ["healthcare_services"]);
    await client.query("RESET guardian_migration.batch");
    expect(await count(client, "public.notification_queue")).to.equal(0);
    const asked = (await client.query(pending, ["research"])).rowCount!;
    const told = await value(client, "SELECT count(*) FROM public.notification_queue");
    expect(Number(told)).to.equal(asked - (await deletedUsers(client)).length);
    for (const name of modules) await verifyModule(client, name);
  });

  test("D-1: an account is deleted with its messages and addresses", async (client, db) => {
    const [one, other] = await users(client);
    for (const user of [one, other]) {
      await send(client, user);
      await queryAs(client, "authenticated", user, "SELECT public.add_notification_channel('sms', '+61 400 000 000')");
    }
    await deleteAccount(await db.connect("admin"), one);
    for (const table of ["notification_queue", "notification_delivery_channels"])
      expect(await count(client, `public.${table}`), table).to.equal(1);
  });
});
