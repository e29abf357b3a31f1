import { expect } from "chai";
import { describeLifecycle, lines, testOn, value } from "../support/modules";
import { modules } from "./003_fhir";

const test = testOn(modules);

describe("003_fhir_integration", function () {
  this.timeout(120_000);

  describeLifecycle("003_fhir_integration", {
    "ALTER TABLE public.fhir_patient_mappings DISABLE ROW LEVEL SECURITY": /fhir_patient_mappings: NO row security/,
    "GRANT SELECT ON public.fhir_oauth_configs TO service_role": /fhir_oauth_configs: service_role may SELECT/,
    "GRANT SELECT (base_url) ON public.fhir_endpoints TO authenticated":
      /fhir_endpoints: authenticated may SELECT of base_url/,
    "GRANT UPDATE ON public.fhir_observations TO service_role": /fhir_observations: service_role may UPDATE/,
    "ALTER POLICY fhir_observations_own ON public.fhir_observations USING (true)":
      /fhir_observations_own for SELECT to authenticated using true/,
    "CREATE POLICY more ON public.hl7_messages TO authenticated USING (true)":
      /not expected \[.*policy more for ALL to authenticated/,
    "ALTER TABLE public.fhir_oauth_configs DROP CONSTRAINT fhir_oauth_configs_client_secret_check":
      /missing \[.*client_secret_check/,
    "ALTER TABLE public.fhir_observations DROP CONSTRAINT fhir_observations_guardian_lab_result_id_fkey":
      /missing \[.*patient_lab_results\(id\) ON DELETE CASCADE/,
    "ALTER TABLE public.fhir_api_audit DISABLE TRIGGER fhir_api_audit_append_only": /append_only .*DISABLED/,
    "DROP INDEX public.fhir_observations_lab_result_idx": /missing \[.*lab_result_idx/,
    "ALTER VIEW public.guardian_fhir_resources SET (security_invoker = false)": /security_invoker=false/,
    "ALTER FUNCTION public.guardian_to_fhir_patient(uuid) RESET search_path": /guardian_to_fhir_patient.*NOT pinned/,
    "ALTER FUNCTION public.guardian_to_fhir_observation(uuid) SECURITY DEFINER":
      /guardian_to_fhir_observation\(uuid\): definer/,
    "GRANT EXECUTE ON FUNCTION public.guardian_to_fhir_bundle(uuid) TO anon":
      /guardian_to_fhir_bundle\(uuid\): anon may EXECUTE/,
    "GRANT EXECUTE ON FUNCTION public.fhir_to_guardian_patient(jsonb, text, uuid) TO authenticated":
      /fhir_to_guardian_patient.*authenticated may EXECUTE/,
  });

  test("rolls back without loss: rows wait in the archive, an erasure reaches them, the rest comes back; 16-14 calls of an older version without their ids", async (client, _, engine) => {
    const rows =
      "SELECT md5(string_agg(o::text, '' ORDER BY id)) FROM public.fhir_observations o WHERE guardian_patient_id <> $1";
    await client.query("SELECT * FROM public.refresh_fhir_mappings()");
    const patient = await value<string>(
      client,
      "SELECT guardian_patient_id FROM public.fhir_observations ORDER BY id LIMIT 1",
    );
    await client.query(
      "INSERT INTO public.hl7_messages (message_type, message_control_id, raw_message, guardian_patient_id) VALUES ('ADT^A08', '1', 'MSH', $1)",
      [patient],
    );
    // As the version before had it: neither trigger nor CHECK looked for ids in a call.
    await client.query(
      `INSERT INTO public.hl7_to_fhir_conversions (hl7_message_id, fhir_resources) SELECT id, '[]' FROM public.hl7_messages;
       ALTER TABLE public.fhir_api_audit DISABLE TRIGGER fhir_api_audit_url, DROP CONSTRAINT fhir_api_audit_route_check,
         DROP CONSTRAINT fhir_api_audit_resource_id_check;
       INSERT INTO public.fhir_api_audit (endpoint_id, operation, request_url, resource_type, resource_id)
       VALUES (gen_random_uuid(), 'read', 'https://a.example/fhir/Patient/ann-bell', 'Patient', 'ann-bell')`,
    );
    const before = await value(client, rows, [patient]);
    expect(Number(await engine.undo("003_fhir_integration"))).to.be.above(300);
    for (const table of ["public.patient_lab_results", "public.patient_vitals"])
      await client.query(`DELETE FROM ${table} WHERE user_id = $1`, [patient]);
    await client.query("DELETE FROM auth.users WHERE id = $1", [patient]);
    const archived = await lines(
      client,
      "SELECT format('guardian_archive.%I', relname) AS line FROM pg_class WHERE relnamespace = 'guardian_archive'::regnamespace AND relkind = 'r'",
    );
    expect(archived).to.have.length(7);
    const named = (table: string) =>
      value(client, `SELECT count(*) FROM ${table} t WHERE t::text LIKE '%' || $1 || '%'`, [patient]);
    for (const table of archived) expect(await named(table), table).to.equal("0");
    await engine.applyReal("003_fhir_integration");
    expect(await value(client, rows, [patient])).to.equal(before);
    expect(await named("public.fhir_observations")).to.equal("0");
    const calls = "SELECT request_url || ' ' || length(resource_id) AS line FROM public.fhir_api_audit";
    expect(await lines(client, calls)).to.deep.equal(["https://a.example/fhir/Patient 64"]);
  });
});
