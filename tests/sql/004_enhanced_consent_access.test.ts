import { expect } from "chai";
import { asRole } from "../support/postgres";
import { accounts, as, expectRefusal, queryAs, refusal, service, testOn, value } from "../support/modules";
import { backfill, check, checkFor, grant, grantFor, modules, revoke } from "./004_consents";

const test = testOn(modules);

describe("004_enhanced_consent: who gets access and sees what", function () {
  this.timeout(60_000);

  test("C-1: needs no table that v6 does not have", async (client) => {
    const [, doctor] = await accounts(client);
    expect(await value(client, "SELECT to_regclass('public.healthcare_provider_access')")).to.equal(null);
    expect(await as(client, doctor, "SELECT count(*) FROM public.patient_consents")).to.equal("0");
  });

  test("C-3: a general consent shows nobody's row to anybody else", async (client) => {
    const [patient, doctor, stranger] = await accounts(client);
    await client.query(backfill("assumed"));
    await as(client, patient, grantFor, [patient, doctor, "medications"]);
    const named = "SELECT coalesce(string_agg(patient_id || ' ' || resource_type, ','), '') FROM consents_to_me()";
    const seen =
      "SELECT coalesce(string_agg(DISTINCT coalesce(patient_id::text, ''), ','), '') FROM public.patient_consents";
    expect(await as(client, patient, seen)).to.equal(patient);
    expect(await as(client, stranger, `${seen} WHERE patient_id <> auth.uid()`)).to.equal("");
    expect(await as(client, doctor, `${seen} WHERE patient_id <> auth.uid()`), "the recipient").to.equal("");
    expect(await as(client, doctor, named), "what was granted to him").to.equal(`${patient} medications`);
    for (const user of [patient, stranger]) expect(await as(client, user, named)).to.equal("");
    await as(client, patient, revoke, [
      await value(client, "SELECT id FROM public.patient_consents WHERE granted_to IS NOT NULL"),
      null,
    ]);
    expect(await as(client, doctor, named), "after revocation").to.equal("");
  });

  test("C-3: a recipient learns that and for what he has consent while it is live, and never the evidence", async (client) => {
    const [patient, doctor] = await accounts(client);
    const evidence = "SELECT public.grant_patient_consent($1, 'data_sharing', $3, $2, NULL, NULL, true, $4)";
    await as(client, patient, evidence, [patient, doctor, "research", '{"note": "marked-evidence"}']);
    const told = await queryAs(client, "authenticated", doctor, "SELECT * FROM consents_to_me()");
    expect(told.fields.map((field) => field.name)).to.deep.equal([
      "consent_id",
      "patient_id",
      "consent_type",
      "purpose",
      "resource_type",
      "valid_from",
      "valid_until",
    ]);
    expect(told.rows).to.have.length(1);
    expect(told.rows[0]).to.include({ patient_id: patient, purpose: "research", resource_type: null });
    for (const what of ["consent_evidence", "consent_metadata", "revocation_reason"]) {
      const all = `SELECT count(${what}) FROM public.patient_consents`;
      expect(await as(client, doctor, all), what).to.equal("0");
    }
    const often = "SELECT count(*) FROM consents_to_me()";
    for (const [change, left] of [
      ["valid_from = now() + interval '1 h'", "0"],
      ["valid_from = now() - interval '2 h'", "1"],
      ["valid_until = now() - interval '1 h'", "0"],
      ["valid_until = NULL", "1"],
    ] as const) {
      await client.query(`UPDATE public.patient_consents SET ${change}`);
      expect(await as(client, doctor, often), change).to.equal(left);
    }
    await expectRefusal("42501", queryAs(client, "anon", null, often));
    await expectRefusal("42501", queryAs(client, "service_role", null, often));
  });

  test("C-4: access needs a consent to this person, of this type, purpose and resource", async (client) => {
    const [patient, doctor, stranger] = await accounts(client);
    await client.query(backfill("assumed"));
    expect(await service(client, check, [patient, stranger]), "a general consent opens nothing").to.equal(false);
    expect(
      await service(client, "SELECT public.has_general_consent($1, 'data_sharing', 'healthcare_services')", [patient]),
    ).to.equal(true);
    expect(
      await service(client, "SELECT public.has_general_consent($1, 'ai_processing', 'healthcare_services')", [patient]),
    ).to.equal(false);
    await as(
      client,
      patient,
      "SELECT public.grant_patient_consent($1, 'marketing_communication', 'healthcare_services', $2)",
      [patient, doctor],
    );
    expect(await service(client, check, [patient, doctor]), "marketing opens no clinical data").to.equal(false);
    await as(client, patient, grantFor, [patient, doctor, "medications"]);
    expect(await service(client, checkFor, [patient, doctor, "medications"])).to.equal(true);
    expect(await service(client, checkFor, [patient, doctor, "lab_results"])).to.equal(false);
    expect(await service(client, check, [patient, doctor]), "the whole record").to.equal(false);
    await as(client, patient, grant, [patient, doctor]);
    expect(await service(client, check, [patient, doctor])).to.equal(true);
    expect(await service(client, checkFor, [patient, doctor, "lab_results"])).to.equal(true);
    const research = "SELECT public.check_consent_access($1, $2, NULL, 'research')";
    expect(await service(client, research, [patient, doctor])).to.equal(false);
    const nothing = "SELECT public.check_consent_access(NULL, NULL, NULL, NULL, NULL)";
    expect(await service(client, nothing), "all NULL").to.equal(false);
    expect(await service(client, check, [patient, null])).to.equal(false);
    expect(await as(client, patient, check, [patient, patient]), "his own record").to.equal(true);
  });

  test("C-4: patient and accessor may ask; anon and third parties learn nothing", async (client) => {
    const [patient, doctor, stranger] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    expect(await as(client, patient, check, [patient, doctor])).to.equal(true);
    expect(await as(client, doctor, check, [patient, doctor])).to.equal(true);
    for (const user of [stranger, null]) {
      await expectRefusal("42501", as(client, user, check, [patient, doctor]));
      await expectRefusal(
        "42501",
        as(client, user, "SELECT public.has_general_consent($1, 'data_sharing', 'x')", [patient]),
      );
    }
    await expectRefusal("42501", queryAs(client, "anon", null, check, [patient, doctor]));
  });

  test("C-6: a temporary table patient_consents does not answer for the real one", async (client) => {
    const [patient, doctor] = await accounts(client);
    const answer = await asRole(client, "authenticated", doctor, async (c) => {
      await c.query(`CREATE TEMP TABLE patient_consents AS SELECT '${patient}'::uuid AS patient_id, 'data_sharing' AS consent_type,
              'healthcare_services' AS purpose, '${doctor}'::uuid AS granted_to, NULL::text AS resource_type, true AS granted,
              now() AS valid_from, NULL::timestamptz AS valid_until, NULL::timestamptz AS revoked_at`);
      return value(c, check, [patient, doctor]);
    });
    expect(answer).to.equal(false);
  });

  test("C-15: the summary runs with the caller's rights and shows him his own consents", async (client) => {
    const [patient, doctor] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    const all = "SELECT count(*) FROM public.user_consent_summary";
    expect(await as(client, patient, all)).to.equal("1");
    expect(await as(client, doctor, all), "also not what was granted to him").to.equal("0");
    await client.query("BEGIN");
    await client.query("REVOKE SELECT ON public.patient_consents FROM authenticated");
    await client.query("SET LOCAL ROLE authenticated");
    expect((await refusal(client.query(all))).message).to.equal("permission denied for table patient_consents");
    await client.query("ROLLBACK");
    await expectRefusal("42501", queryAs(client, "anon", null, all));
  });

  test("C-17: guide and check agree on the purpose, and a type or purpose in free words is refused", async (client) => {
    const [patient, doctor] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    expect(await as(client, doctor, check, [patient, doctor])).to.equal(true);
    const say = "SELECT public.grant_patient_consent($1, $2, $3)";
    for (const [type, purpose] of [
      ["data_sharing'; DROP TABLE public.documents; --", "research"],
      ["anything", "research"],
      ["data_sharing", "for Dr. Jane Doe"],
    ]) {
      await expectRefusal("23514", as(client, patient, say, [patient, type, purpose]));
    }
    expect(await value(client, "SELECT to_regclass('public.documents') IS NOT NULL")).to.equal(true);
  });

  test("a consent stays about the same person, purpose and recipient", async (client) => {
    const [patient, doctor, stranger] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    for (const column of ["id", "patient_id", "granted_to"]) {
      await expectRefusal(
        "42501",
        client.query(`UPDATE public.patient_consents SET ${column} = $1`, [stranger]),
        column,
      );
    }
  });
});
