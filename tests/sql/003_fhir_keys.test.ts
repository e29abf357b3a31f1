import { expect } from "chai";
import { count, as, expectRefusal, service, testOn, value } from "../support/modules";
import { lab, modules, people, withConsents } from "./003_fhir";
import { refresh } from "./003_refresh";

const test = testOn(modules);
const testConsents = testOn(withConsents);

describe("003_fhir_integration: keys and constraints", function () {
  this.timeout(60_000);

  testConsents(
    "D-1, D-2, D-3: accounts, documents and results are deleted as under v6, and take along what is about them",
    async (client) => {
      const who = await people(client);
      const { patient, other, document } = who;
      const result = await lab(client, who, {});
      await as(client, patient, "SELECT public.grant_patient_consent($1, 'data_sharing', 'research')", [patient]);
      await refresh(client);
      await client.query(
        "INSERT INTO public.fhir_endpoints (id, system_name, base_url, auth_type) VALUES ($1, 'clinic', 'https://a.example', 'none')",
        [document],
      );
      await client.query(
        "INSERT INTO public.fhir_sync_jobs (endpoint_id, resource_type, operation, patient_filter) VALUES ($1, 'Patient', 'import', $2)",
        [document, patient],
      );
      await client.query(
        "INSERT INTO public.legacy_import_jobs (system_name, fhir_resource_type, created_by) VALUES ('old', 'Patient', $1)",
        [patient],
      );
      await client.query(
        "INSERT INTO public.fhir_api_audit (endpoint_id, operation, request_url, guardian_user_id) VALUES ($1, 'read', 'https://a.example', $2)",
        [document, patient],
      );
      await client.query(
        "INSERT INTO public.hl7_messages (id, message_type, message_control_id, raw_message) VALUES ($1, 'ADT^A08', '1', 'MSH')",
        [document],
      );
      await client.query(
        "INSERT INTO public.hl7_to_fhir_conversions (hl7_message_id, fhir_resources) VALUES ($1, '[]')",
        [document],
      );
      await service(
        client,
        "WITH u AS (UPDATE public.hl7_messages SET guardian_patient_id = $1 RETURNING 1) SELECT count(*) FROM u",
        [patient],
      );
      expect(
        await value(client, "SELECT guardian_patient_id FROM public.hl7_to_fhir_conversions"),
        "follows its message",
      ).to.equal(patient);

      await client.query("DELETE FROM public.patient_lab_results WHERE id = $1", [result]);
      expect(await count(client, "public.fhir_observations WHERE guardian_lab_result_id = $1", [result])).to.equal(0);
      await client.query("DELETE FROM public.documents WHERE id = $1", [document]);
      expect(
        await count(client, "public.fhir_document_references WHERE guardian_document_id = $1", [document]),
      ).to.equal(0);
      await client.query("DELETE FROM auth.users WHERE id = $1", [patient]);
      for (const [table, column] of Object.entries({
        fhir_patient_mappings: "guardian_user_id",
        fhir_observations: "guardian_patient_id",
        fhir_medication_requests: "guardian_patient_id",
        fhir_document_references: "guardian_patient_id",
        consent_fhir_mappings: "guardian_patient_id",
        fhir_sync_jobs: "patient_filter",
        hl7_messages: "guardian_patient_id",
        hl7_to_fhir_conversions: "guardian_patient_id",
        legacy_import_jobs: "created_by",
      })) {
        expect(await count(client, `public.${table} WHERE ${column} = $1`, [patient]), table).to.equal(0);
      }
      expect(await count(client, "public.hl7_messages")).to.equal(0);
      expect(await count(client, "public.legacy_import_jobs"), "an actor is forgotten").to.equal(1);
      expect(await count(client, "public.fhir_api_audit"), "the trail stays").to.equal(1);
      expect(await count(client, "public.fhir_patient_mappings WHERE guardian_user_id = $1", [other])).to.equal(1);
    },
  );

  test("the tables keep to what they say: one value, one origin, a sender's message once", async (client) => {
    const { patient } = await people(client);
    const observation = {
      resourceType: "Observation",
      status: "final",
      code: { text: "x" },
      subject: { reference: "Patient/1" },
    };
    const put = (resource: unknown, source = "clinic"): Promise<unknown> =>
      client.query(
        "INSERT INTO public.fhir_observations (guardian_patient_id, fhir_observation_id, source_system, resource) VALUES ($1, gen_random_uuid(), $2, $3)",
        [patient, source, JSON.stringify(resource)],
      );
    await put(observation);
    await expectRefusal("23514", put({ ...observation, valueString: "x", valueBoolean: true }));
    await expectRefusal("23514", put({ ...observation, status: "done" }));
    await expectRefusal("23514", put({ ...observation, resourceType: "Patient" }));
    await expectRefusal("23514", put(observation, "guardian"), "built from nothing");
    const message = (facility: string | null): Promise<unknown> =>
      client.query(
        "INSERT INTO public.hl7_messages (message_type, message_control_id, sending_facility, raw_message) VALUES ('ORU^R01', '1', $1, 'MSH')",
        [facility],
      );
    await message(null);
    await message("A");
    await expectRefusal("23505", message(null));
    await expectRefusal("23505", message("A"));
  });
});
