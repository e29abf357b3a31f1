import { expect } from "chai";
import { count, accounts, as, expectRefusal, queryAs, refusal, service, testOn, value } from "../support/modules";
import { backfill, check, grant, modules, refuse, request, revoke, trail } from "./004_consents";

/** A request without evidence, as the migration writes it; returns its id. */
const backfillNothing = `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, consent_evidence, consent_metadata)
  VALUES ($1, 'data_sharing', 'research', 'consent', NULL, '{"state": "pending"}') RETURNING id`;

const test = testOn(modules);

describe("004_enhanced_consent: the patient decides", function () {
  this.timeout(60_000);

  test("C-2: pending, refused and expired can be stored; a refusal without a word of it cannot", async (client) => {
    const [patient, doctor] = await accounts(client);
    const insert = (columns: string, values: string) =>
      client.query(
        `INSERT INTO public.patient_consents (patient_id, consent_type, legal_basis, purpose, ${columns})
               VALUES ($1, 'ai_processing', 'consent', 'x' || md5(random()::text), ${values})`,
        [patient],
      );
    for (const state of ["pending", "refused", "expired"]) {
      await insert("granted, consent_metadata", `false, '{"state": "${state}"}'`);
    }
    await insert("granted", "true");
    await insert("granted, revoked_at", "false, now()");
    for (const [columns, values] of [
      ["granted", "false"],
      ["consent_metadata", `'{"state": "maybe"}'`],
      ["granted, revoked_at", "true, now()"],
      ["granted, consent_metadata", `true, '{"state": "refused"}'`],
      ["granted, revoked_at, consent_metadata", `false, now(), '{"state": "pending"}'`],
    ] as const) {
      await expectRefusal("23514", insert(columns, values), values);
    }
    const asked = await service(client, request, [patient, doctor]);
    expect(await service(client, request, [patient, doctor]), "asked once").to.equal(asked);
    expect(await service(client, check, [patient, doctor])).to.equal(false);
    expect(await as(client, patient, refuse, [patient, doctor]), "the request is answered").to.equal(asked);
    expect(await as(client, patient, refuse, [patient, doctor]), "twice is as once").to.equal(asked);
    expect(await service(client, check, [patient, doctor])).to.equal(false);
  });

  test("C-2: a consent past its end expires, or is renewed where the patient wants that, and can be renewed", async (client) => {
    const [patient, doctor, other] = await accounts(client);
    const id = await as(client, patient, grant, [patient, doctor]);
    const again = await as(client, other, grant, [other, doctor]);
    await as(
      client,
      other,
      "INSERT INTO public.user_consent_preferences (user_id, auto_renew_enabled) VALUES ($1, true) RETURNING 1",
      [other],
    );
    await client.query(
      "UPDATE public.patient_consents SET valid_from = now() - interval '2 days', valid_until = now() - interval '1 day'",
    );
    expect(await service(client, check, [patient, doctor]), "over before anybody swept").to.equal(false);
    expect(await as(client, patient, "SELECT status FROM public.user_consent_summary")).to.equal("expired");
    expect(await service(client, "SELECT public.expire_patient_consents()")).to.equal("2");
    expect(await service(client, "SELECT public.expire_patient_consents()")).to.equal("0");
    expect(await service(client, check, [patient, doctor])).to.equal(false);
    expect(await service(client, check, [other, doctor])).to.equal(true);
    expect(await as(client, patient, "SELECT public.renew_patient_consent($1)", [id])).to.equal(true);
    expect(
      await as(client, patient, "SELECT public.renew_patient_consent($1, now() + interval '1 hour')", [id]),
      "no shorter",
    ).to.equal(false);
    expect(await service(client, check, [patient, doctor])).to.equal(true);
    await expectRefusal("42501", as(client, patient, "SELECT public.renew_patient_consent($1)", [again]), "not his");
    expect((await trail(client)).slice(4).sort()).to.deep.equal([
      "expired granted -> expired",
      "renewed expired -> granted",
      "renewed granted -> granted",
    ]);
  });

  test("C-5: only the patient grants, refuses, revokes and renews; no user at all is a refusal", async (client, db) => {
    const [patient, doctor, stranger] = await accounts(client);
    const id = await as(client, patient, grant, [patient, doctor]);
    const admin = await db.connect("admin");
    for (const [role, user] of [
      ["anon", null],
      ["authenticated", null],
      ["authenticated", stranger],
      ["service_role", null],
      ["guardian_operator", null],
      ["guardian_migrator", null],
    ] as const) {
      for (const [sql, values] of [
        [grant, [patient, stranger]],
        [refuse, [patient, stranger]],
        [revoke, [id, "forged"]],
        ["SELECT public.renew_patient_consent($1)", [id]],
        [revoke, ["00000000-0000-4000-8000-000000000000", null]],
      ] as const) {
        await expectRefusal("42501", queryAs(admin, role, user, sql, [...values]), `${role}: ${sql}`);
      }
    }
    for (const user of [patient, doctor, stranger]) {
      await expectRefusal("42501", as(client, user, request, [patient, user]), "users ask for nothing");
    }
    expect(await trail(client)).to.deep.equal(["granted granted"]);
  });

  test("C-7: a patient's grant is audited although he may write neither table himself", async (client) => {
    const [patient, doctor] = await accounts(client);
    for (const table of ["patient_consents", "patient_consent_audit"]) {
      for (const sql of [
        `INSERT INTO public.${table} DEFAULT VALUES`,
        `UPDATE public.${table} SET patient_id = NULL`,
        `DELETE FROM public.${table}`,
      ]) {
        expect((await refusal(queryAs(client, "authenticated", patient, sql))).message).to.equal(
          `permission denied for table ${table}`,
        );
      }
    }
    await as(client, patient, grant, [patient, doctor]);
    expect(await as(client, patient, "SELECT count(*) FROM public.patient_consent_audit"), "his own trail").to.equal(
      "1",
    );
    expect(await as(client, doctor, "SELECT count(*) FROM public.patient_consent_audit")).to.equal("0");
  });

  test("C-11: an assumed consent that the patient gives himself becomes explicit and keeps its proof", async (client) => {
    await client.query(backfill("assumed"));
    const patient = await value<string>(client, "SELECT patient_id FROM public.patient_consents ORDER BY 1 LIMIT 1");
    const explicit =
      "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', p_consent_evidence => $2)";
    await as(client, patient, explicit, [patient, { method: "web form", statement: "I agree" }]);
    await as(client, patient, explicit, [patient, { method: "app" }]);
    const { rows } = await client.query(
      `SELECT explicit_consent, legal_basis, consent_evidence, valid_until BETWEEN now() + interval '364 days' AND now() + interval '367 days' AS year
             FROM public.patient_consents WHERE patient_id = $1`,
      [patient],
    );
    const before = { source: "guardian v6", statement: "terms of use" };
    const first = { source: "guardian v6", statement: "I agree", method: "web form" };
    expect(rows).to.deep.equal([
      {
        explicit_consent: true,
        legal_basis: "consent",
        consent_evidence: { ...first, method: "app", history: [before, first] },
        year: true,
      },
    ]);
    expect(
      await count(client, "public.patient_consent_audit WHERE patient_id = $1 AND legal_basis_change", [patient]),
    ).to.equal(1);
    const asked = await value<string>(client, backfillNothing, [patient]);
    expect(
      await as(client, patient, "SELECT status FROM public.user_consent_summary WHERE consent_id = $1", [asked]),
    ).to.equal("pending");
    const answer = "SELECT public.grant_patient_consent($1, 'data_sharing', 'research', p_consent_evidence => $2)";
    expect(await as(client, patient, answer, [patient, { method: "letter" }])).to.equal(asked);
    expect(
      await value(client, "SELECT consent_evidence FROM public.patient_consents WHERE id = $1", [asked]),
      "from NULL",
    ).to.deep.equal({ method: "letter" });
    const lost = client.query("UPDATE public.patient_consents SET consent_evidence = NULL WHERE id = $1", [asked]);
    await expectRefusal("23514", lost, "granted without proof");
  });

  test("C-13: at most one live consent of a kind, also when two grants race", async (client, db) => {
    const [patient, doctor] = await accounts(client);
    const other = await db.connect();
    await client.query("BEGIN");
    await client.query("SELECT set_config('request.jwt.claims', $1, true)", [JSON.stringify({ sub: patient })]);
    const first = await value(client, grant, [patient, doctor]);
    const second = as(other, patient, grant, [patient, doctor]);
    await client.query("SELECT pg_sleep(0.1)");
    await client.query("COMMIT");
    expect(await second).to.equal(first);
    for (const nothing of ["NULL", `'${doctor}'`]) {
      const insert = `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, granted, legal_basis)
              VALUES ('${patient}', 'data_sharing', 'healthcare_services', ${nothing}, true, 'consent')`;
      if (nothing === "NULL") await client.query(insert);
      await expectRefusal("23505", client.query(insert), "one live row");
    }
    for (let i = 0; i < 2; i++) {
      const id = await as(client, patient, grant, [patient, doctor]);
      await as(client, patient, revoke, [id, null]);
    }
    expect(await count(client, "public.patient_consents WHERE revoked_at IS NOT NULL"), "many dead ones").to.equal(2);
  });

  test("C-16: a started day counts, an end in the past is refused in words, and who revoked is kept", async (client) => {
    const [patient, doctor] = await accounts(client);
    const until =
      "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2, p_valid_until => now() + $3::interval)";
    const id = await as(client, patient, until, [patient, doctor, "36 hours"]);
    expect(await as(client, patient, "SELECT days_until_expiry FROM public.user_consent_summary")).to.equal(2);
    const said = await refusal(as(client, patient, until, [patient, doctor, "-1 hour"]));
    expect(said).to.deep.equal({
      code: "22023",
      message: "p_valid_until must be in the future, and before the year 10000",
    });
    await as(client, patient, revoke, [id, null]);
    expect(await value(client, "SELECT updated_by FROM public.patient_consents WHERE id = $1", [id])).to.equal(patient);
  });

  test("U-3: withdrawing is as easy as giving: nothing stops a revocation", async (client) => {
    const [patient] = await accounts(client);
    for (const type of ["data_sharing", "research_participation", "emergency_access", "family_access"]) {
      const id = await as(client, patient, "SELECT public.grant_patient_consent($1, $2, 'healthcare_services')", [
        patient,
        type,
      ]);
      expect(await as(client, patient, revoke, [id, null]), type).to.equal(true);
    }
  });
});
