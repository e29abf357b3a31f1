import { expect } from "chai";
import type { Client } from "pg";
import { testOn } from "../support/modules";
import { codeSystems, empties, everything, objects, problems, withConsents, type Resource } from "./003_fhir";

/** Consents in every state, as module 004 and the migration write them. */
async function consents(client: Client): Promise<void> {
  // As an owner may have them who took the check away: FHIR has no infinity all the same.
  await client.query(`
    ALTER TABLE public.patient_consents DROP CONSTRAINT patient_consents_times_check;
    INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, explicit_consent,
      resource_type, granted_to, valid_from, valid_until, revoked_at, consent_metadata)
    SELECT u.id, t.type, p.purpose, s.granted, b.basis, u.n % 2 = 0, CASE WHEN u.n % 3 = 0 THEN 'medications' WHEN u.n % 3 = 1 THEN 'dental_records' END,
      CASE WHEN u.n % 2 = 1 THEN u.id END, '2024-01-01', CASE WHEN u.n % 4 = 0 THEN timestamptz '2024-06-01' WHEN u.n % 4 = 1 THEN 'infinity' END, s.revoked,
      s.metadata::jsonb
    FROM (SELECT id, row_number() OVER (ORDER BY id)::int AS n FROM auth.users LIMIT 9) u,
      (VALUES (0, true, NULL::timestamptz, '{}'), (1, false, NULL, '{"state": "pending"}'), (2, false, NULL, '{"state": "refused"}'),
        (3, false, '2024-02-03', '{}'), (4, false, NULL, '{"state": "expired"}')) s (n, granted, revoked, metadata),
      unnest(ARRAY['data_sharing', 'research_participation', 'emergency_access', 'ai_processing', 'family_access']) WITH ORDINALITY t (type, n),
      unnest(ARRAY['healthcare_services', 'research', 'emergency', 'marketing', 'family']) WITH ORDINALITY p (purpose, n),
      unnest(ARRAY['consent', 'contract', 'legal_obligation', 'vital_interests', 'legitimate_interests']) WITH ORDINALITY b (basis, n)
    WHERE p.n = t.n AND b.n = t.n AND s.n = (t.n + u.n) % 5`);
}

/** The R4 profile of each measure, by the end of its id (R4, observation-vitalsigns.html). */
const vitalProfiles: Record<string, string> = {
  "blood-pressure": "vitalsigns", // Medplum cannot tell the slices of profile bp apart, HL7's own example fails too
  "heart-rate": "heartrate",
  "body-temperature": "bodytemp",
  "body-weight": "bodyweight",
  "body-height": "bodyheight",
  bmi: "bmi",
};

