import { sql, type Fault } from "./fault";

/** Rows of many accounts, as an application that works has them. */
export const rowsOfMany = `
  INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users ON CONFLICT DO NOTHING;
  INSERT INTO public.notification_queue (user_id, notification_type, title, body)
    SELECT id, 'security_alert', 'of ' || row_number() OVER (), 'a word' FROM auth.users;
  INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, consent_evidence)
    SELECT id, 'data_sharing', 'healthcare_services', true, 'consent', '{"form": 1}' FROM auth.users;
  INSERT INTO public.collaboration_sessions (patient_id, session_name, session_type, session_owner)
    SELECT id, 'round', 'treatment_planning', id FROM auth.users ORDER BY id LIMIT 10;`;

/** Ways in which row security gets lost, each by somebody's own hand. */
export const rowSecurity: readonly Fault[] = [
  {
    check: "row-security",
    fault: "row security off",
    says: /"public"\."patient_consents" has row security off/,
    plant: sql("ALTER TABLE public.patient_consents DISABLE ROW LEVEL SECURITY"),
    undo: sql("ALTER TABLE public.patient_consents ENABLE ROW LEVEL SECURITY"),
  },
  {
    check: "row-security",
    fault: "a policy for PUBLIC",
    says: /policy "leak" of "public"\."patient_consents" is for PUBLIC/,
    plant: sql("CREATE POLICY leak ON public.patient_consents USING (true)"),
    undo: sql("DROP POLICY leak ON public.patient_consents"),
  },
  {
    check: "row-security",
    fault: "a policy that shows users everything",
    says: /policy "leak" shows users every row of "public"\."user_preferences"/,
    plant: sql("CREATE POLICY leak ON public.user_preferences FOR SELECT TO authenticated USING (true)"),
    undo: sql("DROP POLICY leak ON public.user_preferences"),
  },
  {
    check: "row-security",
    at: "schema",
    also: ["definitions"],
    fault: "the policy for what a user writes dropped",
    says: /authenticated may UPDATE on "public"\."user_preferences", and no policy is about that/,
    plant: sql("DROP POLICY user_preferences_own_update ON public.user_preferences"),
    undo: sql(`CREATE POLICY user_preferences_own_update ON public.user_preferences FOR UPDATE TO authenticated
      USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()))`),
  },
  {
    check: "sampled-users",
    fault: "a policy whose condition is always true",
    says: /sampled users see rows of "public"\."notification_queue" that are not theirs/,
    plant: sql("ALTER POLICY notification_queue_own ON public.notification_queue USING (user_id IS NOT NULL)"),
    undo: sql("ALTER POLICY notification_queue_own ON public.notification_queue USING (user_id = (SELECT auth.uid()))"),
  },
  {
    check: "sampled-users",
    fault: "general consents shown to everybody (C-3)",
    says: /sampled users see rows of "public"\."patient_consents" that are not theirs/,
    plant: sql(
      "CREATE POLICY leak ON public.patient_consents FOR SELECT TO authenticated USING (granted AND granted_to IS NULL)",
    ),
    undo: sql("DROP POLICY leak ON public.patient_consents"),
  },
  {
    check: "sampled-users",
    fault: "one patient's rows shown to everybody",
    says: /of \d+ sampled users see rows of "public"\."patient_consents" that are not theirs/,
    plant: sql(
      `CREATE POLICY leak ON public.patient_consents FOR SELECT TO authenticated USING (patient_id = (SELECT min(patient_id::text) FROM public.user_of_the_day)::uuid)`,
    ),
    undo: sql("DROP POLICY leak ON public.patient_consents"),
  },
  {
    check: "sampled-users",
    at: "schema",
    also: ["definitions"],
    fault: "a policy that hides a user's own rows",
    says: /sampled users do not see all of their rows of "public"\."user_preferences"/,
    plant: sql(
      "ALTER POLICY user_preferences_own_read ON public.user_preferences USING (user_id = (SELECT auth.uid()) AND theme <> 'system')",
    ),
    undo: sql(
      "ALTER POLICY user_preferences_own_read ON public.user_preferences USING (user_id = (SELECT auth.uid()))",
    ),
  },
  {
    check: "permissions",
    fault: "a role of the API past row security",
    says: /authenticated has BYPASSRLS: row security does not stop it/,
    plant: sql("ALTER ROLE authenticated BYPASSRLS"),
    undo: sql("ALTER ROLE authenticated NOBYPASSRLS"),
  },
  {
    check: "permissions",
    fault: "users made members of the server's role",
    says: /authenticated is a member of service_role: row security does not stop it/,
    plant: sql("GRANT service_role TO authenticated"),
    undo: sql("REVOKE service_role FROM authenticated"),
  },
  {
    check: "permissions",
    fault: "a right to write, with a policy that lets it through",
    says: /authenticated may DELETE "public"\."notification_queue", which docs\/permissions\.md does not give/,
    plant: sql(
      "GRANT DELETE ON public.notification_queue TO authenticated; CREATE POLICY leak ON public.notification_queue FOR DELETE TO authenticated USING (user_id IS NOT NULL)",
    ),
    undo: sql(
      "REVOKE DELETE ON public.notification_queue FROM authenticated; DROP POLICY leak ON public.notification_queue",
    ),
  },
  {
    check: "views",
    at: "schema",
    also: ["definitions"],
    fault: "a view of v7, over v6's tables, with its owner's rights",
    says: /"public"\."guardian_fhir_lab_observations" is v7's own, and reads with its owner's rights/,
    plant: sql("ALTER VIEW public.guardian_fhir_lab_observations SET (security_invoker = false)"),
    undo: sql("ALTER VIEW public.guardian_fhir_lab_observations SET (security_invoker = true)"),
  },
];

