import { expect } from "chai";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { as, expectRefusal, lines, queryAs, refusal, service, testOn, value, valueAs } from "../support/modules";
import { insert, lab, modules, people } from "./003_fhir";

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

const test = testOn(modules);

describe("003_fhir_integration: who may what", function () {
  this.timeout(60_000);

  test("I-1: anon reads nothing, a user his own rows, and nobody but functions writes a mapping", async (client) => {
    const { patient, other } = await people(client);
    await stored(client, patient);
    for (const table of [
      "fhir_patient_mappings",
      "fhir_observations",
      "fhir_medication_requests",
      "fhir_document_references",
      "consent_fhir_mappings",
    ]) {
      await expectRefusal("42501", queryAs(client, "anon", null, `SELECT FROM public.${table}`), table);
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
          await expectRefusal("42501", queryAs(client, role, patient, sql), `${role}: ${sql}`);
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

  test("I-1: nobody but the owner reads endpoints and OAuth secrets, and a secret in clear cannot be stored", async (client, db) => {
    const admin = await db.connect("admin");
    const operator = <T>(text: string, values: unknown[]): Promise<T> =>
      valueAs<T>(admin, "guardian_operator", null, text, values);
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
      await expectRefusal("23514", operator(oauth, ["clinic", secret]), secret);
      await expectRefusal(
        "23514",
        service(client, "SELECT public.store_fhir_tokens('clinic', $1, NULL, now())", [secret]),
      );
    }
    for (const config of [
      { client_secret: "x" },
      { oauth: { Password: "x" } },
      { nested: [{ api_key: "x" }] },
      { access_token: "x" },
    ]) {
      await expectRefusal(
        "23514",
        operator(endpoint, ["clinic", "https://a.example", "basic", JSON.stringify({ auth_config: config })]),
      );
    }
    for (const url of ["http://a.example", "https://user:pass@a.example", "https://a.example/?token=x", "ftp://a"]) {
      await expectRefusal("23514", operator(endpoint, ["other", url, "none", "{}"]), url);
    }
    await expectRefusal("22023", operator(endpoint, ["clinic", "https://a.example", "none", '{"base_url": "x"}']));
    for (const role of ["anon", "authenticated", "service_role", "guardian_operator"]) {
      for (const sql of [
        "SELECT FROM public.fhir_oauth_configs",
        "SELECT FROM public.fhir_endpoints",
        "SELECT client_secret FROM public.fhir_oauth_configs",
        "UPDATE public.fhir_endpoints SET base_url = base_url",
      ]) {
        await expectRefusal("42501", queryAs(admin, role, null, sql), `${role}: ${sql}`);
      }
    }
    expect(await service(client, "SELECT public.store_fhir_tokens('clinic', $1, $1, '2030-01-01')", [jwe])).to.equal(
      true,
    );
    const { rows } = await queryAs(
      client,
      "service_role",
      null,
      "SELECT base_url, client_secret, access_token, auth_config FROM public.fhir_connection('clinic')",
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
      await expectRefusal("42501", queryAs(admin, role, null, "SELECT * FROM public.fhir_connection('clinic')"));
    }
    const status = await queryAs(admin, "guardian_operator", null, "SELECT * FROM public.fhir_endpoint_status()");
    expect(JSON.stringify(status.rows)).to.include('"has_secret":true').and.not.include("eyJ");
    await expectRefusal(
      "42501",
      service(client, endpoint, ["x", "https://a.example", "none", "{}"]),
      "the server side makes none",
    );
    expect(
      await lines(client, "SELECT DISTINCT table_name || ' ' || action AS line FROM public.audit_log ORDER BY 1"),
    ).to.deep.equal([
      "public.fhir_endpoints INSERT",
      "public.fhir_endpoints UPDATE",
      "public.fhir_oauth_configs INSERT",
      "public.fhir_oauth_configs UPDATE",
    ]);
  });

  test("I-7: everybody exports himself, the server side anyone, and nobody else anything", async (client) => {
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
      await expectRefusal("42501", queryAs(client, "anon", null, sql, [id]));
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
      await expectRefusal(
        "42501",
        as(client, other, sql, ["00000000-0000-4000-8000-000000000000"]),
        "nor learns who exists",
      );
      await expectRefusal("42501", queryAs(client, "anon", null, sql, [patient]));
    }
    for (const list of ["NULL", "ARRAY[]::uuid[]", `ARRAY['${patient}', '${other}']::uuid[]`]) {
      await expectRefusal(
        "42501",
        as(client, other, `SELECT count(*) FROM public.guardian_fhir_patients(${list})`),
        list,
      );
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

  test("I-7: a temporary table or function of the caller's changes nothing", async (client) => {
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
