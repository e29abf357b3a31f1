import { randomUUID } from "node:crypto";
import { tried } from "./tried";

/** So many resources of a type are validated: a record may have thousands. */
const each = 20;

/** So often the two builds are compared at most: between them the application may have added to the record. */
const tries = 3;

/** Guide 6.3, "FHIR Integration", as far as the database goes: what it builds of a record is valid R4, and it knows what is not. */
export const fhirBuild = tried({
  name: "fhir-build",
  asks: "whether a patient's record becomes a bundle of valid FHIR resources, for the patient alone, and what is not valid is found",
  needs: ["public.guardian_to_fhir_bundle", "public.validate_fhir_resource", "public.run_fhir_test_cases"],
  async run(steps, { account }) {
    const patient = { person: account };
    const size = "SELECT jsonb_array_length(public.guardian_to_fhir_bundle($1) -> 'entry')";
    const built: number[] = [];
    let same = false;
    for (let i = 0; i < tries && !same; i++) {
      const entries = (await steps.value<number>("the record is built", "server", size, [account])) ?? 0;
      built.push(entries);
      same = (await steps.value<number>("the patient builds it", patient, size, [account])) === entries;
    }
    steps.hold("it begins with the patient", Math.min(...built) >= 1);
    if (same || new Set(built).size === 1) steps.hold("the patient builds the same", same);
    else
      steps.notes.push("the application added to the record meanwhile: that the patient builds the same was not seen");
    if (steps.becomes) await steps.refused("nobody else builds it", "42501", { person: randomUUID() }, size, [account]);
    const results = await steps.ask<{ id: string }>(
      "its resources are validated",
      "server",
      `SELECT public.validate_fhir_resource(b.r ->> 'resourceType', b.r, 'guardian') AS id FROM (
         SELECT x.r, row_number() OVER (PARTITION BY x.r ->> 'resourceType' ORDER BY x.r ->> 'id') AS place
         FROM jsonb_array_elements(public.guardian_to_fhir_bundle($1) -> 'entry') AS e, LATERAL (SELECT e -> 'resource') AS x (r)) AS b
       WHERE b.place <= $2`,
      [account, each],
    );
    const found = await steps.ask<{ type: string; valid: boolean; paths: string[] }>(
      "the results are read",
      "server",
      `SELECT v.resource_type AS type, v.is_valid AS valid, ARRAY(SELECT DISTINCT regexp_replace(e ->> 'path', '\\[[0-9]+\\]', '', 'g')
         FROM jsonb_array_elements(v.validation_errors) AS e) AS paths
       FROM public.fhir_validation_results AS v WHERE v.id = ANY ($1)`,
      [results.map(({ id }) => id)],
    );
    steps.hold("each has a result", found.length > 0 && found.length === results.length);
    for (const type of new Set(found.map((one) => one.type))) {
      const bad = found.filter((one) => one.type === type && !one.valid);
      const where = [...new Set(bad.flatMap(({ paths }) => paths))].sort().slice(0, 3).join(", ");
      steps.hold(`each ${type} is valid${bad.length === 0 ? "" : ` (${where})`}`, bad.length === 0);
    }
    const broken = JSON.stringify({ resourceType: "Patient", id: "trial", gender: "whatever", name: [] });
    const id = await steps.value(
      "a resource is validated that is none",
      "server",
      "SELECT public.validate_fhir_resource('Patient', $1::jsonb, 'trial')",
      [broken],
    );
    const verdict = "SELECT is_valid FROM public.fhir_validation_results WHERE id = $1";
    await steps.expect("it is found not to be valid", "server", false, verdict, [id]);
    const cases = "SELECT count(*)::integer FROM public.run_fhir_test_cases() WHERE NOT passed";
    await steps.expect("every test case of the validator passes", "server", 0, cases);
    const mapped = `SELECT count(*)::integer FROM public.fhir_patient_mappings WHERE guardian_user_id = $1 AND source_system = 'guardian'`;
    await steps.ask("the mappings are refreshed", "server", "SELECT * FROM public.refresh_fhir_mappings($1, 100)", [
      account,
    ]);
    await steps.expect("the patient has a mapping", "server", 1, mapped, [account]);
    steps.measured["resources"] = found.length;
    steps.measured["invalid"] = found.filter(({ valid }) => !valid).length;
  },
});
