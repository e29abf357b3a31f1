import { expect } from "chai";
import { expectRefusal, lines, queryAs, refusal, testOn, value } from "../support/modules";
import { modules } from "./003_fhir";

const test = testOn(modules);

describe("003_fhir_integration: what the catalogue says", function () {
  this.timeout(60_000);

  test("K-15, S-8: definers ask who calls; ten tables and one view are named fhir_…, as the papers have it", async (client) => {
    const silent = `SELECT proname AS line FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ 'fhir' AND prosecdef
      AND prorettype <> 'trigger'::regtype AND prosrc !~ 'caller_is_(trusted|operator)' ORDER BY 1`;
    const imports = ["fhir_to_guardian_observation", "fhir_to_guardian_patient"];
    expect(await lines(client, silent), "require_valid_fhir asks for the imports").to.deep.equal(imports);
    const named =
      "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name LIKE 'fhir\\_%'";
    expect(await value(client, named)).to.equal("11");
  });

  test("K-7: calls to endpoints are recorded by the server side, without query strings, and stay as they are", async (client) => {
    const record = (url: string): Promise<unknown> =>
      queryAs(
        client,
        "service_role",
        null,
        "INSERT INTO public.fhir_api_audit (endpoint_id, operation, resource_type, request_url, response_status, response_time_ms) VALUES (gen_random_uuid(), 'search', 'Patient', $1, 200, 12)",
        [url],
      );
    await record("https://a.example/fhir/Patient");
    await expectRefusal("23514", record("https://a.example/fhir/Patient?name=MARKED"));
    for (const sql of [
      "UPDATE public.fhir_api_audit SET response_status = 500",
      "DELETE FROM public.fhir_api_audit",
      "TRUNCATE public.fhir_api_audit",
    ]) {
      expect((await refusal(client.query(sql))).message).to.match(/the audit trail is append-only/);
      await expectRefusal("42501", queryAs(client, "service_role", null, sql));
    }
    const { rows } = await queryAs(
      client,
      "service_role",
      null,
      "SELECT resource_type, operation, requests, p95_ms, errors FROM public.fhir_performance_metrics",
    );
    expect(rows).to.deep.equal([
      { resource_type: "Patient", operation: "search", requests: "1", p95_ms: 12, errors: "0" },
    ]);
    expect(await value(client, "SELECT initiated_by FROM public.fhir_api_audit")).to.equal("service_role");
  });
});
