import { expect } from "chai";
import { asRole } from "../support/postgres";
import { accounts, as, expectRefusal, openBatch, queryAs, testOn, value } from "../support/modules";
import { backfill, grant, modules, revoke, trail } from "./004_consents";

const test = testOn(modules);

describe("004_enhanced_consent: every change is audited", function () {
  this.timeout(60_000);

  test("C-8: a consent can be deleted, which is audited, and its trail outlives it", async (client) => {
    const [patient, doctor] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    await client.query("DELETE FROM public.patient_consents");
    expect(await trail(client)).to.deep.equal(["granted granted", "deleted granted ->"]);
    expect(
      await value(
        client,
        "SELECT gdpr_notification_required FROM public.patient_consent_audit WHERE action = 'deleted'",
      ),
    ).to.equal(true);
  });

  test("C-9: one row a change, with what happened and who did it; revoking twice is as once", async (client) => {
    const [patient, doctor] = await accounts(client);
    const id = await as(client, patient, grant, [patient, doctor]);
    expect(
      await as(client, patient, `${grant.slice(0, -1)}, NULL, now() + interval '3 years')`, [patient, doctor]),
    ).to.equal(id);
    expect(await as(client, patient, revoke, [id, "changed my mind"])).to.equal(true);
    expect(await as(client, patient, revoke, [id, "once more"])).to.equal(false);
    const { rows } = await client.query(
      `SELECT consent_id, action, previous_state, new_state, action_by, action_role, gdpr_notification_required AS tell
             FROM public.patient_consent_audit ORDER BY action_timestamp`,
    );
    const by = { consent_id: id, action_by: patient, action_role: "authenticated" };
    expect(rows).to.deep.equal([
      { ...by, action: "granted", previous_state: null, new_state: "granted", tell: false },
      { ...by, action: "renewed", previous_state: "granted", new_state: "granted", tell: false },
      { ...by, action: "revoked", previous_state: "granted", new_state: "revoked", tell: true },
    ]);
    expect(await value(client, "SELECT revocation_reason FROM public.patient_consents")).to.equal("changed my mind");
    expect(await value(client, "SELECT string_agg(a::text, '') FROM public.patient_consent_audit a")).not.to.contain(
      "mind",
    );
    await client.query("UPDATE public.patient_consents SET consent_version = '1.1'");
    await client.query("UPDATE public.patient_consents SET consent_version = '1.1'");
    expect((await trail(client)).slice(3)).to.deep.equal(["modified revoked -> revoked"]);
    expect(
      await value(client, "SELECT changed_columns FROM public.patient_consent_audit WHERE action = 'modified'"),
    ).to.deep.equal(["consent_version"]);
  });

  test("16-9: names every column that changed, each compared by itself", async (client) => {
    const [patient, doctor] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    await client.query(`ALTER TABLE public.patient_consents DISABLE TRIGGER patient_consents_identity;
        DO $$ DECLARE v text; BEGIN
          FOR v IN SELECT conname FROM pg_constraint WHERE conrelid = 'public.patient_consents'::regclass AND contype IN ('c', 'f') LOOP
            EXECUTE format('ALTER TABLE public.patient_consents DROP CONSTRAINT %I', v);
          END LOOP; END $$`);
    const { rows } = await client.query<{ name: string; type: string }>(
      `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
         WHERE attrelid = 'public.patient_consents'::regclass AND attnum > 0 AND attname NOT IN ('id', 'updated_at') ORDER BY 1`,
    );
    const other: Record<string, (column: string) => string> = {
      uuid: () => "gen_random_uuid()",
      text: (column) => `concat(${column}, 'x')`,
      boolean: (column) => `NOT ${column}`,
      jsonb: () => `'{"x": 1, "state": "expired"}'`,
      "timestamp with time zone": (column) => `coalesce(${column}, now()) + interval '1 day'`,
    };
    for (const { name, type } of rows)
      await client.query(`UPDATE public.patient_consents SET ${name} = ${other[type]!(name)}`);
    const { rows: said } = await client.query<{ names: string[] }>(
      "SELECT changed_columns AS names FROM public.patient_consent_audit WHERE action <> 'granted' OR previous_state IS NOT NULL ORDER BY action_timestamp",
    );
    expect(said.map(({ names }) => names)).to.deep.equal(rows.map(({ name }) => [name]));
  });

  test("C-10: nobody changes, deletes or truncates the trail, service_role and owner included", async (client) => {
    const [patient, doctor] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    for (const sql of [
      "UPDATE public.patient_consent_audit SET action = 'revoked'",
      "DELETE FROM public.patient_consent_audit",
      "TRUNCATE public.patient_consent_audit",
      "TRUNCATE public.patient_consents",
    ]) {
      for (const role of ["anon", "authenticated", "service_role", "guardian_migrator"]) {
        await expectRefusal("42501", queryAs(client, role, patient, sql), `${role}: ${sql}`);
      }
    }
  });

  test("C-12: request settings left empty by an ended transaction do no harm", async (client) => {
    const [patient, doctor] = await accounts(client);
    await client.query(
      "SELECT set_config('request.headers', '', false), set_config('request.jwt.claim.sub', '', false), set_config('request.jwt.claims', '', false)",
    );
    await as(client, patient, grant, [patient, doctor]);
    await client.query("UPDATE public.patient_consents SET consent_version = '2.0'");
    expect(await trail(client)).to.have.length(2);
  });

  test("a batch of the ledger is not audited row by row, a forged one is", async (client) => {
    const batch = "00000000-0000-4000-8000-000000000001";
    await openBatch(client, batch);
    await client.query(`BEGIN; SET LOCAL guardian_migration.batch = '${batch}'; ${backfill("assumed")}; COMMIT`);
    expect(await trail(client)).to.deep.equal([]);
    await client.query(
      `BEGIN; SET LOCAL guardian_migration.batch = '${batch}'; DELETE FROM public.patient_consents; COMMIT`,
    );
    expect(await trail(client)).to.deep.equal([]);
    await client.query("UPDATE guardian_migration.batch SET state = 'done'");
    const [patient, doctor] = await accounts(client);
    await asRole(client, "authenticated", patient, async (c) => {
      await c.query(`SET LOCAL guardian_migration.batch = '${batch}'`);
      await c.query(grant, [patient, doctor]);
    });
    expect(await trail(client)).to.deep.equal(["granted granted"]);
  });
});
