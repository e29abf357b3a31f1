import { expect } from "chai";
import type { Client } from "pg";
import { count, as, expectRefusal, queryAs, refusal, service, testOn, value } from "../support/modules";
import { modules, people, type Resource } from "./003_fhir";

const remote: Resource = {
  resourceType: "Patient",
  id: "remote-1",
  identifier: [{ system: "urn:oid:1.2.36.146.595.217.0.1", value: "12345" }],
  name: [
    { use: "official", family: "Chalmers", given: ["Peter"] },
    { use: "usual", given: ["Jim"] },
  ],
  telecom: [{ system: "email", value: "user2@example.test" }],
  gender: "male",
  birthDate: "1974-12-25",
  deceasedDateTime: "2015-02-14T13:42:00+10:00",
  active: false,
};

const importPatient = (
  client: Client,
  user: string | null,
  patient: unknown = remote,
  source = "clinic",
): Promise<string> =>
  service(client, "SELECT public.fhir_to_guardian_patient($1, $2, $3)", [JSON.stringify(patient), source, user]);
const importObservation = (client: Client, resource: unknown, source = "clinic"): Promise<string> =>
  service(client, "SELECT public.fhir_to_guardian_observation($1, $2)", [JSON.stringify(resource), source]);

/** A valid Observation of the remote patient. */
const remoteObservation = (more: Record<string, unknown>): Resource => ({
  resourceType: "Observation",
  id: "obs-1",
  status: "final",
  code: { coding: [{ system: "http://loinc.org", code: "15074-8" }] },
  subject: { reference: "Patient/remote-1" },
  ...more,
});

/** What an import must leave alone: accounts, and every row of v6. */
const v6 = (client: Client): Promise<string> =>
  value<string>(
    client,
    `SELECT md5(concat((SELECT string_agg(t::text, '' ORDER BY id) FROM auth.users t), (SELECT string_agg(t::text, '' ORDER BY user_id) FROM public.user_profiles t),
       (SELECT string_agg(t::text, '' ORDER BY id) FROM public.patient_lab_results t), (SELECT string_agg(t::text, '' ORDER BY id) FROM public.documents t)))`,
  );

const test = testOn(modules);

