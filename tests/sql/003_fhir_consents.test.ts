import { expect } from "chai";
import { as, service, testOn, value } from "../support/modules";
import { modules, people, problems, withConsents, type Resource } from "./003_fhir";
import { expectCurrent, refresh } from "./003_refresh";

const test = testOn(modules);
const testConsents = testOn(withConsents);

describe("003_fhir_integration: consents", function () {
  this.timeout(60_000);

  testConsents(
    "I-8: a consent has one Consent, of HL7's codes, in every state, also when only time changed it",
    async (client) => {
      const { patient, other } = await people(client);
      const built = (id: string): Promise<Resource> =>
        as<Resource>(client, patient, "SELECT public.generate_fhir_consent_resource($1)", [id]);
      const id = await as(
        client,
        patient,
        "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2, 'medications', '2099-01-01', true)",
        [patient, other],
      );
      const consent = await built(id);
      expect(consent).to.deep.include({
        resourceType: "Consent",
        id,
        status: "active",
        patient: { reference: `Patient/${patient}` },
      });
      expect(consent["provision"]).to.deep.include({
        type: "permit",
        purpose: [
          { system: "https://guardian.health/consent-purpose", code: "healthcare_services" },
          { system: "http://terminology.hl7.org/CodeSystem/v3-ActReason", code: "TREAT", display: "treatment" },
        ],
        code: [{ text: "medications" }],
        class: [
          { system: "http://hl7.org/fhir/resource-types", code: "MedicationStatement" },
          { system: "http://hl7.org/fhir/resource-types", code: "MedicationRequest" },
        ],
      });
      expect(problems(consent)).to.deep.equal([]);
      const endless = await value<string>(
        client,
        "INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis) VALUES ($1, 'ai_processing', 'research', true, 'contract') RETURNING id",
        [patient],
      );
      const open = (await built(endless))["provision"] as { period: Record<string, unknown> };
      expect(Object.keys(open.period), "a consent without an end has none").to.deep.equal(["start"]);
      expect(await built(endless), "nobody agreed to it").to.not.have.any.keys("performer");
      expect((await refresh(client))["consent_fhir_mappings"]).to.equal("+2 -0");
      expect(await refresh(client)).to.deep.equal({});
      await as(client, patient, "SELECT public.revoke_patient_consent($1)", [id]);
      expect(await built(id)).to.include({ status: "inactive" });
      expect(await refresh(client)).to.deep.equal({ consent_fhir_mappings: "+1 -0" });
      const asked = await service(client, "SELECT public.request_patient_consent($1, 'family_access', 'family', $2)", [
        patient,
        other,
      ]);
      expect(await built(asked)).to.include({ status: "proposed" });
      await as(client, patient, "SELECT public.refuse_patient_consent($1, 'family_access', 'family', $2)", [
        patient,
        other,
      ]);
      expect(await built(asked)).to.deep.include({
        status: "rejected",
        provision: { ...((await built(asked))["provision"] as object), type: "deny" },
      });
      await client.query(
        "UPDATE public.patient_consents SET valid_until = clock_timestamp() + interval '1 second' WHERE id = $1",
        [endless],
      );
      await refresh(client);
      expect(
        await value(client, "SELECT fhir_status FROM public.consent_fhir_mappings WHERE consent_id = $1", [endless]),
      ).to.equal("active");
      await new Promise((done) => setTimeout(done, 1100));
      expect(await refresh(client)).to.deep.equal({ consent_fhir_mappings: "+1 -0" });
      expect(
        await value(client, "SELECT fhir_status FROM public.consent_fhir_mappings WHERE consent_id = $1", [endless]),
      ).to.equal("inactive");
      await expectCurrent(client);
      await client.query("DELETE FROM public.patient_consents WHERE id = $1", [endless]);
      expect(await refresh(client)).to.deep.equal({ consent_fhir_mappings: "+0 -1" });
      expect(
        await as(client, other, "SELECT public.generate_fhir_consent_resource($1)", [asked]),
        "another's",
      ).to.equal(null);
    },
  );

  test("I-8: without module 004 there are no Consents, and no error", async (client) => {
    const { patient } = await people(client);
    expect(await as(client, patient, "SELECT public.generate_fhir_consent_resource($1)", [patient])).to.equal(null);
    expect(await refresh(client)).to.not.have.any.keys("consent_fhir_mappings");
  });
});
