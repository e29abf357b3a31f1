import { expect } from "chai";
import { as, count, service, testOn, value } from "../support/modules";
import { insert, lab, modules, people } from "./003_fhir";
import { expectCurrent, refresh } from "./003_refresh";

const test = testOn(modules);

describe("003_fhir_integration: refresh", function () {
  this.timeout(60_000);

  test("scenario 19: a refresh writes the mapping rows of all data, and again nothing", async (client) => {
    const first = await refresh(client);
    expect(Object.keys(first).sort()).to.deep.equal([
      "fhir_document_references",
      "fhir_medication_requests",
      "fhir_observations",
      "fhir_patient_mappings",
    ]);
    await expectCurrent(client);
    const before = await value(
      client,
      "SELECT md5(string_agg(o::text, '' ORDER BY id)) FROM public.fhir_observations o",
    );
    expect(await refresh(client)).to.deep.equal({});
    expect(
      await value(client, "SELECT md5(string_agg(o::text, '' ORDER BY id)) FROM public.fhir_observations o"),
    ).to.equal(before);
    const chain = `SELECT count(*) FROM auth.users u JOIN public.documents d ON d.user_id = u.id JOIN public.patient_lab_results l ON l.source_document_id = d.id AND l.user_id = u.id
            JOIN public.fhir_observations o ON o.guardian_lab_result_id = l.id AND o.guardian_patient_id = u.id`;
    expect(Number(await value(client, chain))).to.be.above(5);
  });

  test("only what changed is written: values, owners, measures, files, accounts, and what v6 deleted", async (client) => {
    const who = await people(client);
    const { patient, other, document } = who;
    const result = await lab(client, who, { unit: "%" });
    const vital = await insert(client, "patient_vitals", {
      user_id: patient,
      source_document_id: document,
      measurement_date: "2024-05-06",
      heart_rate: 60,
      temperature: 98.6,
    });
    const medication = await insert(client, "patient_medications", {
      user_id: patient,
      source_document_ids: [document],
      medication_name: "Aspirin",
    });
    await refresh(client);
    const changes: [string, unknown[], Record<string, string>][] = [
      [
        "UPDATE public.patient_lab_results SET result_value = '7.1' WHERE id = $1",
        [result],
        { fhir_observations: "+1 -0" },
      ],
      ["UPDATE public.patient_vitals SET heart_rate = NULL WHERE id = $1", [vital], { fhir_observations: "+1 -1" }],
      [
        "UPDATE public.patient_vitals SET blood_pressure_systolic = 120 WHERE id = $1",
        [vital],
        { fhir_observations: "+2 -0" },
      ],
      [
        "UPDATE public.patient_medications SET user_id = $2 WHERE id = $1",
        [medication, other],
        { fhir_medication_requests: "+1 -1" },
      ],
      [
        "UPDATE public.patient_medications SET user_id = NULL WHERE id = $1",
        [medication],
        { fhir_medication_requests: "+0 -1" },
      ],
      [
        "UPDATE public.documents SET status = 'failed' WHERE id = $1",
        [document],
        { fhir_document_references: "+1 -0" },
      ],
      [
        'UPDATE public.documents SET medical_data = \'{"documentType": "referral"}\' WHERE id = $1',
        [document],
        { fhir_document_references: "+1 -0" },
      ],
      ["UPDATE public.documents SET extracted_text = 'no part of the resource' WHERE id = $1", [document], {}],
      ["UPDATE auth.users SET email = 'new@example.test' WHERE id = $1", [patient], { fhir_patient_mappings: "+1 -0" }],
      [
        "INSERT INTO public.user_profiles (user_id, first_name) VALUES ($1, 'Ann') ON CONFLICT (user_id) DO UPDATE SET first_name = 'Ann', last_name = NULL",
        [patient],
        { fhir_patient_mappings: "+1 -0" },
      ],
      [
        "UPDATE public.user_profiles SET first_name = NULL, last_name = 'Ann' WHERE user_id = $1",
        [patient],
        { fhir_patient_mappings: "+1 -0" },
      ],
      ["DELETE FROM public.patient_lab_results WHERE id = $1", [result], {}],
    ];
    for (const [sql, values, expected] of changes) {
      await client.query(sql, values);
      expect(await refresh(client), sql).to.deep.equal(expected);
      await expectCurrent(client);
    }
  });

  test("a row that changes its owner is shown to the new one alone, whichever of the two is refreshed first", async (client) => {
    const who = await people(client);
    const { patient, other, document } = who;
    const source = { user_id: patient, source_document_id: document };
    const rows: [string, string][] = [
      ["patient_lab_results", await lab(client, who, {})],
      [
        "patient_vitals",
        await insert(client, "patient_vitals", {
          ...source,
          measurement_date: "2024-05-06",
          heart_rate: 60,
          temperature: 98.6,
        }),
      ],
      [
        "patient_medications",
        await insert(client, "patient_medications", {
          user_id: patient,
          source_document_ids: [document],
          medication_name: "Aspirin",
        }),
      ],
      ["documents", document],
    ];
    const give = async (user: string): Promise<void> => {
      for (const [table, id] of rows)
        await client.query(`UPDATE public.${table} SET user_id = $1 WHERE id = $2`, [user, id]);
    };
    const seen = async (user: string): Promise<number> =>
      Number(
        await as(
          client,
          user,
          `SELECT count(*) FROM (SELECT resource FROM public.fhir_observations UNION ALL SELECT resource FROM public.fhir_medication_requests
             UNION ALL SELECT resource FROM public.fhir_document_references) AS m WHERE left(m.resource ->> 'id', 36) = ANY ($1)`,
          [rows.map(([, id]) => id)],
        ),
      );
    const shown = async (): Promise<number[]> => [await seen(patient), await seen(other)];
    const written = {
      fhir_observations: "+3 -0",
      fhir_medication_requests: "+1 -0",
      fhir_document_references: "+1 -0",
    };
    await refresh(client);
    expect(await shown()).to.deep.equal([5, 0]);
    await give(other);
    expect(await refresh(client, other)).to.deep.equal(written);
    expect(await shown(), "the new owner is refreshed first").to.deep.equal([0, 5]);
    expect([await refresh(client, patient), await refresh(client, other)]).to.deep.equal([{}, {}]);
    await give(patient);
    expect(await refresh(client, other)).to.deep.equal({
      fhir_observations: "+0 -3",
      fhir_medication_requests: "+0 -1",
      fhir_document_references: "+0 -1",
    });
    expect(await shown(), "the former owner is refreshed first").to.deep.equal([0, 0]);
    expect(await refresh(client, patient)).to.deep.equal(written);
    expect(await shown()).to.deep.equal([5, 0]);
    await expectCurrent(client);
  });

  test("a row that becomes visible late, with an old updated_at, is not missed", async (client, db) => {
    const who = await people(client);
    const result = await lab(client, who, {});
    const slow = await db.connect();
    await slow.query("BEGIN");
    await slow.query("UPDATE public.patient_lab_results SET result_value = '9.9' WHERE id = $1", [result]);
    await refresh(client);
    await slow.query("COMMIT");
    expect(
      await value(
        client,
        "SELECT o.last_sync > l.updated_at FROM public.fhir_observations o JOIN public.patient_lab_results l ON l.id = o.guardian_lab_result_id WHERE l.id = $1",
        [result],
      ),
    ).to.equal(true);
    expect(await refresh(client)).to.deep.equal({ fhir_observations: "+1 -0" });
    await expectCurrent(client);
  });

  test("one patient is refreshed alone, and a limit bounds what is written", async (client) => {
    const who = await people(client);
    await lab(client, who, {});
    const alone = await refresh(client, who.patient);
    expect(alone["fhir_patient_mappings"]).to.equal("+1 -0");
    expect(await count(client, "public.fhir_observations WHERE guardian_patient_id <> $1", [who.patient])).to.equal(0);
    expect(await refresh(client, null, 7)).to.include({
      fhir_patient_mappings: "+7 -0",
      fhir_observations: "+7 -0",
    });
    let rounds = 0;
    while (Object.keys(await refresh(client, null, 50)).length > 0) rounds++;
    expect(rounds).to.equal(6);
    await expectCurrent(client);
  });

  test("what was imported stays as it is", async (client) => {
    const { patient } = await people(client);
    await service(client, "SELECT public.fhir_to_guardian_patient($1, 'clinic', $2)", [
      '{"resourceType": "Patient", "id": "1", "identifier": [{"value": "1"}]}',
      patient,
    ]);
    await service(client, "SELECT public.fhir_to_guardian_observation($1, 'clinic')", [
      '{"resourceType": "Observation", "id": "1", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/1"}}',
    ]);
    const imported =
      "SELECT md5(string_agg(o::text, '')) FROM public.fhir_observations o WHERE source_system = 'clinic'";
    const before = await value(client, imported);
    await refresh(client);
    await refresh(client, patient);
    expect(await value(client, imported)).to.equal(before);
    expect(await count(client, "public.fhir_patient_mappings WHERE guardian_user_id = $1", [patient])).to.equal(2);
  });
});
