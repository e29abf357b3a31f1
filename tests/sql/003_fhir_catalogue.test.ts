import { expect } from "chai";
import { asRole } from "../support/postgres";
import { refusal, value, withModules } from "../support/modules";
import { lines, modules } from "./003_fhir";

/** The module's relations and functions, as the catalogue knows them: all that 000 does not make. */
const ours = `SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname ~ '^(fhir|hl7|legacy|consent_fhir|guardian_fhir)_'`;
const ourFunctions = `SELECT p.* FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND (p.proname ~ 'fhir' OR p.proname ~ '^hl7_')`;

describe("003_fhir_integration: what the catalogue says", function () {
  this.timeout(60_000);

  it("K-15: every function pins search_path and has a comment; PUBLIC and anon execute none; definers ask who calls", async () => {
    await withModules(modules, async (client) => {
      expect(await lines(client, `SELECT proname AS line FROM (${ourFunctions}) p`)).to.have.length(38);
      expect(
        await lines(
          client,
          `SELECT proname AS line FROM (${ourFunctions}) p WHERE NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)`,
        ),
      ).to.deep.equal([]);
      expect(
        await lines(
          client,
          `SELECT proname AS line FROM (${ourFunctions}) p WHERE has_function_privilege('anon', oid, 'EXECUTE') OR obj_description(oid) IS NULL`,
        ),
      ).to.deep.equal([]);
      expect(
        await lines(
          client,
          `SELECT proname AS line FROM (${ourFunctions}) p WHERE prosecdef AND prorettype <> 'trigger'::regtype AND prosrc !~ 'caller_is_(trusted|operator)' ORDER BY 1`,
        ),
        "require_valid_fhir asks for the imports",
      ).to.deep.equal(["fhir_to_guardian_observation", "fhir_to_guardian_patient"]);
      expect(
        await lines(
          client,
          `SELECT proname AS line FROM (${ourFunctions}) p WHERE prosecdef AND has_function_privilege('authenticated', oid, 'EXECUTE')`,
        ),
      ).to.deep.equal(["guardian_fhir_patients"]);
    });
  });

  it("K-16, I-1: 15 tables with row security; policies name roles and ask auth.uid() once; views have the reader's rights", async () => {
    await withModules(modules, async (client) => {
      const tables = `SELECT c.oid::regclass AS line FROM pg_class c WHERE c.oid IN (${ours}) AND c.relkind = 'r'`;
      expect(await lines(client, tables)).to.have.length(15);
      expect(
        await lines(client, `${tables} AND (NOT c.relrowsecurity OR obj_description(c.oid) IS NULL)`),
      ).to.deep.equal([]);
      expect(
        await lines(
          client,
          `${tables} AND EXISTS (SELECT FROM unnest('{anon,authenticated,service_role,guardian_operator}'::text[]) r WHERE has_table_privilege(r, c.oid, 'TRUNCATE, REFERENCES, TRIGGER, DELETE'))`,
        ),
      ).to.deep.equal([]);
      const policies = `SELECT polname AS line FROM pg_policy WHERE polrelid IN (${ours})`;
      expect(
        await lines(
          client,
          `${policies} AND (polroles = '{0}' OR polcmd = '*' OR polcmd = 'w' AND polwithcheck IS NULL
                OR concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~ '(?<!SELECT )auth\\.uid')`,
        ),
      ).to.deep.equal([]);
      const views = `SELECT c.relname AS line FROM pg_class c WHERE c.oid IN (${ours}) AND c.relkind = 'v'`;
      expect(await lines(client, views)).to.have.length(10);
      expect(
        await lines(client, `${views} AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)`),
      ).to.deep.equal([]);
    });
  });

  it("S-8: ten tables and one view are named fhir_…, as the papers have it", async () => {
    await withModules(modules, async (client) => {
      expect(
        await value(
          client,
          "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name LIKE 'fhir\\_%'",
        ),
      ).to.equal("11");
    });
  });

  it("K-7: calls to endpoints are recorded by the server side, without query strings, and stay as they are", async () => {
    await withModules(modules, async (client) => {
      const record = (url: string): Promise<unknown> =>
        asRole(client, "service_role", null, (c) =>
          c.query(
            "INSERT INTO public.fhir_api_audit (endpoint_id, operation, resource_type, request_url, response_status, response_time_ms) VALUES (gen_random_uuid(), 'search', 'Patient', $1, 200, 12)",
            [url],
          ),
        );
      await record("https://a.example/fhir/Patient");
      expect((await refusal(record("https://a.example/fhir/Patient?name=MARKED"))).code).to.equal("23514");
      for (const sql of [
        "UPDATE public.fhir_api_audit SET response_status = 500",
        "DELETE FROM public.fhir_api_audit",
        "TRUNCATE public.fhir_api_audit",
      ]) {
        expect((await refusal(client.query(sql))).message).to.match(/the audit trail is append-only/);
        expect((await refusal(asRole(client, "service_role", null, (c) => c.query(sql)))).code).to.equal("42501");
      }
      const { rows } = await asRole(client, "service_role", null, (c) =>
        c.query("SELECT resource_type, operation, requests, p95_ms, errors FROM public.fhir_performance_metrics"),
      );
      expect(rows).to.deep.equal([
        { resource_type: "Patient", operation: "search", requests: "1", p95_ms: 12, errors: "0" },
      ]);
      expect(await value(client, "SELECT initiated_by FROM public.fhir_api_audit")).to.equal("service_role");
    });
  });
});