/** What v6 allows and the generator does not make: blanks, control characters, impossible dates and numbers. */
async function oddities(client: Client): Promise<void> {
  await client.query(`
    UPDATE public.patient_lab_results SET test_name = E' \\x0C', result_value = E'\\t', unit = ' ', reference_range = '', lab_facility = E'\\u00A0',
      test_date = 'infinity', confidence_score = NULL WHERE id = (SELECT id FROM public.patient_lab_results WHERE user_id IS NOT NULL LIMIT 1);
    UPDATE public.patient_medications SET medication_name = E'Aspirin\\x0B\\x01', dosage = '', frequency = E'\\x0C', route = ' ', prescriber = '',
      start_date = 'infinity', end_date = '-infinity', source_document_ids = '{NULL}', last_confirmed_at = NULL, created_at = 'infinity'
      WHERE id = (SELECT id FROM public.patient_medications WHERE user_id IS NOT NULL LIMIT 1);
    UPDATE public.patient_conditions SET condition_name = '', icd10_code = 'E119', description = E'line\\nbreak', diagnosis_date = '0044-03-15 BC', resolution_date = 'infinity',
      source_document_ids = '{}', condition_category = '', created_at = NULL WHERE id = (SELECT id FROM public.patient_conditions WHERE user_id IS NOT NULL LIMIT 1);
    UPDATE public.patient_vitals SET temperature = 'NaN', weight = 12.5, weight_unit = NULL, height = 1, bmi = 0, heart_rate = -5,
      blood_pressure_systolic = 999, measurement_date = '-infinity' WHERE id = (SELECT id FROM public.patient_vitals WHERE user_id IS NOT NULL LIMIT 1);
    UPDATE public.patient_allergies SET allergen = ' ', reaction_description = '', severity = 'mild', onset_date = '-infinity'
      WHERE id = (SELECT id FROM public.patient_allergies WHERE user_id IS NOT NULL LIMIT 1);
    UPDATE public.patient_providers SET provider_name = '', specialty = '', phone = ' 1 ', address = E'a\\x07b' WHERE user_id IS NOT NULL;
    UPDATE public.documents SET original_name = E'\\x0C', mime_type = 'application/pdf; charset=x y', created_at = 'infinity',
      medical_data = '{"documentType": {"a": 1}}' WHERE id = (SELECT id FROM public.documents WHERE user_id IS NOT NULL AND status = 'processing' LIMIT 1);
    UPDATE public.user_profiles SET first_name = E'\\x01', last_name = ' ', phone = '', date_of_birth = 'infinity' WHERE user_id IN (SELECT user_id FROM public.user_profiles LIMIT 5);
    UPDATE auth.users SET raw_user_meta_data = '{"name": {"first": "x"}}' WHERE id IN (SELECT id FROM auth.users LIMIT 3);
    UPDATE auth.users SET raw_user_meta_data = '"text"' WHERE id IN (SELECT id FROM auth.users OFFSET 3 LIMIT 3)`);
}

/** FHIR's sentence for what one resource is, for the test's messages: no value of it. */
const named = (resource: Resource): string => `${resource.resourceType}/${resource.id ?? ""}`;

const testConsents = testOn(withConsents);

