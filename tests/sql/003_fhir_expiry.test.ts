import { createHash } from "node:crypto";
import { expect } from "chai";
import type { Client, DatabaseError } from "pg";
import { count, expectRefusal, lines, queryAs, refusal, service, testOn, value } from "../support/modules";
import { modules, people } from "./003_fhir";

const asServer = (client: Client, sql: string, values: unknown[] = []): Promise<unknown> =>
  queryAs(client, "service_role", null, sql, values);

const test = testOn(modules);

describe("003_fhir_integration: what outlives an account", function () {
  this.timeout(60_000);

  test("16-14 of a call the route is kept, and a digest of the resource's id", async (client) => {
    const call = (url: string, type: string | null, id: string | null = null): Promise<unknown> =>
      asServer(
        client,
        "INSERT INTO public.fhir_api_audit (endpoint_id, operation, request_url, resource_type, resource_id) VALUES (gen_random_uuid(), 'read', $1, $2, $3)",
        [url, type, id],
      );
    await call("https://a.example/fhir/Patient/ann-bell/_history/2", "Patient", "ann-bell");
    await call("https://b.example:8443/Patient/ann-bell/Patient/1", "Patient");
    await call("https://c.example/r4/Patient", "Patient");
    await call("https://d.example/fhir/PatientX/ann-bell", "Patient");
    await call("https://e.example/fhir/Patient/ann-bell/$everything", null);
    const digest = createHash("sha256").update("ann-bell").digest("hex");
    const rows = "SELECT concat_ws(' ', request_url, resource_id) AS line FROM public.fhir_api_audit ORDER BY 1";
    expect(await lines(client, rows)).to.deep.equal([
      `https://a.example/fhir/Patient ${digest}`,
      "https://b.example:8443/Patient",
      "https://c.example/r4/Patient",
      "https://d.example",
      "https://e.example",
    ]);
    // Whoever writes past the trigger meets the CHECK.
    await client.query("ALTER TABLE public.fhir_api_audit DISABLE TRIGGER fhir_api_audit_url");
    for (const [url, type, id] of [
      ["https://a.example/fhir/Patient/ann-bell", "Patient", null],
      ["https://a.example/fhir/Patient", null, null],
      ["https://a.example/Patient/ann-bell/Patient", "Patient", null],
      ["https://a.example/Patient", "Patient", "ann-bell"],
    ] as const) {
      const said = await refusal(call(url, type, id));
      expect(said.message, url).to.match(/violates check constraint "fhir_api_audit_(route|resource_id)_check"/);
    }
  });

  test("16-14 errors of jobs are elements, codes and counts; other words are refused, and not told", async (client) => {
    const endpoint = await value<string>(
      client,
      "SELECT public.save_fhir_endpoint('clinic', 'https://clinic.example', 'none')",
    );
    const job = (column: string, entries: unknown): Promise<unknown> =>
      asServer(
        client,
        `INSERT INTO public.fhir_sync_jobs (endpoint_id, resource_type, operation, ${column}) VALUES ('${endpoint}', 'Patient', 'import', $1)`,
        [JSON.stringify(entries)],
      );
    const legacy = (_column: string, entries: unknown): Promise<unknown> =>
      asServer(
        client,
        "INSERT INTO public.legacy_import_jobs (system_name, fhir_resource_type, errors) VALUES ('old', 'Patient', $1)",
        [JSON.stringify(entries)],
      );
    const good = [
      { path: "Patient.name[0].family", code: "invariant", count: 3 },
      { code: "http.503" },
      { path: "Patient", code: "23505" },
    ];
    const bad = [
      ["Ann MARKED Bell"],
      [{ code: "value", diagnostics: "MARKED" }],
      [{ code: "the name is MARKED" }],
      [{ path: "Patient.where(name='MARKED')", code: "value" }],
      [{ path: "Patient", code: "value", count: "MARKED" }],
      [{ path: "Patient" }],
      [{ code: "value" }, { code: { text: "MARKED" } }],
    ];
    for (const write of [job, legacy]) {
      await write("errors", good);
      for (const entries of bad) {
        const said = (await write("errors", entries).then(
          () => ({ code: "none" }),
          (err: unknown) => err,
        )) as DatabaseError;
        expect(said.code, JSON.stringify(entries)).to.equal("23514");
        expect([JSON.stringify(said), said.message, said.detail].join(" ")).to.not.contain("MARKED");
        expect(said.detail).to.equal(undefined);
      }
    }
    expect((await refusal(job("warnings", bad[0]))).message).to.match(
      /^warnings of public.fhir_sync_jobs takes objects/,
    );
    const later = asServer(client, 'UPDATE public.fhir_sync_jobs SET errors = \'[{"code": "Ann MARKED Bell"}]\'');
    await expectRefusal("23514", later);
    await asServer(client, "UPDATE public.fhir_sync_jobs SET status = 'failed'");
  });

  test("16-14 what is of no account goes after 28 days, and nothing else", async (client) => {
    const { patient } = await people(client);
    const endpoint = await value<string>(
      client,
      "SELECT public.save_fhir_endpoint('clinic', 'https://clinic.example', 'none')",
    );
    const days = ["27 days", "29 days"];
    for (const [i, age] of days.entries()) {
      for (const of of [null, patient]) {
        const message = await value<string>(
          client,
          `INSERT INTO public.hl7_messages (message_type, message_control_id, raw_message, guardian_patient_id, received_at)
             VALUES ('ADT^A08', $1, 'PID|Bell^Ann', $2, now() - $3::interval) RETURNING id`,
          [`${i} ${of === null ? "nobody" : "linked"}`, of, age],
        );
        await client.query(
          "INSERT INTO public.hl7_to_fhir_conversions (hl7_message_id, fhir_resources) VALUES ($1, '[]')",
          [message],
        );
        await client.query(
          `INSERT INTO public.fhir_validation_results (resource_type, resource_id, source_system, guardian_patient_id, is_valid, created_at)
             VALUES ('Patient', $1, 'clinic', $2, true, now() - $3::interval)`,
          [`${i} ${of === null ? "nobody" : "linked"}`, of, age],
        );
        for (const status of ["running", "failed"]) {
          await client.query(
            `INSERT INTO public.fhir_sync_jobs (endpoint_id, resource_type, operation, status, patient_filter, resource_filter, completed_at)
               VALUES ($1, $2, 'import', $3, $4, '{"name": "Bell"}', now() - $5::interval)`,
            [endpoint, `P${i === 0 ? "young" : "old"}${of === null ? "nobody" : "linked"}`, status, of, age],
          );
        }
      }
    }
    const job = "SELECT public.expire_fhir_exchange()";
    for (const role of ["anon", "authenticated"]) {
      await expectRefusal("42501", queryAs(client, role, patient, job), role);
    }
    expect(await service(client, job)).to.equal("3");
    expect(await value(client, job), "and once").to.equal("0");
    const left = ["0 linked", "0 nobody", "1 linked"];
    expect(await lines(client, "SELECT message_control_id AS line FROM public.hl7_messages ORDER BY 1")).to.deep.equal(
      left,
    );
    expect(await count(client, "public.hl7_to_fhir_conversions")).to.equal(3);
    expect(
      await lines(client, "SELECT resource_id AS line FROM public.fhir_validation_results ORDER BY 1"),
    ).to.deep.equal(left);
    const emptied =
      "SELECT resource_type || ' ' || status AS line FROM public.fhir_sync_jobs WHERE resource_filter IS NULL";
    expect(await lines(client, emptied)).to.deep.equal(["Poldnobody failed"]);

    // Of each kind as many a call as are asked for: the job calls until nothing is left.
    await client.query(`INSERT INTO public.hl7_messages (message_type, message_control_id, raw_message, received_at)
      SELECT 'ADT^A08', 'old ' || n, 'PID', now() - interval '29 days' FROM generate_series(1, 5) AS n`);
    await client.query(`INSERT INTO public.fhir_validation_results (resource_type, source_system, is_valid, created_at)
      SELECT 'Patient', 'old', true, now() - interval '29 days' FROM generate_series(1, 3)`);
    await client.query(`UPDATE public.fhir_sync_jobs SET resource_filter = '{"name": "Bell"}', status = 'failed',
      completed_at = now() - interval '29 days', patient_filter = NULL`);
    const some: string[] = [];
    do some.push(await service(client, "SELECT public.expire_fhir_exchange(2)"));
    while (some.at(-1) !== "0");
    expect(some).to.deep.equal(["6", "5", "3", "2", "0"]);
  });
});
