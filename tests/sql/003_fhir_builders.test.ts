import { expect } from "chai";
import type { Client } from "pg";
import { as, refusal, testOn, value } from "../support/modules";
import { lab, modules, objects, observation, people, type Resource } from "./003_fhir";

const patientOf = (client: Client, user: string): Promise<Resource> =>
  value<Resource>(client, "SELECT public.guardian_to_fhir_patient($1)", [user]);

/** The codes within an element, in the order in which they are found. */
const codes = (of: unknown): unknown[] => objects(of).flatMap((one) => ("code" in one ? [one["code"]] : []));

const test = testOn(modules);

describe("003_fhir_integration: what is built", function () {
  this.timeout(60_000);

  test("I-2: a Patient has the names there are, and no member without a value where there are none", async (client) => {
    const { patient } = await people(client);
    await client.query("DELETE FROM public.user_profiles WHERE user_id = $1", [patient]);
    await client.query("UPDATE auth.users SET email = NULL, phone = NULL, raw_user_meta_data = NULL WHERE id = $1", [
      patient,
    ]);
    const identifier = [{ use: "usual", system: "https://guardian.health/patient-id", value: patient }];
    expect(await patientOf(client, patient)).to.deep.equal({
      resourceType: "Patient",
      id: patient,
      active: true,
      identifier,
    });
    await client.query("INSERT INTO public.user_profiles (user_id) VALUES ($1)", [patient]);
    expect(await patientOf(client, patient), "an empty profile").to.deep.equal({
      resourceType: "Patient",
      id: patient,
      active: true,
      identifier,
    });
    await client.query(
      "UPDATE auth.users SET email = 'a@example.test', raw_user_meta_data = '{\"name\": \"Ann Example\"}', deleted_at = now() WHERE id = $1",
      [patient],
    );
    expect(await patientOf(client, patient)).to.deep.include({
      active: false,
      name: [{ use: "usual", text: "Ann Example" }],
    });
    await client.query(
      "UPDATE public.user_profiles SET first_name = 'Ann', last_name = 'Example', phone = '61000', date_of_birth = '1970-01-31' WHERE user_id = $1",
      [patient],
    );
    expect(await patientOf(client, patient)).to.deep.equal({
      resourceType: "Patient",
      id: patient,
      active: false,
      identifier,
      name: [{ use: "official", family: "Example", given: ["Ann"] }],
      telecom: [
        { system: "email", value: "a@example.test", use: "home" },
        { system: "phone", value: "61000" },
      ],
      birthDate: "1970-01-31",
    });
    const unknown = await refusal(patientOf(client, "00000000-0000-4000-8000-000000000000"));
    expect(unknown).to.deep.equal({ code: "P0002", message: "there is no such account" });
  });

  test("I-2: user_profiles may be missing, of another shape, or hold a user twice", async (client) => {
    const { patient, other } = await people(client);
    await client.query("DROP TABLE public.user_profiles");
    expect((await patientOf(client, patient)).id, "no such table").to.equal(patient);
    await client.query("CREATE TABLE public.user_profiles (id uuid, account_owner_id uuid, display_name text)");
    expect((await patientOf(client, patient)).id, "without user_id").to.equal(patient);
    await client.query(
      "DROP TABLE public.user_profiles; CREATE TABLE public.user_profiles (user_id uuid, last_name varchar(9), date_of_birth text, phone integer)",
    );
    await client.query(
      "INSERT INTO public.user_profiles VALUES ($1, 'Zoe', '31.1.1970', 7), ($1, 'Adam', NULL, NULL), ($2, 'Eve', NULL, NULL)",
      [patient, other],
    );
    const built = await patientOf(client, patient);
    expect(built["name"]).to.deep.equal([{ use: "official", family: "Adam" }]);
    expect(built).to.not.have.any.keys("birthDate");
    expect(await value(client, "SELECT count(*) FROM public.guardian_fhir_patients()")).to.equal(
      await value(client, "SELECT count(*) FROM auth.users"),
    );
  });

  test("scenario 5, I-3: laboratory values of every kind are built, and nothing is read into them", async (client) => {
    const who = await people(client);
    const built = async (row: Record<string, unknown>): Promise<Resource> =>
      observation(client, await lab(client, who, row));
    const quantity = (row: Record<string, unknown>) =>
      built(row).then((one) => one["valueQuantity"] ?? one["valueString"] ?? one["component"]);
    const id = await lab(client, who, {
      unit: "%",
      reference_range: "4.0-5.6",
      result_status: "high",
      test_code: "4548-4",
      lab_facility: "Laboratory",
    });
    expect(await observation(client, id)).to.deep.equal({
      resourceType: "Observation",
      id,
      status: "final",
      category: [
        {
          coding: [
            {
              system: "http://terminology.hl7.org/CodeSystem/observation-category",
              code: "laboratory",
              display: "Laboratory",
            },
          ],
        },
      ],
      code: { coding: [{ system: "http://loinc.org", code: "4548-4" }], text: "Hemoglobin A1c" },
      subject: { reference: `Patient/${who.patient}` },
      effectiveDateTime: "2024-05-06",
      performer: [{ display: "Laboratory" }],
      valueQuantity: { value: 6.2, unit: "%", system: "http://unitsofmeasure.org", code: "%" },
      interpretation: [
        {
          coding: [
            {
              system: "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
              code: "H",
              display: "High",
            },
          ],
        },
      ],
      referenceRange: [{ text: "4.0-5.6" }],
      derivedFrom: [{ reference: `DocumentReference/${who.document}` }],
    });
    const ucum = { system: "http://unitsofmeasure.org" };
    expect(await quantity({ result_value: "<5", unit: "mg/L" })).to.deep.equal({
      value: 5,
      comparator: "<",
      unit: "mg/L",
      ...ucum,
      code: "mg/L",
    });
    expect(await quantity({ result_value: " ≥ 90 ", unit: "ml/min" })).to.deep.equal({
      value: 90,
      comparator: ">=",
      unit: "ml/min",
      ...ucum,
      code: "mL/min",
    });
    expect(await quantity({ result_value: "Positive", numeric_value: null })).to.equal("Positive");
    expect(
      await quantity({ result_value: "120/80", numeric_value: 120, unit: "mmHg", test_name: "Ocular pressure" }),
    ).to.equal("120/80 mmHg");
    expect(await quantity({ result_value: "1,234.5", numeric_value: 1, unit: "10^9/L" })).to.deep.equal({
      value: 1234.5,
      unit: "10^9/L",
      ...ucum,
      code: "10*9/L",
    });
    expect(await quantity({ result_value: "1,234" }), "thousand or German decimals").to.equal("1,234");
    expect(await quantity({ result_value: "1,234,567" })).to.deep.equal({ value: 1234567 });
    expect(await quantity({ result_value: "72.5", unit: "µmol/L" })).to.deep.include({
      value: 72.5,
      code: "umol/L",
    });
    expect(await quantity({ result_value: "3", unit: "furlongs" }), "a unit UCUM may not know").to.deep.equal({
      value: 3,
      unit: "furlongs",
    });
    expect(await quantity({ result_value: "3", unit: "" }), "an empty unit").to.deep.equal({ value: 3 });
    for (const text of ["1+", "+1", "1:80", "5-10", "NaN", "1e3", "12 %", "no growth", "9".repeat(40)])
      expect(await quantity({ result_value: text })).to.equal(text);
    expect((await built({ test_code: "99213" }))["code"]).to.deep.include({
      coding: [{ system: "http://www.ama-assn.org/go/cpt", code: "99213" }],
    });
    expect((await built({ test_code: "HBA1C" }))["code"], "a laboratory's own code").to.deep.equal({
      text: "Hemoglobin A1c",
    });
    const pressure = await built({ test_name: "Blood Pressure", result_value: "120/80", unit: "mmHg" });
    expect(codes(pressure["component"])).to.include.members(["8480-6", "8462-4", "mm[Hg]"]);
    expect(
      objects(pressure["component"]).flatMap((one) => (typeof one["value"] === "number" ? [one["value"]] : [])),
    ).to.deep.equal([120, 80]);
    expect(codes(pressure["category"])).to.deep.equal(["vital-signs"]);
    expect(await quantity({ test_name: "Blood Pressure", result_value: "80/120", unit: "mmHg" })).to.equal(
      "80/120 mmHg",
    );
    const blank = await built({ result_value: " ", unit: "mg/L" });
    expect(codes(blank["dataAbsentReason"])).to.deep.equal(["unknown"]);
    expect(blank).to.not.have.any.keys("valueString", "valueQuantity");
  });

  test("I-9: status tells how sure the extraction is, result_status becomes the interpretation", async (client) => {
    const who = await people(client);
    for (const [confidence, status] of [
      [0.7, "final"],
      [1, "final"],
      [0.69, "unknown"],
      [null, "unknown"],
    ]) {
      expect(await observation(client, await lab(client, who, { confidence_score: confidence }))).to.include({
        status,
      });
    }
    for (const [result, code] of Object.entries({
      normal: "N",
      abnormal: "A",
      critical: "AA",
      high: "H",
      low: "L",
    })) {
      expect(
        codes((await observation(client, await lab(client, who, { result_status: result })))["interpretation"]),
      ).to.deep.equal([code]);
    }
    for (const result of ["unknown", null]) {
      expect(await observation(client, await lab(client, who, { result_status: result }))).to.not.have.any.keys(
        "interpretation",
      );
    }
  });

  test("V6-5: a row without an owner is nobody's and is not built", async (client) => {
    const nobody = await value<string>(
      client,
      `SELECT count(*) FROM public.guardian_fhir_resources AS r WHERE r.patient_id IS NULL OR r.source_id IN (
               SELECT id FROM public.patient_lab_results WHERE user_id IS NULL UNION ALL SELECT id FROM public.patient_vitals WHERE user_id IS NULL
               UNION ALL SELECT id FROM public.patient_medications WHERE user_id IS NULL UNION ALL SELECT id FROM public.documents WHERE user_id IS NULL)`,
    );
    expect(nobody).to.equal("0");
    expect(await value(client, "SELECT count(*) FROM public.patient_lab_results WHERE user_id IS NULL")).to.not.equal(
      "0",
    );
    const { patient } = await people(client);
    expect(
      await as(
        client,
        patient,
        "SELECT public.guardian_to_fhir_observation((SELECT id FROM public.patient_lab_results WHERE user_id IS NULL LIMIT 1))",
      ),
    ).to.equal(null);
  });
});