describe("003_fhir_integration: valid resources", function () {
  this.timeout(120_000);

  testConsents(
    "scenario 5: every resource of every generated user is valid R4 by Medplum's validator and by ours",
    async (client) => {
      await consents(client);
      for (const odd of [false, true]) {
        if (odd) await oddities(client);
        const all = await everything(client);
        const types = new Set(all.map((one) => one.resourceType));
        expect([...types].sort()).to.deep.equal([
          "AllergyIntolerance",
          "Condition",
          "Consent",
          "DocumentReference",
          "MedicationRequest",
          "MedicationStatement",
          "Observation",
          "Organization",
          "Patient",
          "Practitioner",
        ]);
        expect(all.length).to.be.above(450);
        expect(all.flatMap((one) => problems(one).map((problem) => `${named(one)} ${problem}`))).to.deep.equal([]);
        expect(all.flatMap((one) => empties(one, named(one)))).to.deep.equal([]);
        const ours = await client.query(
          "SELECT r ->> 'resourceType', i.path, i.message FROM unnest($1::jsonb[]) AS r, public.fhir_resource_issues(r ->> 'resourceType', r) AS i WHERE i.severity = 'error'",
          [all.map((one) => JSON.stringify(one))],
        );
        expect(ours.rows).to.deep.equal([]);
      }
    },
  );

  testConsents(
    "vital signs also keep their own profiles: bp, heartrate, bodytemp, bodyweight, bodyheight, bmi",
    async (client) => {
      const vitals = (await everything(client)).filter((one) =>
        JSON.stringify(one["category"] ?? "").includes("vital-signs"),
      );
      const seen = new Set<string>();
      const found = vitals.flatMap((one) => {
        const measure = Object.keys(vitalProfiles).find((end) => one.id?.endsWith(`-${end}`)) ?? "blood-pressure";
        seen.add(measure);
        return problems(one, vitalProfiles[measure]).map((problem) => `${named(one)} ${problem}`);
      });
      expect([...seen].sort()).to.deep.equal(Object.keys(vitalProfiles).sort());
      expect(found).to.deep.equal([]);
      const panels = vitals.filter((one) => one["component"] !== undefined);
      expect(panels.length).to.be.above(5);
      for (const panel of panels) {
        const codes = objects(panel["component"]).flatMap((one) =>
          one["system"] === "http://loinc.org" ? [one["code"]] : [],
        );
        expect(codes, "both components of profile bp").to.deep.equal(["8480-6", "8462-4"]);
        expect(objects(panel["code"]).map((one) => one["code"])).to.include("85354-9");
      }
    },
  );

  testConsents(
    "every code of a system of HL7 is in that system, and no other system is used than these",
    async (client) => {
      await consents(client);
      const known = codeSystems();
      const codings = (await everything(client))
        .flatMap(objects)
        .filter((one) => typeof one["system"] === "string" && typeof one["code"] === "string");
      const wrong = codings.filter(
        (one) => known.has(one["system"] as string) && !known.get(one["system"] as string)?.has(one["code"] as string),
      );
      expect(wrong).to.deep.equal([]);
      const systems = new Set(codings.map((one) => one["system"] as string));
      expect([...systems].filter((system) => !known.has(system)).sort()).to.deep.equal([
        "http://hl7.org/fhir/sid/icd-10",
        "http://loinc.org",
        "http://unitsofmeasure.org",
        "https://guardian.health/consent-purpose",
      ]);
      expect([...systems].filter((system) => known.has(system)).length).to.be.at.least(10);
    },
  );

  testConsents(
    "scenario 4: a Bundle holds the whole record of its patient and of nobody else, and its references resolve in it",
    async (client) => {
      await consents(client);
      const { rows } = await client.query<{ bundle: Resource; patient: string }>(
        "SELECT u.id AS patient, public.guardian_to_fhir_bundle(u.id) AS bundle FROM auth.users AS u",
      );
      expect(rows).to.have.length(300);
      let entries = 0;
      for (const { bundle, patient } of rows) {
        expect(problems(bundle)).to.deep.equal([]);
        const entry = bundle["entry"] as { fullUrl: string; resource: Resource }[];
        entries += entry.length;
        expect(entry[0]?.resource).to.include({ resourceType: "Patient", id: patient });
        const urls = entry.map((one) => one.fullUrl.replace("https://guardian.health/fhir/", ""));
        expect(new Set(urls).size).to.equal(urls.length);
        const references = objects(bundle).flatMap((one) =>
          typeof one["reference"] === "string" ? [one["reference"]] : [],
        );
        expect(references.filter((one) => !urls.includes(one))).to.deep.equal([]);
        expect(references.filter((one) => one.startsWith("Patient/") && one !== `Patient/${patient}`)).to.deep.equal(
          [],
        );
      }
      expect(entries, "every resource is in one Bundle").to.equal((await everything(client)).length);
    },
  );

  testConsents("the guard sees: what the papers' builders made is refused by both validators", async (client) => {
    for (const bad of [
      {
        resourceType: "Patient",
        name: [{ use: "official", family: null, given: [null] }],
        identifier: [{ value: "x" }],
      },
      {
        resourceType: "Observation",
        status: "final",
        code: { text: "x" },
        valueQuantity: { value: 1, unit: "" },
      },
      {
        resourceType: "Consent",
        status: "active",
        scope: { text: "x" },
        category: [{ text: "x" }],
        provision: {},
        policyRule: { text: "x" },
      },
      {
        resourceType: "MedicationRequest",
        status: "active",
        intent: "order",
        subject: { reference: "Patient/1" },
      },
    ] as Resource[]) {
      expect([...problems(bad), ...empties(bad)], bad.resourceType).to.not.deep.equal([]);
      const { rows } = await client.query("SELECT FROM public.fhir_resource_issues($1, $2) WHERE severity = 'error'", [
        bad.resourceType,
        JSON.stringify(bad),
      ]);
      expect(rows, bad.resourceType).to.not.deep.equal([]);
    }
  });
});
