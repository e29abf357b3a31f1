import { expect } from "chai";
import type { Client, DatabaseError } from "pg";
import { asRole, type V6 } from "../support/postgres";
import { count, expectRefusal, queryAs, service, testOn, value } from "../support/modules";
import { empties, modules, people, problems, withConsents, type Resource } from "./003_fhir";
import { modules as everything } from "./every_module";

const jwe = "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVydGV4dA.dGFn";
const endpoint = "SELECT public.save_fhir_endpoint($1, $2, 'oauth2')";

const asOperator = async <T>(db: V6, work: (client: Client) => Promise<T>): Promise<T> =>
  asRole(await db.connect("admin"), "guardian_operator", null, work);

const patient = (id: string) => ({ resourceType: "Patient", id, identifier: [{ value: id }] });
const observation = (id: string, subject: string, more: object = {}) => ({
  ...{ resourceType: "Observation", id, status: "final", code: { text: "c" } },
  ...{ subject: { reference: subject }, ...more },
});
const imported = (client: Client, resource: { resourceType: string }, source: string, user?: string): Promise<string> =>
  service(
    client,
    `SELECT public.fhir_to_guardian_${resource.resourceType.toLowerCase()}($1, $2${user ? `, '${user}'` : ""})`,
    [JSON.stringify(resource), source],
  );

const test = testOn(modules);
const testAll = testOn(everything);
const testConsents = testOn(withConsents);