/** Rights that nobody is to have, by other ways than row security. */
export const rights: readonly Fault[] = [
  {
    check: "permissions",
    fault: "a column that was left out",
    says: /authenticated may SELECT "public"\."document_processing_queue" \(lease_token\)/,
    plant: sql("GRANT SELECT (lease_token) ON public.document_processing_queue TO authenticated"),
    undo: sql("REVOKE SELECT (lease_token) ON public.document_processing_queue FROM authenticated"),
  },
  {
    check: "permissions",
    fault: "a function for everybody",
    says: /PUBLIC may EXECUTE public\.enqueue_document\(uuid, text, integer, uuid\)/,
    plant: sql("GRANT EXECUTE ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) TO PUBLIC"),
    undo: sql("REVOKE EXECUTE ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) FROM PUBLIC"),
  },
  {
    check: "permissions",
    fault: "the operator reading consents, of which verify.sql says nothing",
    says: /guardian_operator may SELECT "public"\."patient_consents"/,
    plant: sql("GRANT SELECT ON public.patient_consents TO guardian_operator"),
    undo: sql("REVOKE SELECT ON public.patient_consents FROM guardian_operator"),
  },
  {
    check: "permissions",
    at: "schema",
    also: ["definitions"],
    fault: "another role of the server's",
    says: /supabase_auth_admin may SELECT "public"\."audit_log"/,
    plant: sql("GRANT SELECT ON public.audit_log TO supabase_auth_admin"),
    undo: sql("REVOKE SELECT ON public.audit_log FROM supabase_auth_admin"),
  },
  {
    check: "permissions",
    fault: "a right that is lacking",
    verdict: "warned",
    says: /^warned: authenticated may not EXECUTE public\.my_feature_flags\(\), which docs\/permissions\.md gives/,
    plant: sql("REVOKE EXECUTE ON FUNCTION public.my_feature_flags() FROM authenticated"),
    undo: sql("GRANT EXECUTE ON FUNCTION public.my_feature_flags() TO authenticated"),
  },
  {
    check: "sampled-users",
    fault: "a function that a policy asks",
    says: /sampled users see rows of "public"\."collaboration_sessions" that are not theirs/,
    plant: sql(
      "CREATE OR REPLACE FUNCTION public.my_collaboration_sessions() RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT id FROM public.collaboration_sessions'",
    ),
  },
];

