import { expect } from "chai";
import {
  count,
  accounts,
  archived,
  as,
  expectRefusal,
  inTransaction,
  service,
  testOn,
  upOf,
  value,
} from "../support/modules";
import { backfill, grant, modules, trail } from "./004_consents";

const test = testOn(modules);

describe("004_enhanced_consent: migration and erasure", function () {
  this.timeout(60_000);

  test("C-14: a second run of the module is refused whole, a second run of the back-fill adds nothing", async (client) => {
    await expectRefusal("42P07", inTransaction(client, "READ WRITE", upOf("004_enhanced_consent")));
    const first = await client.query(backfill("assumed"));
    expect(first.rowCount).to.be.above(200);
    expect((await client.query(backfill("assumed"))).rowCount).to.equal(0);
    expect((await client.query(backfill("pending"))).rowCount).to.equal(0);
  });

  test("S-9: one consent for every account older than a day, from auth.users.id, with its legal basis", async (client) => {
    const old = await value<string>(
      client,
      "SELECT count(*) FROM auth.users WHERE created_at < now() - interval '1 day'",
    );
    await client.query(backfill("assumed"));
    expect(
      await value(client, "SELECT count(DISTINCT patient_id) || '/' || count(*) FROM public.patient_consents"),
    ).to.equal(`${old}/${old}`);
  });

  test("S-10: an assumed consent is labelled as such, and the pending form asserts none", async (client) => {
    await client.query(backfill("pending"));
    const patient = await value<string>(client, "SELECT patient_id FROM public.patient_consents ORDER BY 1 LIMIT 1");
    const general = "SELECT public.has_general_consent($1, 'data_sharing', 'healthcare_services')";
    expect(await service(client, general, [patient]), "not asked yet").to.equal(false);
    expect(await as(client, patient, "SELECT status FROM public.user_consent_summary")).to.equal("pending");
    await as(client, patient, "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services')", [
      patient,
    ]);
    expect(await service(client, general, [patient]), "asked and granted").to.equal(true);
    await client.query("DELETE FROM public.patient_consents");
    await client.query(backfill("assumed"));
    expect(
      await value(client, "SELECT DISTINCT explicit_consent::text || legal_basis FROM public.patient_consents"),
    ).to.equal("falsecontract");
  });

  test("D-1: accounts of patients, recipients and actors can be deleted, under v7 and after a rollback", async (client, _, engine) => {
    const [patient, doctor, actor] = await accounts(client);
    await as(client, patient, grant, [patient, doctor]);
    await as(client, actor, grant, [actor, doctor]);
    await client.query("UPDATE public.patient_consents SET created_by = $1, updated_by = $1 WHERE patient_id = $2", [
      doctor,
      actor,
    ]);
    await as(client, patient, "INSERT INTO public.user_consent_preferences (user_id) VALUES ($1) RETURNING 1", [
      patient,
    ]);
    await client.query("DELETE FROM auth.users WHERE id = $1", [doctor]);
    expect(
      await value(
        client,
        "SELECT string_agg(coalesce(created_by::text, 'null'), ',' ORDER BY created_by) FROM public.patient_consents",
      ),
    ).to.equal(`${patient},null`);
    expect(await count(client, "public.patient_consents WHERE granted_to IS NULL"), "does not become general").to.equal(
      0,
    );
    await client.query("DELETE FROM auth.users WHERE id = $1", [patient]);
    expect(await count(client, "public.patient_consents")).to.equal(1);
    expect((await trail(client)).at(-1)).to.equal("deleted granted ->");
    await engine.undo("004_enhanced_consent");
    await client.query("DELETE FROM auth.users WHERE id = $1", [actor]);
    expect(await count(client, await archived(client, "patient_consents"))).to.equal(0);
    expect(
      await value(client, `SELECT count(*) > 3 FROM ${await archived(client, "patient_consent_audit")}`),
      "the trail stays",
    ).to.equal(true);
  });
});
