import { expect } from "chai";
import type { Client } from "pg";
import { asRole } from "../support/postgres";

/** What a refresh says it did: table → written and removed, quiet ones left out. */
export async function refresh(
  client: Client,
  patient: string | null = null,
  limit: number | null = null,
): Promise<Record<string, string>> {
  return asRole(client, "service_role", null, async (c) => {
    const { rows } = await c.query<{ mapping: string; written: string; removed: string }>(
      "SELECT * FROM public.refresh_fhir_mappings($1, $2)",
      [patient, limit],
    );
    expect(rows).to.have.length(5);
    return Object.fromEntries(
      rows
        .filter((row) => row.written !== "0" || row.removed !== "0")
        .map((row) => [row.mapping, `+${row.written} -${row.removed}`]),
    );
  });
}

/** Every stored resource is what would be built now, and none is missing or left over. */
export async function expectCurrent(client: Client): Promise<void> {
  const { rows } = await client.query(`
    WITH built AS (
      SELECT resource FROM public.guardian_fhir_resources WHERE resource_type IN ('Observation', 'MedicationRequest', 'DocumentReference')
      UNION ALL SELECT resource FROM public.guardian_fhir_patients() UNION ALL SELECT resource FROM public.guardian_fhir_consents()
    ), stored AS (
      SELECT resource FROM public.fhir_observations WHERE source_system = 'guardian' UNION ALL SELECT resource FROM public.fhir_medication_requests
      UNION ALL SELECT resource FROM public.fhir_document_references UNION ALL SELECT resource FROM public.fhir_patient_mappings WHERE source_system = 'guardian'
      UNION ALL SELECT resource FROM public.consent_fhir_mappings
    )
    (SELECT 'missing' AS what, resource FROM built EXCEPT ALL SELECT 'missing', resource FROM stored)
    UNION ALL (SELECT 'left over', resource FROM stored EXCEPT ALL SELECT 'left over', resource FROM built)`);
  expect(rows).to.deep.equal([]);
}
