import { expect } from "chai";
import type { Client } from "pg";
import { count, expectRefusal, queryAs, service, testOn, value } from "../support/modules";
import { codeSystems, modules, people, problems, type Resource } from "./003_fhir";
import { breaches, least, subject, valueSets } from "./003_rules";

interface Result {
  is_valid: boolean;
  completeness_score: string;
  consistency_score: string;
  paths: string[];
  resource_id: string | null;
  mapping_status: string;
  guardian_patient_id: string | null;
}

/** Validates as the server side does, and reads the stored result. */
async function validate(client: Client, type: string | null, resource: unknown, source = "clinic"): Promise<Result> {
  const id = await service(client, "SELECT public.validate_fhir_resource($1, $2, $3)", [
    type,
    JSON.stringify(resource),
    source,
  ]);
  const { rows } = await client.query<Result>(
    `SELECT is_valid, completeness_score, consistency_score, resource_id, mapping_status, guardian_patient_id,
       ARRAY(SELECT DISTINCT e ->> 'path' FROM jsonb_array_elements(validation_errors) AS e ORDER BY 1) AS paths FROM public.fhir_validation_results WHERE id = $1`,
    [id],
  );
  return rows[0]!;
}

const test = testOn(modules);

describe("003_fhir_integration: validation", function () {
  this.timeout(60_000);

  test("I-6: every supported type is validated, MedicationRequest and DocumentReference too; another one is a result", async (client) => {
    for (const [type, elements] of Object.entries(least)) {
      const resource = { resourceType: type, id: "1", ...elements } as Resource;
      expect(problems(resource), type).to.deep.equal([]);
      expect(await validate(client, type, resource), type).to.deep.include({
        is_valid: true,
        paths: [],
        consistency_score: "1.00",
        mapping_status: "pending",
      });
      const required = await client.query<{ element: string }>(
        "SELECT element FROM public.fhir_element_rules($1) WHERE required",
        [type],
      );
      for (const { element } of required.rows) {
        const without = { ...resource, [element]: undefined };
        expect((await validate(client, type, without)).paths, `${type} without ${element}`).to.include(
          `${type}.${element}`,
        );
      }
    }
    expect(await validate(client, "Appointment", { resourceType: "Appointment" })).to.deep.include({
      is_valid: false,
      paths: ["resourceType"],
      mapping_status: "failed",
    });
  });

  test("I-6: a missing or other resourceType, a missing resource and an empty identifier array are not valid", async (client) => {
    expect((await validate(client, "Patient", { identifier: [{ value: "1" }] })).paths).to.deep.equal(["resourceType"]);
    expect(
      (await validate(client, "Patient", { resourceType: "Person", identifier: [{ value: "1" }] })).paths,
    ).to.deep.equal(["resourceType"]);
    expect((await validate(client, "Patient", { resourceType: "Patient", identifier: [] })).paths).to.deep.equal([
      "Patient.identifier",
    ]);
    for (const nothing of [null, [], "text", 7])
      expect((await validate(client, "Patient", nothing)).is_valid).to.equal(false);
    const sql = await service(client, "SELECT public.validate_fhir_resource('Patient', NULL, 'clinic')");
    expect(await value(client, "SELECT is_valid FROM public.fhir_validation_results WHERE id = $1", [sql])).to.equal(
      false,
    );
  });

  test("I-6: a resource without an id has a result; completeness of identifier and name is above 0.8; an Observation is scored", async (client) => {
    const named = { resourceType: "Patient", identifier: [{ value: "1" }], name: [{ family: "x" }] };
    expect(await validate(client, "Patient", named)).to.deep.include({
      is_valid: true,
      completeness_score: "0.82",
      resource_id: null,
    });
    expect(
      (
        await validate(client, "Patient", {
          ...named,
          birthDate: "1970",
          telecom: [{ system: "email", value: "x" }],
        })
      ).completeness_score,
    ).to.equal("1.00");
    const bare = { resourceType: "Observation", ...least["Observation"] };
    expect((await validate(client, "Observation", bare)).completeness_score).to.equal("0.33");
    expect(
      (
        await validate(client, "Observation", {
          ...bare,
          subject,
          valueString: "x",
          effectiveDateTime: "2024",
          category: [{ text: "x" }],
        })
      ).completeness_score,
    ).to.equal("1.00");
  });

  test("I-6: elements have the types, shapes and rules that R4 gives them", async (client) => {
    for (const [type, path, more] of breaches) {
      const found = await validate(client, type, { resourceType: type, ...least[type], ...more });
      expect(found.is_valid, JSON.stringify(more)).to.equal(false);
      expect(found.paths, JSON.stringify(more)).to.include(path);
    }
  });

  test("I-6: the value sets are HL7's own", async (client) => {
    const known = codeSystems();
    const { rows } = await client.query<{ name: string; allowed: string }>(
      "SELECT t || '.' || r.element AS name, r.allowed FROM unnest($1::text[]) AS t, public.fhir_element_rules(t) AS r WHERE r.kind IN ('code', 'codes', 'concept') AND r.allowed IS NOT NULL",
      [Object.keys(least)],
    );
    const checked = rows.filter(({ name }) => name in valueSets);
    expect(checked.map((row) => row.name).sort()).to.deep.equal(Object.keys(valueSets).sort());
    for (const { name, allowed } of checked) {
      const system = known.get(valueSets[name] ?? "");
      expect(system, `${name}: ${valueSets[name] ?? ""}`).to.not.equal(undefined);
      expect(
        allowed.split("|").filter((code) => !system?.has(code)),
        name,
      ).to.deep.equal([]);
    }
  });

  test("I-6: a result names elements and no value, and goes with the account it is about", async (client) => {
    const { patient } = await people(client);
    await service(client, "SELECT public.fhir_to_guardian_patient($1, 'clinic', $2)", [
      JSON.stringify({ resourceType: "Patient", id: "1", identifier: [{ value: "1" }] }),
      patient,
    ]);
    const known = await validate(client, "Patient", {
      resourceType: "Patient",
      id: "1",
      identifier: [{ value: "MARKED" }],
      gender: "MARKED",
    });
    expect(known).to.deep.include({ guardian_patient_id: patient, mapping_status: "failed" });
    expect(
      (
        await validate(client, "Observation", {
          resourceType: "Observation",
          id: "9",
          ...least["Observation"],
          subject,
        })
      ).guardian_patient_id,
    ).to.equal(patient);
    expect(
      (
        await validate(
          client,
          "Observation",
          { resourceType: "Observation", id: "9", ...least["Observation"], subject },
          "hospital",
        )
      ).guardian_patient_id,
    ).to.equal(null);
    expect(await value(client, "SELECT string_agg(v::text, ' ') FROM public.fhir_validation_results v")).to.not.include(
      "MARKED",
    );
    const own = { resourceType: "Patient", id: patient, identifier: [{ value: "1" }] };
    expect((await validate(client, "Patient", own, "guardian")).guardian_patient_id, "before any mapping").to.equal(
      patient,
    );
    await client.query("DELETE FROM auth.users WHERE id = $1", [patient]);
    expect(await count(client, "public.fhir_validation_results")).to.equal(1);
  });

  test("I-6: test cases run, and only the server side validates", async (client, db) => {
    await client.query(
      `INSERT INTO public.fhir_test_cases (test_name, resource_type, test_data, expected_valid, expected_errors) VALUES
             ('good', 'Organization', '{"resourceType": "Organization", "name": "x"}', true, '{}'),
             ('bad', 'Organization', '{"resourceType": "Organization", "name": ""}', false, '{Organization.name}'),
             ('wrong', 'Organization', '{"resourceType": "Organization", "name": "x"}', false, '{}')`,
    );
    const admin = await db.connect("admin");
    const run = await queryAs<{ test_name: string; passed: boolean }>(
      admin,
      "guardian_operator",
      null,
      "SELECT * FROM public.run_fhir_test_cases()",
    );
    expect(run.rows.map((row) => `${row.test_name} ${row.passed}`)).to.deep.equal([
      "bad true",
      "good true",
      "wrong false",
    ]);
    for (const role of ["anon", "authenticated"]) {
      await expectRefusal(
        "42501",
        queryAs(client, role, null, "SELECT public.validate_fhir_resource('Patient', '{}', 'x')"),
      );
    }
  });
});
