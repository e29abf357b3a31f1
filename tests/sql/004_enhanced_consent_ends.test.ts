import { expect } from "chai";
import type { Client } from "pg";
import { accounts, as, expectRefusal, queryAs, service, testOn, value } from "../support/modules";
import { check, grant, modules } from "./004_consents";
import { listed, modules as everything } from "./every_module";

/** Columns of times that only the clock sets, or that are made from a text that says no infinity. */
const byTheClock =
  /\.(created_at|updated_at|action_timestamp|occurred_at|last_activity|last_seen_at|actual_(start|end)|last(_fhir)?_sync|verified_at|verification_expires_at|delivered_at|read_at|clicked_at|dismissed_at|next_attempt_at|resolved_at|finalized_at|due_at|counted_at|measured_at|birth_date|deceased_datetime|effective_(datetime|instant)|issued|value_datetime|authored_on|date)$/;

const test = testOn(modules);
const testAll = testOn(everything);

describe("004_enhanced_consent: how consents end", function () {
  this.timeout(60_000);

  testAll("16-13 a consent that ends while a transaction is open opens nothing in it any more", async (client, db) => {
    const [patient, doctor] = await accounts(client);
    await client.query("UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100");
    await as(client, patient, grant, [patient, doctor]);
    for (const type of ["data_sharing", "marketing_communication"])
      await as(client, patient, "SELECT public.grant_patient_consent($1, $2, 'healthcare_services')", [patient, type]);
    const session = await as(
      client,
      doctor,
      "SELECT public.create_collaboration_session($1, 'a', 'care_team_meeting')",
      [patient],
    );
    const opened = async (c: Client): Promise<unknown[]> => [
      await value(c, check, [patient, doctor]),
      await value(c, "SELECT public.has_general_consent($1, 'data_sharing', 'healthcare_services')", [patient]),
      await value(c, "SELECT public.marketing_allowed($1)", [patient]),
      await value(c, "SELECT public.patient_consents_to($1, $2)", [patient, doctor]),
      await value(c, "SELECT count(*) FROM public.consents_to_me()"),
      await value(c, "SELECT $1 IN (SELECT public.my_collaboration_sessions()::text)", [session]),
      await value(
        c,
        "SELECT count(*) FROM public.guardian_fhir_consents($1) AS f WHERE f.resource ->> 'status' = 'active'",
        [patient],
      ),
    ];
    const admin = await db.connect("admin");
    await admin.query(`BEGIN; SELECT set_config('request.jwt.claims', '{"sub": "${doctor}"}', true)`);
    expect(await opened(admin)).to.deep.equal([true, true, true, true, "1", true, "3"]);
    await client.query("UPDATE public.patient_consents SET valid_until = clock_timestamp()");
    expect(await opened(admin), "now() is before their end").to.deep.equal([
      false,
      false,
      false,
      false,
      "0",
      false,
      "0",
    ]);
    await admin.query("ROLLBACK");
  });

  testAll("16-13 no function or view asks now() whether a consent is in force", async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT f.name FROM unnest($1::text[]) AS f (name) JOIN pg_proc AS p ON p.oid = f.name::regprocedure
         WHERE p.prosrc ~* '(valid_from|valid_until|ends?)[ )]*[<>]=? *(now\\(|current_timestamp|transaction_timestamp)' UNION
         SELECT v.name FROM unnest($2::text[]) AS v (name) WHERE pg_get_viewdef(v.name::regclass) ~* 'valid_.*now\\(' UNION
         SELECT polname FROM pg_policy WHERE pg_get_expr(polqual, polrelid) ~* 'now\\(|current_timestamp'`,
      [listed("function"), listed("view")],
    );
    expect(rows).to.deep.equal([]);
  });

  test("16-13 what ends on a day that somebody chose is not renewed by itself", async (client) => {
    const [patient, doctor, other] = await accounts(client);
    await as(
      client,
      patient,
      "INSERT INTO public.user_consent_preferences (user_id, auto_renew_enabled) VALUES ($1, true) RETURNING 1",
      [patient],
    );
    const until = "SELECT public.grant_patient_consent($1, 'data_sharing', $2, $3, p_valid_until => $4)";
    const grants: Record<string, (string | null)[]> = {
      chosen: ["1 day"],
      default: [null],
      "chosen, then by default": ["1 day", null],
      "by default, then chosen": [null, "1 day"],
      "chosen beyond the default, then by default": ["700 days", null],
    };
    for (const [name, ends] of Object.entries(grants)) {
      for (const end of ends)
        await as(client, patient, until, [
          patient,
          name.replaceAll(/\W/g, "_"),
          doctor,
          end && (await value(client, "SELECT now() + $1::interval", [end])),
        ]);
    }
    const renewed = await as(client, patient, grant, [patient, other]);
    await as(client, patient, "SELECT public.renew_patient_consent($1, now() + interval '800 days')", [renewed]);
    await client.query(
      "UPDATE public.patient_consents SET valid_from = now() - interval '2 days', valid_until = now() - interval '1 day'",
    );
    expect(await service(client, "SELECT public.expire_patient_consents()")).to.equal("6");
    const { rows } = await client.query<{ purpose: string }>(
      "SELECT purpose FROM public.patient_consents WHERE granted ORDER BY 1",
    );
    expect(rows.map((row) => row.purpose)).to.deep.equal(["chosen__then_by_default", "default"]);
    const id = await value(client, "SELECT id FROM public.patient_consents WHERE purpose = 'chosen'");
    expect(await as(client, patient, "SELECT public.renew_patient_consent($1)", [id]), "he himself may").to.equal(true);
  });

  testAll("16-13 infinity is no time of a consent, nor of anything else that a caller sets", async (client) => {
    const [patient, doctor] = await accounts(client);
    const id = await as(client, patient, grant, [patient, doctor]);
    for (const never of ["infinity", "-infinity", "10000-01-01Z"]) {
      for (const call of [
        `SELECT public.grant_patient_consent('${patient}', 'data_sharing', 'healthcare_services', p_valid_until => '${never}')`,
        `SELECT public.renew_patient_consent('${id}', '${never}')`,
        `SELECT public.create_collaboration_session('${patient}', 'a', 'care_team_meeting', '${never}')`,
      ]) {
        if (/^10000/.test(never) && call.includes("collaboration")) continue;
        await client.query("UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100");
        await expectRefusal("22023", as(client, patient, call), call);
      }
      if (/^10000/.test(never)) continue;
      for (const call of [
        `enqueue_notification('${patient}', 'care_team_message', 'a', 'b', p_scheduled_for => '${never}')`,
        `enqueue_notification_campaign('c', 'system_upgrade', 'a', 'b', p_scheduled_for => '${never}')`,
      ]) {
        await expectRefusal("22023", queryAs(client, "service_role", null, `SELECT public.${call}`), call);
      }
      for (const column of ["valid_from", "valid_until", "revoked_at", "created_at"])
        await expectRefusal("23514", client.query(`UPDATE public.patient_consents SET ${column} = '${never}'`), column);
    }
    const { rows } = await client.query<{ name: string }>(
      `SELECT t.name || '.' || a.attname AS name FROM unnest($1::text[]) AS t (name)
         JOIN pg_attribute AS a ON a.attrelid = t.name::regclass AND a.attnum > 0 AND a.atttypid IN ('timestamptz'::regtype, 'date'::regtype)
         WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = a.attrelid AND c.contype = 'c' AND a.attnum = ANY (c.conkey)
           AND pg_get_constraintdef(c.oid) ~ format('isfinite\\(%1$s\\)|\\(%1$s <= ''9999', a.attname))`,
      [listed("table")],
    );
    const unbounded = rows
      .map((row) => row.name)
      .filter(
        (name) =>
          !byTheClock.test(name) &&
          !/_sessions\.(started|completed)_at|_steps\.(started|ended)_at|queue\.(started|completed)_at/.test(name),
      );
    expect(unbounded).to.deep.equal([]);
  });
});