describe("003_fhir_integration: what is imported", function () {
  this.timeout(60_000);

  test("I-4: a Patient is linked to the account the server side names, never by e-mail, and makes no account", async (client) => {
    const { patient, other } = await people(client);
    const before = await v6(client);
    const unlinked = await refusal(importPatient(client, null));
    expect(unlinked, "its e-mail is that of an account").to.deep.equal({
      code: "P0002",
      message: "this Patient is linked to no account",
    });
    expect((await refusal(importPatient(client, "00000000-0000-4000-8000-000000000000"))).message).to.equal(
      "there is no such account",
    );
    expect(await importPatient(client, patient)).to.equal(patient);
    expect(await importPatient(client, null, { ...remote, gender: "female" }), "known from now on").to.equal(patient);
    expect((await refusal(importPatient(client, other))).message).to.equal("this Patient is linked to another account");
    await expectRefusal(
      "P0002",
      importPatient(client, null, remote, "hospital"),
      "another system's remote-1 is another person",
    );
    const { rows } = await client.query(
      `SELECT guardian_user_id, fhir_patient_id, source_system, gender, active, birth_date::text AS born, deceased_datetime = '2015-02-14T03:42:00Z' AS died,
               name_official ->> 'family' AS family, name_usual -> 'given' AS usual, identifier = resource -> 'identifier' AS identified FROM public.fhir_patient_mappings`,
    );
    expect(rows).to.deep.equal([
      {
        guardian_user_id: patient,
        fhir_patient_id: "remote-1",
        source_system: "clinic",
        gender: "female",
        active: false,
        born: "1974-12-25",
        died: true,
        family: "Chalmers",
        usual: ["Jim"],
        identified: true,
      },
    ]);
    expect(await v6(client)).to.equal(before);
    expect(await count(client, "public.audit_log WHERE action = 'IMPORT'")).to.equal(2);
  });

  test("I-4: what is not valid, or without an id, is refused and names no value", async (client) => {
    const { patient } = await people(client);
    const bad = await refusal(importPatient(client, patient, { ...remote, identifier: [], gender: "MARKED-VALUE" }));
    expect(bad.code).to.equal("22023");
    expect(bad.message)
      .to.match(/Patient\.gender: not in the value set.*Patient\.identifier: null, empty object/)
      .and.not.include("MARKED");
    for (const id of [{ value: "MARKED" }, ["MARKED"], 7]) {
      const { code, message } = await refusal(importPatient(client, patient, { ...remote, id }));
      expect([code, message], "the id is no string").to.deep.equal([
        "22023",
        "the Patient is not valid: Patient.id: an id has 1 to 64 letters, digits, hyphens and points",
      ]);
    }
    // Valid, but more than its column takes: the CHECK's own error would quote the row.
    const large = { ...remote, photo: [{ title: "x".repeat(16_777_216) }] };
    expect(await refusal(importPatient(client, patient, large))).to.deep.equal({
      code: "22023",
      message: "the resource has more than 16777216 bytes",
    });
    const anonymous = { ...remote, id: undefined };
    expect((await refusal(importPatient(client, patient, anonymous))).message).to.match(/has no id/);
    expect((await refusal(importPatient(client, patient, null))).message).to.match(/a resource is a JSON object/);
    expect((await refusal(importPatient(client, patient, remote, "guardian"))).message).to.match(/and not guardian/);
  });

  test("I-4: two first imports of one Patient for two accounts: one wins, the other is refused", async (client, db) => {
    const { patient, other } = await people(client);
    const second = await db.connect();
    await client.query("BEGIN");
    await client.query("SELECT public.fhir_to_guardian_patient($1, 'clinic', $2)", [JSON.stringify(remote), patient]);
    const late = refusal(importPatient(second, other));
    await new Promise((done) => setTimeout(done, 200));
    await client.query("COMMIT");
    expect(await late).to.deep.equal({ code: "23505", message: "this Patient is linked to another account" });
    expect(await value(client, "SELECT guardian_user_id FROM public.fhir_patient_mappings")).to.equal(patient);
  });

  test("I-5: Observations of every value type, category and effective time are stored whole, twice as once", async (client) => {
    const { patient } = await people(client);
    await client.query(
      "INSERT INTO public.fhir_endpoints (system_name, base_url, auth_type) VALUES ('clinic', 'https://clinic.example/fhir', 'none')",
    );
    await importPatient(client, patient);
    const before = await v6(client);
    const values: Record<string, Record<string, unknown>> = {
      value_quantity: {
        valueQuantity: { value: 6.3, unit: "mmol/l", system: "http://unitsofmeasure.org", code: "mmol/L" },
      },
      value_codeable_concept: { valueCodeableConcept: { text: "positive" } },
      value_string: { valueString: "see note" },
      value_boolean: { valueBoolean: false },
      value_integer: { valueInteger: 7 },
      value_range: { valueRange: { low: { value: 1 } } },
      value_ratio: { valueRatio: { numerator: { value: 1 }, denominator: { value: 80 } } },
      value_sampled_data: { valueSampledData: { origin: { value: 0 }, period: 1, dimensions: 1 } },
      value_time: { valueTime: "12:30:00" },
      value_datetime: { valueDateTime: "2024-01-02T03:04:05Z" },
      value_period: { valuePeriod: { start: "2024-01-01" } },
      component: { component: [{ code: { text: "part" }, valueString: "x" }] },
      data_absent_reason: { dataAbsentReason: { text: "unknown" } },
    };
    for (const [column, more] of Object.entries(values)) {
      const id = await importObservation(client, remoteObservation({ id: column.replaceAll("_", "-"), ...more }));
      const stored = await value(
        client,
        `SELECT num_nonnulls(${Object.keys(values).join(", ")}) = 1 AND ${column} IS NOT NULL FROM public.fhir_observations WHERE id = $1`,
        [id],
      );
      expect(stored, column).to.equal(true);
    }
    const vital = remoteObservation({
      id: "v",
      category: [
        {
          coding: [{ system: "http://terminology.hl7.org/CodeSystem/observation-category", code: "vital-signs" }],
        },
      ],
      effectiveDateTime: "2024-05-06",
      subject: { reference: "https://clinic.example/fhir/Patient/remote-1" },
    });
    const id = await importObservation(client, vital);
    expect(await importObservation(client, { ...vital, status: "amended" }), "the same one again").to.equal(id);
    const { rows } = await client.query(
      "SELECT guardian_patient_id, status, effective_datetime = '2024-05-06T00:00:00Z' AS day, subject, guardian_lab_result_id, guardian_vital_id, source_version FROM public.fhir_observations WHERE id = $1",
      [id],
    );
    expect(rows).to.deep.equal([
      {
        guardian_patient_id: patient,
        status: "amended",
        day: true,
        subject: "https://clinic.example/fhir/Patient/remote-1",
        guardian_lab_result_id: null,
        guardian_vital_id: null,
        source_version: null,
      },
    ]);
    for (const [effective, column] of [
      [{ effectiveInstant: "2024-05-06T07:08:09.123Z" }, "effective_instant"],
      [{ effectivePeriod: { start: "2024-05-06" } }, "effective_period"],
      [{ effectiveTiming: { event: ["2024-05-06"] } }, "effective_timing"],
    ] as const) {
      const one = await importObservation(client, remoteObservation({ id: column.replace("_", "-"), ...effective }));
      expect(
        await value(client, `SELECT ${column} IS NOT NULL FROM public.fhir_observations WHERE id = $1`, [one]),
      ).to.equal(true);
    }
    const vague = await importObservation(client, remoteObservation({ id: "year", effectiveDateTime: "2024" }));
    expect(
      await value(client, "SELECT effective_datetime FROM public.fhir_observations WHERE id = $1", [vague]),
      "no day is made up",
    ).to.equal(null);
    expect(await v6(client), "v6 demands a source document, which an import has not").to.equal(before);
    expect(await as(client, patient, "SELECT count(*) FROM public.fhir_observations")).to.equal("18");
  });

  test("I-5: an Observation without a subject that is linked, of another patient, or with two values is refused", async (client) => {
    const { patient, other } = await people(client);
    await importPatient(client, patient);
    await importPatient(client, other, { ...remote, id: "remote-2" });
    for (const subject of [
      undefined,
      { reference: "Patient/remote-3" },
      { reference: "Group/remote-1" },
      { display: "remote-1" },
    ]) {
      const said = await refusal(importObservation(client, remoteObservation({ subject })));
      expect(said.message).to.equal("the subject is no Patient of this source that is linked to an account");
    }
    await expectRefusal("P0002", importObservation(client, remoteObservation({}), "hospital"));
    await importObservation(client, remoteObservation({}));
    expect(
      (await refusal(importObservation(client, remoteObservation({ subject: { reference: "Patient/remote-2" } }))))
        .message,
    ).to.equal("this Observation is another patient's");
    expect(
      (await refusal(importObservation(client, remoteObservation({ valueString: "a", valueInteger: 1 })))).message,
    ).to.match(/Observation\.value\[x\]: only one/);
    expect(
      (await refusal(importObservation(client, remoteObservation({ effectiveDateTime: "2024-02-31" })))).message,
    ).to.match(/expected a FHIR dateTime/);
  });

  test("I-4: nobody but the server side imports", async (client, db) => {
    const { patient } = await people(client);
    const admin = await db.connect("admin");
    for (const [role, user] of [
      ["anon", null],
      ["authenticated", patient],
      ["guardian_operator", null],
    ] as const) {
      for (const sql of [
        "SELECT public.fhir_to_guardian_patient('{}', 'clinic')",
        "SELECT public.fhir_to_guardian_observation('{}', 'clinic')",
        "SELECT * FROM public.refresh_fhir_mappings()",
      ]) {
        if (role === "guardian_operator" && sql.includes("refresh")) continue; // operators may
        await expectRefusal("42501", queryAs(admin, role, user, sql), `${role}: ${sql}`);
      }
    }
  });
});
