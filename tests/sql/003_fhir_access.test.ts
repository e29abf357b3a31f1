import { expect } from "chai";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { refusal, value, withModules } from "../support/modules";
import { as, insert, lab, lines, modules, people, service } from "./003_fhir";

/** A stored Patient with an SSN, and an Observation, of the patient. */
async function stored(client: Client, patient: string): Promise<void> {
  const remote = {
    resourceType: "Patient",
    id: "1",
    identifier: [{ system: "http://hl7.org/fhir/sid/us-ssn", value: "MARKED-SSN" }],
  };
  await service(client, "SELECT public.fhir_to_guardian_patient($1, 'clinic', $2)", [JSON.stringify(remote), patient]);
  await service(client, "SELECT count(*) FROM public.refresh_fhir_mappings()");
}

/** Shaped like a JWE, as the caller would make it; and a bare token. */
const jwe = "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVydGV4dA.dGFn";
const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln";

describe("003_fhir_integration: who may what", function () {
  this.timeout(60_000);

  it("I-1: anon reads nothing, a user his own rows, and nobody but functions writes a mapping", async () => {
    await withModules(modules, async (client) => {
      const { patient, other } = await people(client);
      await stored(client, patient);
      for (const table of [
        "fhir_patient_mappings",
        "fhir_observations",
        "fhir_medication_requests",
        "fhir_document_references",
        "consent_fhir_mappings",
      ]) {
        expect(
          (await refusal(asRole(client, "anon", null, (c) => c.query(`SELECT FROM public.${table}`)))).code,
          table,
        ).to.equal("42501");
        const column = table === "fhir_patient_mappings" ? "guardian_user_id" : "guardian_patient_id";
        expect(await as(client, other, `SELECT count(*) FROM public.${table} WHERE ${column} <> $1`, [other])).to.equal(
          "0",
        );
        expect(await as(client, null, `SELECT count(*) FROM public.${table}`)).to.equal("0");
        expect(await service(client, `SELECT count(*) FROM public.${table}`)).to.equal(
          await value(client, `SELECT count(*) FROM public.${table}`),
        );
        for (const role of ["anon", "authenticated", "service_role"]) {
          for (const sql of [
            `UPDATE public.${table} SET resource = resource`,
            `DELETE FROM public.${table}`,
            `TRUNCATE public.${table}`,
            `INSERT INTO public.${table} (resource) VALUES ('{}')`,
          ]) {
            expect(
              (await refusal(asRole(client, role, patient, (c) => c.query(sql)))).code,
              `${role}: ${sql}`,
            ).to.equal("42501");
          }
        }
      }
      expect(
        await as(client, patient, "SELECT string_agg(identifier::text, ' ') FROM public.fhir_patient_mappings"),
        "his own",
      ).to.include("MARKED-SSN");
      expect(
        await as(
          client,
          other,
          "SELECT coalesce(string_agg(identifier::text, ' '), '') FROM public.fhir_patient_mappings",
        ),
      ).to.not.include("MARKED-SSN");
    });
  });

  it("I-1: nobody but the owner reads endpoints and OAuth secrets, and a secret in clear cannot be stored", async () => {
    await withModules(modules, async (client, db) => {
      const admin = await db.connect("admin");
      const operator = <T>(text: string, values: unknown[]): Promise<T> =>
        asRole(admin, "guardian_operator", null, (c) => value<T>(c, text, values));
      const endpoint = "SELECT public.save_fhir_endpoint($1, $2, $3, $4)";
      const oauth =
        "SELECT public.save_fhir_oauth_config($1, 'https://a.example/authorize', 'https://a.example/token', 'client', $2)";
      const id = await operator<string>(endpoint, ["clinic", "https://a.example/fhir", "oauth2", "{}"]);
      expect(
        await operator(endpoint, [
          "clinic",
          "https://a.example/fhir/r4",
          "oauth2",
          JSON.stringify({ sync_frequency_minutes: 5, auth_config: { audience: "x" } }),
        ]),
      ).to.equal(id);
      await operator(oauth, ["clinic", jwe]);
      for (const secret of ["s3cret", jwt, "", `${jwe}.more`]) {
        expect((await refusal(operator(oauth, ["clinic", secret]))).code, secret).to.equal("23514");
        expect(
          (await refusal(service(client, "SELECT public.store_fhir_tokens('clinic', $1, NULL, now())", [secret]))).code,
        ).to.equal("23514");
      }
      for (const config of [
        { client_secret: "x" },
        { oauth: { Password: "x" } },
        { nested: [{ api_key: "x" }] },
        { access_token: "x" },
      ]) {
        expect(
          (
            await refusal(
              operator(endpoint, ["clinic", "https://a.example", "basic", JSON.stringify({ auth_config: config })]),
            )
          ).code,
        ).to.equal("23514");
      }
      for (const url of ["http://a.example", "https://user:pass@a.example", "https://a.example/?token=x", "ftp://a"]) {
        expect((await refusal(operator(endpoint, ["other", url, "none", "{}"]))).code, url).to.equal("23514");
      }
      expect(
        (await refusal(operator(endpoint, ["clinic", "https://a.example", "none", '{"base_url": "x"}']))).code,
      ).to.equal("22023");
      for (const role of ["anon", "authenticated", "service_role", "guardian_operator"]) {
        for (const sql of [
          "SELECT FROM public.fhir_oauth_configs",
          "SELECT FROM public.fhir_endpoints",
          "SELECT client_secret FROM public.fhir_oauth_configs",
          "UPDATE public.fhir_endpoints SET base_url = base_url",
        ]) {
          expect((await refusal(asRole(admin, role, null, (c) => c.query(sql)))).code, `${role}: ${sql}`).to.equal(
            "42501",
          );
        }
      }
      expect(await service(client, "SELECT public.store_fhir_tokens('clinic', $1, $1, '2030-01-01')", [jwe])).to.equal(
        true,
      );
      const { rows } = await asRole(client, "service_role", null, (c) =>
        c.query("SELECT base_url, client_secret, access_token, auth_config FROM public.fhir_connection('clinic')"),
      );
      expect(rows).to.deep.equal([
        {
          base_url: "https://a.example/fhir/r4",
          client_secret: jwe,
          access_token: jwe,
          auth_config: { audience: "x" },
        },
      ]);
      for (const role of ["anon", "authenticated", "guardian_operator"]) {
        expect(
          (await refusal(asRole(admin, role, null, (c) => c.query("SELECT * FROM public.fhir_connection('clinic')"))))
            .code,
        ).to.equal("42501");
      }
      const status = await asRole(admin, "guardian_operator", null, (c) =>
        c.query("SELECT * FROM public.fhir_endpoint_status()"),
      );
      expect(JSON.stringify(status.rows)).to.include('"has_secret":true').and.not.include("eyJ");
      expect(
        (await refusal(service(client, endpoint, ["x", "https://a.example", "none", "{}"]))).code,
        "the server side makes none",
      ).to.equal("42501");
      expect(
        await lines(client, "SELECT DISTINCT table_name || ' ' || action AS line FROM public.audit_log ORDER BY 1"),
      ).to.deep.equal([
        "public.fhir_endpoints INSERT",
        "public.fhir_endpoints UPDATE",
        "public.fhir_oauth_configs INSERT",
        "public.fhir_oauth_configs UPDATE",
      ]);
    });
  });

  it("I-7: everybody exports himself, the server side anyone, and nobody else anything", async () => {
    await withModules(modules, async (client) => {
      const who = await people(client);
      const { patient, other } = who;
      const result = await lab(client, who, {});
      const vital = await insert(client, "patient_vitals", {
        user_id: patient,
        source_document_id: who.document,
        measurement_date: "2024-05-06",
        heart_rate: 60,
      });
      const rest = { user_id: patient, source_document_ids: [who.document] };
      const medication = await insert(client, "patient_medications", { ...rest, medication_name: "Aspirin" });
      const condition = await insert(client, "patient_conditions", { ...rest, condition_name: "Asthma" });
      const allergy = await insert(client, "patient_allergies", { ...rest, allergen: "Latex" });
      const provider = await insert(client, "patient_providers", { ...rest, provider_name: "Dr Synthetic" });
      const exporters = {
        observation: result,
        vital_observations: vital,
        medication_statement: medication,
        medication_request: medication,
        document_reference: who.document,
        condition,
        allergy_intolerance: allergy,
        practitioner: provider,
      };
      for (const [builder, id] of Object.entries(exporters)) {
        const sql = `SELECT string_agg(r ->> 'id', '') FROM (SELECT public.guardian_to_fhir_${builder}($1) AS r) AS x`;
        expect(await as(client, patient, sql, [id]), builder).to.match(new RegExp(`^${id}`));
        expect(await service(client, sql, [id]), builder).to.match(new RegExp(`^${id}`));
        expect(await as(client, other, sql, [id]), builder).to.equal(null);
        expect(await as(client, null, sql, [id]), builder).to.equal(null);
        expect((await refusal(asRole(client, "anon", null, (c) => c.query(sql, [id])))).code).to.equal("42501");
      }
      for (const sql of [
        "SELECT public.guardian_to_fhir_patient($1) ->> 'id'",
        "SELECT public.guardian_to_fhir_bundle($1) #>> '{entry,0,resource,id}'",
      ]) {
        expect(await as(client, patient, sql, [patient])).to.equal(patient);
        expect(await service(client, sql, [patient])).to.equal(patient);
        for (const user of [other, null]) {
          expect(await refusal(as(client, user, sql, [patient]))).to.deep.equal({
            code: "42501",
            message: "a user may export himself only",
          });
        }
        expect(
          (await refusal(as(client, other, sql, ["00000000-0000-4000-8000-000000000000"]))).code,
          "nor learns who exists",
        ).to.equal("42501");
        expect((await refusal(asRole(client, "anon", null, (c) => c.query(sql, [patient])))).code).to.equal("42501");
      }
      for (const list of ["NULL", "ARRAY[]::uuid[]", `ARRAY['${patient}', '${other}']::uuid[]`]) {
        expect(
          (await refusal(as(client, other, `SELECT count(*) FROM public.guardian_fhir_patients(${list})`))).code,
          list,
        ).to.equal("42501");
      }
      expect(
        await as(client, other, "SELECT count(*) FROM public.guardian_fhir_resources WHERE patient_id <> $1", [other]),
      ).to.equal("0");
      expect(
        await as(client, patient, "SELECT count(*) FROM public.guardian_fhir_resources WHERE source_id = ANY ($1)", [
          Object.values(exporters),
        ]),
      ).to.equal("8");
    });
  });

  it("I-7: a temporary table or function of the caller's changes nothing", async () => {
    await withModules(modules, async (client) => {
      const who = await people(client);
      const result = await lab(client, who, {});
      const id = await asRole(client, "authenticated", who.other, async (c) => {
        await c.query(
          "CREATE TEMPORARY TABLE patient_lab_results AS SELECT $1::uuid AS id, 'forged'::text AS test_name",
          [result],
        );
        await c.query("CREATE FUNCTION pg_temp.fhir_text(text) RETURNS text LANGUAGE sql AS 'SELECT $1'");
        return value(c, "SELECT public.guardian_to_fhir_observation($1)", [result]);
      });
      expect(id).to.equal(null);
    });
  });
});
