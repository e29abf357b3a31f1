import { expect } from "chai";
import { testOn, value } from "../support/modules";
import { insert, modules, objects, people, problems, type Resource } from "./003_fhir";

/** The codes within an element, in the order in which they are found. */
const codes = (of: unknown): unknown[] => objects(of).flatMap((one) => ("code" in one ? [one["code"]] : []));

const test = testOn(modules);

describe("003_fhir_integration: vitals and statuses", function () {
  this.timeout(60_000);

  test("one wide row of vitals becomes its several Observations, in UCUM's units; what cannot be is no value", async (client) => {
    const { patient, document } = await people(client);
    const built = async (row: Record<string, unknown>): Promise<Map<string, Resource>> => {
      const id = await insert(client, "patient_vitals", {
        user_id: patient,
        source_document_id: document,
        measurement_date: "2024-05-06",
        confidence_score: 0.9,
        ...row,
      });
      const { rows } = await client.query<{ r: Resource }>(
        "SELECT public.guardian_to_fhir_vital_observations($1) AS r",
        [id],
      );
      return new Map(rows.map(({ r }) => [(r.id ?? "").replace(`${id}-`, ""), r]));
    };
    const metric = await built({
      blood_pressure_systolic: 120,
      blood_pressure_diastolic: 80,
      heart_rate: 60,
      temperature: 37,
      temperature_unit: "C",
      weight: 70.5,
      weight_unit: "kg",
      height: 172,
      height_unit: "cm",
      bmi: 23.8,
      measurement_context: "seated",
    });
    expect([...metric.keys()].sort()).to.deep.equal([
      "blood-pressure",
      "bmi",
      "body-height",
      "body-temperature",
      "body-weight",
      "heart-rate",
    ]);
    expect([...metric.values()].map((one) => one["note"])).to.deep.equal(Array(6).fill([{ text: "seated" }]));
    const units = (all: Map<string, Resource>) =>
      Object.fromEntries(
        [...all].flatMap(([measure, one]) => (one["valueQuantity"] ? [[measure, codes(one["valueQuantity"])[0]]] : [])),
      );
    expect(units(metric)).to.deep.equal({
      "heart-rate": "/min",
      "body-temperature": "Cel",
      "body-weight": "kg",
      "body-height": "cm",
      bmi: "kg/m2",
    });
    const imperial = await built({ temperature: 98.6, weight: 155.4, height: 67.7 });
    expect(units(imperial)).to.deep.equal({
      "body-temperature": "[degF]",
      "body-weight": "[lb_av]",
      "body-height": "[in_i]",
    });
    const half = (await built({ blood_pressure_systolic: 120 })).get("blood-pressure");
    const [systolic, diastolic] = half?.["component"] as Record<string, unknown>[];
    expect(systolic?.["valueQuantity"]).to.deep.include({ value: 120, code: "mm[Hg]" });
    expect(codes(diastolic?.["dataAbsentReason"]), "the missing half says so").to.deep.equal(["unknown"]);
    const mixed = (await built({ temperature: 98.6, temperature_unit: "C" })).get("body-temperature");
    expect(mixed).to.not.have.any.keys("valueQuantity");
    expect(codes(mixed?.["dataAbsentReason"])).to.deep.equal(["error"]);
    expect(mixed?.["note"]).to.deep.equal([{ text: "recorded as 98.6 °C, which cannot be" }]);
    const unitless = (await built({ weight: 70, weight_unit: null })).get("body-weight");
    expect(unitless?.["note"]).to.deep.equal([{ text: "recorded as 70.0 without a unit, which cannot be" }]);
    expect((await built({})).size, "an empty row").to.equal(0);
    for (const one of [...metric.values(), ...imperial.values()]) expect(problems(one)).to.deep.equal([]);
  });

  test("statuses of v6, unknown ones too, go to R4's value sets, and contradictions to a note", async (client) => {
    const { patient: user_id, document } = await people(client);
    const row = { user_id, source_document_ids: [document, document], confidence_score: 0.9 };
    const get = async (table: string, builder: string, more: Record<string, unknown>): Promise<Resource> =>
      value<Resource>(client, `SELECT public.guardian_to_fhir_${builder}($1)`, [
        await insert(client, table, { ...row, ...more }),
      ]);
    for (const [v6, r4] of [
      ["active", "active"],
      ["completed", "completed"],
      ["discontinued", "stopped"],
      ["unknown", "unknown"],
      [null, "unknown"],
    ]) {
      const medication = { medication_name: "Aspirin", status: v6, prescriber: "Dr Synthetic" };
      expect(await get("patient_medications", "medication_statement", medication)).to.include({ status: r4 });
      expect(await get("patient_medications", "medication_request", medication)).to.include({
        status: r4,
        intent: "order",
        reportedBoolean: true,
      });
    }
    expect(await get("patient_medications", "medication_request", { medication_name: "Aspirin" })).to.include({
      intent: "plan",
    });
    const backwards = await get("patient_medications", "medication_statement", {
      medication_name: "A",
      start_date: "2024-02-01",
      end_date: "2024-01-01",
    });
    expect(backwards["effectivePeriod"]).to.deep.equal({ start: "2024-02-01" });
    expect(backwards["note"]).to.deep.equal([{ text: "An end before the start is recorded and left out: 2024-01-01" }]);
    for (const [v6, clinical, verification] of [
      ["active", "active", []],
      ["chronic", "active", []],
      ["acute", "active", []],
      ["resolved", "resolved", []],
      ["in_remission", "remission", []],
      ["unknown", undefined, ["unconfirmed"]],
      [null, undefined, ["unconfirmed"]],
    ] as const) {
      const condition = await get("patient_conditions", "condition", {
        condition_name: "Asthma",
        status: v6,
        icd10_code: "j459",
        resolution_date: "2024-01-01",
      });
      expect(codes(condition["clinicalStatus"])).to.deep.equal(clinical ? [clinical] : []);
      expect(codes(condition["verificationStatus"])).to.deep.equal(verification);
      expect("abatementDateTime" in condition, "con-4").to.equal(["resolved", "in_remission"].includes(v6 ?? ""));
      expect("note" in condition).to.equal(!("abatementDateTime" in condition));
      expect(codes(condition["code"])).to.include("J45.9");
      expect(problems(condition)).to.deep.equal([]);
    }
    for (const [v6, criticality, severity] of [
      ["life-threatening", "high", "severe"],
      ["severe", "high", "severe"],
      ["moderate", undefined, "moderate"],
      ["mild", undefined, "mild"],
      ["unknown", undefined, undefined],
      [null, undefined, undefined],
    ] as const) {
      const allergy = await get("patient_allergies", "allergy_intolerance", {
        allergen: "Latex",
        severity: v6,
        allergy_type: "Drug (antibiotic)",
      });
      expect(allergy["criticality"]).to.equal(criticality);
      expect(
        objects(allergy["reaction"])
          .map((one) => one["severity"])
          .filter(Boolean),
      ).to.deep.equal(severity ? [severity] : []);
      expect(allergy["category"]).to.deep.equal(["medication"]);
      expect(problems(allergy)).to.deep.equal([]);
    }
    for (const [v6, clinical, verification] of [
      ["active", "active", []],
      ["resolved", "resolved", []],
      ["unconfirmed", "active", ["unconfirmed"]],
      [null, "active", ["unconfirmed"]],
    ] as const) {
      const allergy = await get("patient_allergies", "allergy_intolerance", { allergen: "Latex", status: v6 });
      expect([codes(allergy["clinicalStatus"]), codes(allergy["verificationStatus"])]).to.deep.equal([
        [clinical],
        verification,
      ]);
    }
    expect(
      await get("patient_providers", "practitioner", {
        provider_name: "Dr Synthetic",
        provider_type: "physician",
      }),
    ).to.include({ resourceType: "Practitioner" });
    expect(
      await get("patient_providers", "practitioner", {
        provider_name: "St Synthetic",
        provider_type: "Hospital",
      }),
    ).to.include({ resourceType: "Organization", name: "St Synthetic" });
    for (const [status, docStatus] of [
      ["uploaded", undefined],
      ["processing", undefined],
      ["completed", undefined],
      [null, undefined],
      ["failed", "preliminary"],
    ]) {
      const id = await insert(client, "documents", {
        user_id,
        s3_key: "secret/path",
        status,
        normalization_status: "failed",
      });
      const reference = await value<Resource>(client, "SELECT public.guardian_to_fhir_document_reference($1)", [id]);
      expect(reference["status"]).to.equal("current");
      expect(reference["docStatus"]).to.equal(docStatus);
      expect(JSON.stringify(reference), "the storage path stays inside").to.not.include("secret/path");
    }
  });
});
