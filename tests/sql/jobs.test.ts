import { expect } from "chai";
import type { Client } from "pg";
import { lines, queryAs, service, testOn, value } from "../support/modules";
import { grant } from "./004_consents";
import { lab, people } from "./003_fhir";
import { refresh } from "./003_refresh";
import { claim, prefer, send, users } from "./007_notices";
import { modules } from "./every_module";

/** What jobs could not do, as audit_log has it. */
const passedOver = (client: Client): Promise<string[]> =>
  lines(
    client,
    "SELECT concat_ws(' ', table_name, record_key) AS line FROM public.audit_log WHERE action = 'PASSED_OVER' ORDER BY occurred_at",
  );

/** The warnings of this session from here on. */
function warnings(client: Client): string[] {
  const said: string[] = [];
  client.on("notice", ({ message }) => said.push(message ?? ""));
  return said;
}

/** What nobody could write: with the table's triggers off. */
async function plant(client: Client, table: string, sql: string, values: unknown[]): Promise<void> {
  await client.query(`ALTER TABLE public.${table} DISABLE TRIGGER USER`);
  await client.query(sql, values);
  await client.query(`ALTER TABLE public.${table} ENABLE TRIGGER USER`);
}

const test = testOn(modules);

describe("jobs of all", function () {
  this.timeout(60_000);

  test("16-9: a consent that cannot be ended keeps nobody else's from ending, and is noted", async (client) => {
    const ids = await lines(client, "SELECT id AS line FROM auth.users ORDER BY id LIMIT 3");
    for (const [i, patient] of ids.entries())
      await queryAs(client, "authenticated", patient, grant, [patient, ids[(i + 1) % 3]]);
    await client.query(
      "UPDATE public.patient_consents SET valid_from = now() - interval '2 days', valid_until = now() - interval '1 day'",
    );
    await client.query(
      `ALTER TABLE public.patient_consents ADD CONSTRAINT odd CHECK (granted OR patient_id <> '${ids[1]!}') NOT VALID`,
    );
    const said = warnings(client);
    const expire = (): Promise<string> => service(client, "SELECT public.expire_patient_consents()");
    expect(await expire()).to.equal("2");
    expect(await lines(client, "SELECT patient_id AS line FROM public.patient_consents WHERE granted")).to.deep.equal([
      ids[1],
    ]);
    const bad = await value<string>(client, "SELECT id FROM public.patient_consents WHERE granted");
    expect(await expire()).to.equal("0");
    expect(await passedOver(client)).to.deep.equal([`public.patient_consents ${bad}`]);
    expect(said).to.have.length(2);
    expect(said[0]).to.equal(
      "1 consents could not be ended and were passed over: audit_log has their ids (PASSED_OVER)",
    );
    await client.query("ALTER TABLE public.patient_consents DROP CONSTRAINT odd");
    expect(await expire()).to.equal("1");
  });

  test("16-9: a message whose user's preferences cannot be read is put off, and all others go", async (client) => {
    const [broken, other] = await users(client);
    await prefer(client, broken, { notification_frequency: "daily" });
    // As a zone that this server does not know any more.
    await plant(
      client,
      "user_preferences",
      "UPDATE public.user_preferences SET timezone = 'Mars/Base' WHERE user_id = $1",
      [broken],
    );
    const first = await send(client, broken, "", "First");
    const sent = [await send(client, other, "", "Second"), await send(client, other, "", "Third")];
    const said = warnings(client);
    expect((await claim(client)).map(({ id }) => id)).to.have.members(sent);
    expect(
      await lines(
        client,
        "SELECT concat_ws(' ', id, status, error_code, attempts, next_attempt_at > now() + interval '30 minutes') AS line FROM public.notification_queue WHERE status <> 'processing'",
      ),
    ).to.deep.equal([`${first} scheduled 22023 1 t`]);
    expect(await passedOver(client)).to.deep.equal([`public.notification_queue ${first}`]);
    expect(said.filter((line) => line.includes("PASSED_OVER"))).to.have.length(1);
    await prefer(client, broken, { timezone: "UTC", notification_frequency: "immediate" });
    await client.query("UPDATE public.notification_queue SET next_attempt_at = now() WHERE id = $1", [first]);
    expect((await claim(client)).map(({ id }) => id)).to.deep.equal([first]);
  });

  test("16-9: a session that cannot be paused keeps no other from it", async (client) => {
    const [patient] = await users(client);
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO public.collaboration_sessions (patient_id, session_name, session_type, status, last_activity)
         SELECT $1, 'Round', 'care_team_meeting', 'active', now() - interval '2 days' FROM generate_series(1, 3) RETURNING id`,
      [patient],
    );
    const bad = rows[1]!.id;
    await client.query(
      `ALTER TABLE public.collaboration_sessions ADD CONSTRAINT odd CHECK (status = 'active' OR id <> '${bad}') NOT VALID`,
    );
    expect(await service(client, "SELECT public.pause_idle_collaborations()")).to.equal("2");
    expect(await passedOver(client)).to.deep.equal([`public.collaboration_sessions ${bad}`]);
  });

  test("16-9: a row of v6 that no resource takes keeps no other from the mapping, and is not built at every refresh", async (client) => {
    const who = await people(client);
    const bad = await lab(client, who, { result_value: "12" });
    await client.query(
      `ALTER TABLE public.fhir_observations ADD CONSTRAINT odd CHECK (guardian_lab_result_id <> '${bad}') NOT VALID`,
    );
    const all = Number(
      await value(
        client,
        "SELECT (SELECT count(*) FROM public.guardian_fhir_lab_observations) + (SELECT count(*) FROM public.guardian_fhir_vital_observations)",
      ),
    );
    // A rollback takes nothing back of a sequence: the statements that failed are counted too.
    await client.query(`CREATE SEQUENCE public.tries;
      CREATE FUNCTION public.try() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM nextval('public.tries'); RETURN NULL; END $$;
      CREATE TRIGGER try BEFORE INSERT ON public.fhir_observations FOR EACH STATEMENT EXECUTE FUNCTION public.try()`);
    const tries = (): Promise<number> => value<number>(client, "SELECT nextval('public.tries')::int");
    expect((await refresh(client))["fhir_observations"]).to.equal(`+${all - 1} -0`);
    const first = await tries();
    expect(all).to.be.above(30);
    expect(first - 1, `statements, for ${all} rows`).to.be.at.most(3 + 2 * Math.ceil(Math.log2(all)));
    expect(await passedOver(client)).to.deep.equal([`public.fhir_observations ${bad}`]);
    expect(await refresh(client)).to.deep.equal({});
    await client.query("UPDATE public.patient_lab_results SET updated_at = updated_at + interval '1 hour'");
    const before = await tries();
    expect(await refresh(client), "all others").to.have.all.keys("fhir_observations");
    expect((await tries()) - before - 1, "and the one that fails").to.equal(2);
    await client.query("ALTER TABLE public.fhir_observations DROP CONSTRAINT odd");
    expect(await refresh(client)).to.deep.equal({ fhir_observations: "+1 -0" });
  });
});
