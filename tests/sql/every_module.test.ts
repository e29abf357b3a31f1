import { expect } from "chai";
import { asRole } from "../support/postgres";
import {
  count,
  deleteAccount,
  accounts,
  catalogue,
  expectRefusal,
  lines,
  refusal,
  testOn,
  value,
  verifyModule,
  withModules,
} from "../support/modules";
import { listed, modules } from "./every_module";

/** Lines that say the same of an object that was made again: no oids in them. */
const named = (line: string): boolean => !/^~(comment|constraint|default rights)/.test(line);

const test = testOn(modules);

describe("the modules together", function () {
  this.timeout(120_000);

  it("go up in order, hold, go down in reverse, leave nothing, and go up again", async () => {
    expect(modules).to.have.length(10);
    // A copy of a template has its oids.
    const before = await withModules([], catalogue);
    await withModules(modules, async (client, _, engine) => {
      for (const name of modules) await verifyModule(client, name);
      const up = await catalogue(client);
      for (const name of [...modules].reverse()) await engine.undo(name);
      expect(await catalogue(client)).to.deep.equal(before);
      for (const name of modules) await engine.applyReal(name);
      expect((await catalogue(client)).filter(named)).to.deep.equal(up.filter(named));
    });
  });

  test("F-6, C-6, K-15: a temporary view or type of a catalogue's name is not looked at, and never runs as the owner", async (client) => {
    const [mine, victim] = await accounts(client);
    const planted = `
            CREATE FUNCTION pg_temp.evil() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
              IF current_user <> 'authenticated' THEN PERFORM pg_catalog.set_config('test.evil', current_user, false); END IF;
              RETURN true; END $$;
            CREATE FUNCTION pg_temp.seen(pg_catalog.text) RETURNS boolean LANGUAGE sql AS 'SELECT pg_temp.evil()';
            CREATE TEMP VIEW pg_roles AS SELECT 'guardian_operator'::name AS rolname, r.oid FROM pg_catalog.pg_roles r
              WHERE r.rolname = 'authenticated' AND pg_temp.evil();
            CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid CHECK (pg_temp.seen('x'));
            CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.timestamptz CHECK (pg_temp.seen('x'));`;
    const call = (sql: string): Promise<unknown> =>
      asRole(client, "authenticated", mine, async (c) => {
        await c.query(planted);
        await c.query(sql, [victim]);
      });
    await expectRefusal("42501", call("SELECT public.get_user_preferences($1)"));
    const asks = "SELECT public.is_feature_enabled_for_user('fhir_integration', $1)";
    await expectRefusal("42501", call(asks));
    // Whatever it answers: it declares variables of the shadowed types.
    const grants = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services')";
    await refusal(call(grants));
    expect(
      await lines(client, "SELECT coalesce(pg_catalog.current_setting('test.evil', true), '') AS line"),
    ).to.deep.equal([""]);
  });

  /** By what must not be: a query of what the modules made, and what may be all the same. */
  const unwanted: Record<string, [sql: string, but?: string[]]> = {
    "K-15 a function that does not pin search_path": [
      "SELECT oid::regprocedure AS line FROM functions WHERE NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)",
    ],
    "K-15 a function that PUBLIC and anon may execute": [
      "SELECT oid::regprocedure AS line FROM functions WHERE has_function_privilege('anon', oid, 'EXECUTE')",
      ["is_ledger_batch(regclass)"],
    ],
    "a function, table or view without a comment": [
      `SELECT oid::regprocedure::text AS line FROM functions WHERE obj_description(oid) IS NULL
       UNION ALL SELECT oid::regclass::text FROM relations WHERE obj_description(oid) IS NULL`,
    ],
    "K-16 a policy FOR ALL, for PUBLIC, without a check, or that evaluates auth.uid() for each row": [
      `SELECT polname AS line FROM pg_policy WHERE polrelid IN (SELECT oid FROM relations)
       AND (polroles = '{0}' OR polcmd = '*' OR polcmd = 'w' AND polwithcheck IS NULL
         OR concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ~ '(?<!SELECT )auth\\.uid')`,
    ],
    "a table without row security": [
      "SELECT relname AS line FROM relations WHERE relkind = 'r' AND NOT relrowsecurity",
    ],
    "a view with the rights of its owner": [
      `SELECT relname AS line FROM relations
       WHERE relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)`,
    ],
    "a table that an API role may delete from, truncate, refer to or put triggers on": [
      `SELECT relname AS line FROM relations, unnest('{anon,authenticated,service_role,guardian_operator}'::text[]) AS r
       WHERE relkind = 'r' AND has_table_privilege(r, oid, 'TRUNCATE, REFERENCES, TRIGGER, DELETE')`,
    ],
    "K-7 a writer of audit_log": [
      "SELECT proname AS line FROM functions WHERE prosrc ~* 'insert\\s+into\\s+(public\\.)?audit_log\\M'",
      ["write_audit_log"],
    ],
  };

  test("K-7, K-15, K-16: the catalogue shows no function, table, view or policy that must not be", async (client) => {
    const made = `WITH functions AS (SELECT * FROM pg_proc WHERE oid = ANY ($1::regprocedure[])),
      relations AS (SELECT * FROM pg_class WHERE oid = ANY ($2::regclass[]))`;
    const objects = [listed("function"), [...listed("table"), ...listed("view")]];
    for (const [what, [sql, but = []]] of Object.entries(unwanted))
      expect(await lines(client, `${made} ${sql}`, objects), what).to.deep.equal(but);
  });

  test("K-8: what users may execute with the owner's rights is this, and each asks who calls", async (client) => {
    const definers = `SELECT p.proname AS line FROM pg_proc p WHERE p.oid = ANY ($1::regprocedure[]) AND p.prosecdef
            AND has_function_privilege('authenticated', p.oid, 'EXECUTE') ORDER BY 1`;
    expect(await lines(client, definers, [listed("function")])).to.deep.equal([
      "add_notification_channel",
      "check_consent_access",
      "consents_to_me",
      "create_collaboration_session",
      "end_collaboration_session",
      "get_user_preferences",
      "grant_patient_consent",
      "guardian_fhir_patients",
      "has_general_consent",
      "invite_to_collaboration",
      "is_feature_enabled_for_user",
      "join_collaboration",
      "mark_notification",
      "my_collaboration_sessions",
      "my_feature_flags",
      "refuse_patient_consent",
      "remove_from_collaboration",
      "remove_notification_channel",
      "renew_patient_consent",
      "resolve_collaboration_conflict",
      "revoke_patient_consent",
      "save_collaborative_note",
      "set_note_status",
      "touch_collaboration",
      "verify_notification_channel",
    ]);
    expect(
      await lines(
        client,
        definers.replace(
          "ORDER",
          "AND p.prosrc !~ 'auth\\.uid|require_patient|collaboration_caller|touch_collaboration|caller_is_trusted' ORDER",
        ),
        [listed("function")],
      ),
    ).to.deep.equal([]);
  });

  test("D-3: what becomes of each key when its row goes is decided, and an index finds the rows", async (client) => {
    const keys = `SELECT k.conrelid::regclass || '.' || a.attname || CASE k.confdeltype WHEN 'c' THEN ' cascade' WHEN 'n' THEN ' set null'
                ELSE ' BLOCKS' END || CASE WHEN k.confdeltype = 'n' AND a.attnotnull THEN ' BUT NOT NULL' ELSE '' END
              || CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = a.attnum) THEN '' ELSE ' WITHOUT INDEX' END AS line
            FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
            WHERE k.contype = 'f' AND k.conrelid = ANY ($1::regclass[]) ORDER BY 1`;
    expect(await lines(client, keys, [listed("table")])).to.deep.equal([
      "collaboration_conflicts.note_id cascade",
      "collaboration_conflicts.patient_id cascade",
      "collaboration_conflicts.resolved_by set null",
      "collaboration_conflicts.user_id set null",
      "collaboration_participants.account_id cascade",
      "collaboration_participants.invited_by set null",
      "collaboration_participants.session_id cascade",
      "collaboration_sessions.patient_id cascade",
      "collaboration_sessions.session_owner set null",
      "collaborative_clinical_notes.last_editor set null",
      "collaborative_clinical_notes.patient_id cascade",
      "collaborative_clinical_notes.primary_author set null",
      "collaborative_clinical_notes.session_id cascade",
      "collaborative_note_versions.editor set null",
      "collaborative_note_versions.note_id cascade",
      "collaborative_note_versions.patient_id cascade",
      "consent_fhir_mappings.guardian_patient_id cascade",
      "document_processing_pipelines.created_by set null",
      "document_processing_queue.document_id cascade",
      "document_processing_queue.patient_id cascade",
      "fhir_document_references.guardian_document_id cascade",
      "fhir_document_references.guardian_patient_id cascade",
      "fhir_medication_requests.guardian_medication_id cascade",
      "fhir_medication_requests.guardian_patient_id cascade",
      "fhir_oauth_configs.endpoint_id cascade",
      "fhir_observations.guardian_lab_result_id cascade",
      "fhir_observations.guardian_patient_id cascade",
      "fhir_observations.guardian_vital_id cascade",
      "fhir_patient_mappings.guardian_user_id cascade",
      "fhir_sync_jobs.endpoint_id cascade",
      "fhir_sync_jobs.patient_filter cascade",
      "fhir_validation_results.guardian_patient_id cascade",
      "hl7_messages.guardian_patient_id cascade",
      "hl7_to_fhir_conversions.guardian_patient_id cascade",
      "hl7_to_fhir_conversions.hl7_message_id cascade",
      "legacy_import_jobs.created_by set null",
      "migration_session_steps.session_id cascade",
      "notification_delivery_channels.user_id cascade",
      "notification_queue.user_id cascade",
      "patient_consents.created_by set null",
      "patient_consents.patient_id cascade",
      "patient_consents.updated_by set null",
      "user_consent_preferences.user_id cascade",
      "user_preferences.user_id cascade",
    ]);
  });

  test("D-1 K-14: an account with rows everywhere is deleted, not silently kept, and its trail says by whom", async (client, db) => {
    const user = await value<string>(client, "SELECT user_id FROM public.documents WHERE user_id IS NOT NULL LIMIT 1");
    await asRole(client, "authenticated", user, async (c) => {
      await c.query(
        "SELECT public.grant_patient_consent($1, 'data_sharing', 'research'), public.get_user_preferences()",
        [user],
      );
      await c.query("INSERT INTO public.user_consent_preferences (user_id) VALUES ($1)", [user]);
    });
    await client.query("SELECT public.enable_feature_for_user('fhir_integration', $1)", [user]);
    const admin = await db.connect("admin");
    expect((await deleteAccount(admin, user)).rowCount).to.equal(1);
    expect(
      await value(client, "SELECT action_role FROM public.patient_consent_audit WHERE action = 'deleted'"),
    ).to.equal("supabase_auth_admin");
    expect(await count(client, "public.audit_log WHERE record_key = $1 AND action = 'DELETE'", [user])).to.equal(1);
    await expectRefusal("42501", client.query("DELETE FROM public.patient_consent_audit"), "a refused DELETE says so");
  });
});