/** What somebody did to v7's objects, or beside them. */
export const byHand: readonly Fault[] = [
  {
    check: "functions",
    at: "schema",
    also: ["definitions"],
    fault: "an overload that PUBLIC may call",
    says: /my_feature_flags\(integer\) has no pinned search_path; .*my_feature_flags\(integer\) may be called by PUBLIC/,
    plant: sql("CREATE FUNCTION public.my_feature_flags(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    undo: sql("DROP FUNCTION public.my_feature_flags(integer)"),
  },
  {
    check: "views",
    fault: "somebody's view over consents, for anon",
    says: /"public"\."reporting" shows patient_consents to anon/,
    plant: sql(
      "CREATE VIEW public.reporting AS SELECT * FROM public.patient_consents; GRANT SELECT ON public.reporting TO anon",
    ),
    undo: sql("DROP VIEW public.reporting"),
  },
  {
    check: "views",
    at: "schema",
    also: ["definitions"],
    fault: "a view over somebody's view, a column of it for anon",
    says: /"public"\."reporting" shows patient_consents to anon/,
    plant: sql(
      "CREATE VIEW public.inner_one AS SELECT * FROM public.patient_consents; CREATE VIEW public.reporting AS SELECT * FROM public.inner_one; REVOKE ALL ON public.reporting, public.inner_one FROM PUBLIC, anon, authenticated; GRANT SELECT (id) ON public.reporting TO anon",
    ),
    undo: sql("DROP VIEW public.reporting, public.inner_one"),
  },
  {
    check: "views",
    fault: "somebody's view through which authenticated deletes consents",
    says: /"public"\."reporting" shows patient_consents to authenticated/,
    plant: sql(
      "CREATE VIEW public.reporting AS SELECT * FROM public.patient_consents; REVOKE ALL ON public.reporting FROM PUBLIC, anon, authenticated; GRANT DELETE ON public.reporting TO authenticated",
    ),
    undo: sql("DROP VIEW public.reporting"),
  },
  {
    check: "strangers",
    at: "schema",
    also: ["definitions"],
    fault: "a policy that lets through whoever is no account",
    says: /^failed: authenticated who is a stranger sees rows of "public"\."user_preferences"$/,
    plant: sql(
      `CREATE FUNCTION public.is_account() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
         AS 'SELECT EXISTS (SELECT FROM auth.users u WHERE u.id = auth.uid())';
       CREATE POLICY leak ON public.user_preferences FOR SELECT TO authenticated USING (NOT public.is_account())`,
    ),
    undo: sql("DROP POLICY leak ON public.user_preferences; DROP FUNCTION public.is_account()"),
  },
  {
    check: "definitions",
    at: "schema",
    fault: "an index dropped by hand",
    says: /^failed: index public\.audit_log_record_idx was dropped by hand$/,
    plant: sql("DROP INDEX public.audit_log_record_idx"),
    undo: sql("CREATE INDEX audit_log_record_idx ON public.audit_log (table_name, record_key, occurred_at)"),
  },
  {
    // The last: what it was is not put back.
    check: "definitions",
    fault: "a policy changed by hand",
    says: /policy .*patient_consents.* was changed by hand/,
    plant: async (place) => {
      const { rows } = await place.admin.query<{ name: string }>(
        "SELECT quote_ident(polname) AS name FROM pg_policy WHERE polrelid = 'public.patient_consents'::regclass AND polcmd IN ('r', '*') ORDER BY 1 LIMIT 1",
      );
      // Not (true): of that row-security speaks too.
      const always = "USING (patient_id IS NOT NULL)";
      await place.admin.query(`ALTER POLICY ${rows[0]?.name ?? ""} ON public.patient_consents ${always}`);
    },
  },
];