describe("003_fhir_integration: other servers", function () {
  this.timeout(60_000);

  test("16-12 a reference is resolved by its server, or refused", async (client, db) => {
    const { patient: own, other } = await people(client);
    for (const [name, url] of [
      ["clinic", "https://Clinic.example/fhir/"],
      ["hospital", "https://hospital.example:443/r4"],
      ["shared-a", "https://shared.example"],
      ["shared-b", "https://shared.example/"],
    ])
      await asOperator(db, (c) => c.query(endpoint, [name, url]));
    await imported(client, patient("p1"), "clinic", own);
    await imported(client, patient("p1"), "hospital", other);
    await imported(client, patient("p1"), "shared-a", own);
    const owner = async (reference: string, source: string): Promise<string> => {
      await client.query("DELETE FROM public.fhir_observations");
      const done = imported(client, observation("o1", reference), source);
      const said = await done.then(
        () => undefined,
        (err: unknown) => (err as DatabaseError).code,
      );
      if (said !== undefined) return said;
      const id = await value(client, "SELECT guardian_patient_id FROM public.fhir_observations");
      return id === own ? "own" : "other";
    };
    for (const [reference, source, whose] of [
      ["Patient/p1", "clinic", "own"],
      ["https://other.example/Patient/p1", "clinic", "P0002"],
      ["https://clinic.example/fhir/Patient/p1", "clinic", "own"],
      ["https://CLINIC.example:443/fhir/Patient/p1", "clinic", "own"],
      ["https://hospital.example/r4/Patient/p1", "clinic", "other"],
      ["https://shared.example/Patient/p1", "shared-a", "own"],
      ["https://clinic.example/FHIR/Patient/p1", "clinic", "P0002"],
      ["https://clinic.example/fhir/x/Patient/p1", "clinic", "P0002"],
      ["https://clinic.example.evil/fhir/Patient/p1", "clinic", "P0002"],
      ["https://clinic.example@evil.example/fhir/Patient/p1", "clinic", "P0002"],
      ["http://clinic.example/fhir/Patient/p1", "clinic", "P0002"],
      ["https://shared.example/Patient/p1", "clinic", "P0002"],
      ["urn:uuid:Patient/p1", "clinic", "P0002"],
      ["#Patient/p1", "clinic", "P0002"],
    ] as const)
      expect(await owner(reference, source), `${source}: ${reference}`).to.equal(whose);
    const of = `SELECT guardian_patient_id FROM public.fhir_validation_results WHERE id = public.validate_fhir_resource('Observation', $1, 'clinic')`;
    for (const reference of ["https://other.example/Patient/p1", "Patient/p1"]) {
      const id = await service(client, "SELECT public.validate_fhir_resource('Observation', $1, 'CLINIC')", [
        JSON.stringify(observation("o2", reference)),
      ]);
      expect(await value(client, of.replace(/public\.validate.*/, "$1"), [id]), reference).to.equal(
        reference.startsWith("h") ? null : own,
      );
    }
  });

  test("16-12 a source is the same in upper and lower case, and none is Guardian", async (client, db) => {
    const { patient: own, other } = await people(client);
    await asOperator(db, (c) => c.query(endpoint, ["Clinic", "https://clinic.example"]));
    await asOperator(db, (c) => c.query(endpoint, ["CLINIC", "https://new.example"]));
    expect(await value(client, "SELECT string_agg(base_url, ' ') FROM public.fhir_endpoints")).to.equal(
      "https://new.example",
    );
    await expectRefusal(
      "23514",
      asOperator(db, (c) => c.query(endpoint, ["Guardian", "https://a.example"])),
    );
    await asOperator(db, (c) =>
      c.query(`SELECT public.save_fhir_oauth_config('cLINIC', 'https://a.example/a', 'https://a.example/t', 'c', $1)`, [
        jwe,
      ]),
    );
    expect(await service(client, "SELECT public.store_fhir_tokens('clinic', $1, NULL, NULL)", [jwe])).to.equal(true);
    expect(await service(client, "SELECT count(*) FROM public.fhir_connection('cliniC')")).to.equal("1");
    await imported(client, patient("p1"), "Clinic", own);
    await expectRefusal("23505", imported(client, patient("p1"), "cLINIC", other), "linked");
    await imported(client, observation("o1", "Patient/p1"), "CLINIC");
    await imported(client, observation("o1", "Patient/p1"), "clinic");
    expect(await count(client, "public.fhir_observations")).to.equal(1);
    for (const source of ["guardian", "Guardian", "GUARDIAN"])
      await expectRefusal("22023", imported(client, patient("p2"), source, own), source);
  });

  testAll(
    "16-12 no error of a function that takes a secret, a result or an address with one quotes it",
    async (client, db) => {
      const { document, patient: own } = await people(client);
      await asOperator(db, (c) => c.query(endpoint, ["clinic", "https://clinic.example"]));
      const oauth = (values: string) => `SELECT public.save_fhir_oauth_config('clinic', ${values})`;
      const ok = "'https://a.example/a', 'https://a.example/t'";
      await asOperator(db, (c) => c.query(oauth(`${ok}, 'c', '${jwe}'`)));
      await service(client, "SELECT public.save_document_pipeline('p', $1)", [
        '[{"stage": "ocr", "processor_type": "ocr_extraction"}]',
      ]);
      await service(client, "SELECT public.enqueue_document($1, 'p')", [document]);
      const work =
        "(SELECT id FROM public.document_processing_queue), (SELECT lease_token FROM public.document_processing_queue)";
      await service(client, "SELECT count(*) FROM public.claim_document_work('w')");
      await service(client, "SELECT public.enqueue_notification($1, 'care_team_message', 'MARKED', 'MARKED')", [own]);
      await service(client, "SELECT count(*) FROM public.claim_notifications('w')");
      const message = "(SELECT id FROM public.notification_queue), (SELECT lease_token FROM public.notification_queue)";
      const tried: [role: string, sql: string][] = [
        ["guardian_operator", oauth(`${ok}, 'c', 'MARKED'`)],
        ["guardian_operator", oauth(`'nowhere', 'https://a.example/t', 'c', 'MARKED'`)],
        ["guardian_operator", oauth(`${ok}, NULL, 'MARKED'`)],
        ["guardian_operator", oauth(`${ok}, 'c', '${jwe}', NULL, 'https://a.example/?t=MARKED'`)],
        ["service_role", "SELECT public.store_fhir_tokens('clinic', 'MARKED', NULL, NULL)"],
        ["service_role", `SELECT public.store_fhir_tokens('clinic', '${jwe}', 'MARKED', NULL)`],
        ["service_role", `SELECT public.store_fhir_tokens('clinic', '${jwe}', NULL, 'infinity')`],
        ["guardian_operator", `SELECT public.save_fhir_endpoint('clinic', 'https://user:MARKED@a.example', 'basic')`],
        [
          "guardian_operator",
          `SELECT public.save_fhir_endpoint('clinic', 'https://a.example', 'basic', '{"auth_config": {"client_secret": "MARKED"}}')`,
        ],
        [
          "guardian_operator",
          `SELECT public.save_fhir_endpoint('clinic', 'https://a.example', 'basic', '{"auth_config": {"x": "MARKED"}, "sync_frequency_minutes": 0}')`,
        ],
        [
          "guardian_operator",
          `SELECT public.save_fhir_endpoint('clinic', 'https://a.example', 'basic', '{"rate_limit_requests": "MARKED"}')`,
        ],
        [
          "service_role",
          "INSERT INTO public.fhir_api_audit (endpoint_id, operation, request_url) VALUES (gen_random_uuid(), 'read', 'https://a.example/?token=MARKED')",
        ],
        [
          "service_role",
          "INSERT INTO public.fhir_api_audit (endpoint_id, operation, request_url) VALUES (gen_random_uuid(), 'not an operation', 'https://u:MARKED@a.example')",
        ],
        ["service_role", `SELECT public.complete_document_work(${work}, '{"found": "MARKED"}', 7)`],
        ["service_role", `SELECT public.fail_document_work(${work}, 'no code', 'MARKED')`],
        ["service_role", `SELECT public.fail_notification(${message}, 'no code')`],
      ];
      const admin = await db.connect("admin");
      for (const [role, sql] of tried) {
        const said = (await queryAs(admin, role, null, sql).then(
          () => ({ code: "none" }),
          (err: unknown) => err,
        )) as DatabaseError;
        expect(said.code, sql).to.match(/^(22|23)/);
        expect([said.detail, JSON.stringify(said), said.message].join(" "), sql).to.not.contain("MARKED");
        expect(said.detail, `${sql}: a row is quoted`).to.equal(undefined);
      }
    },
  );

  testConsents("16-12 no period that FHIR forbids is built or taken", async (client) => {
    const { patient: own } = await people(client);
    await client.query("ALTER TABLE public.patient_consents DROP CONSTRAINT patient_consents_times_check");
    const period = async (from: string, until: string | null): Promise<unknown> => {
      await client.query("DELETE FROM public.patient_consents");
      await client.query(
        `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, valid_from, valid_until) VALUES ($1, 'data_sharing', 'research', true, 'consent', $2, $3)`,
        [own, from, until],
      );
      const built = await value<Resource>(client, "SELECT resource FROM public.guardian_fhir_consents($1)", [own]);
      expect([...problems(built), ...empties(built)], `${from} to ${until}`).to.deep.equal([]);
      return (built["provision"] as { period?: unknown }).period;
    };
    const start = "2024-01-01T00:00:00Z";
    expect(await period("2024-01-01Z", "infinity")).to.deep.equal({ start });
    expect(await period("2024-01-01Z", "20000-01-01Z")).to.deep.equal({ start });
    expect(await period("-infinity", "2124-01-01Z")).to.deep.equal({ end: "2124-01-01T00:00:00Z" });
    expect(await period("0044-03-15 BC", "2124-01-01Z")).to.deep.equal({ end: "2124-01-01T00:00:00Z" });
    expect(await period("-infinity", "infinity")).to.equal(undefined);
    await imported(client, patient("p1"), "clinic", own);
    for (const [end, good] of [
      ["2024", true],
      ["2024-02-29T00:00:00+10:00", true],
      ["9999-12-31", true],
      ["infinity", false],
      ["-infinity", false],
      ["0000-01-01", false],
      ["0000", false],
      ["-0044-03-15", false],
      ["10000-01-01", false],
      ["2024-02-30", false],
      [2024, false],
    ] as const) {
      const effectivePeriod = { end };
      const done = imported(client, observation("o1", "Patient/p1", { effectivePeriod }), "clinic");
      const nested = imported(
        client,
        { ...patient("p1"), name: [{ family: "F", period: { start: end } }] } as never,
        "clinic",
      );
      for (const said of [done, nested])
        expect(
          await said.then(
            () => true,
            () => false,
          ),
          String(end),
        ).to.equal(good);
    }
  });
});
