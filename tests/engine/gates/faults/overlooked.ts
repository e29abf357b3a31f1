import { sql, type Fault } from "./fault";

/** What is wrong with a v6, though each table, column and key that the guide asks for is there. */
export const onV6: readonly Fault[] = [
  {
    check: "v6",
    fault: "a policy dropped, of several",
    says: /^failed: public\.documents lacks a policy for DELETE$/,
    plant: sql(`DROP POLICY "user can delete own docs" ON public.documents`),
    undo: sql(`CREATE POLICY "user can delete own docs" ON public.documents FOR DELETE USING (auth.uid() = user_id)`),
  },
  {
    check: "v6",
    fault: "a policy that shows everybody's rows",
    says: /^failed: policy "leak" shows users every row of public\.patient_vitals$/,
    plant: sql("CREATE POLICY leak ON public.patient_vitals FOR SELECT TO authenticated USING (true)"),
    undo: sql("DROP POLICY leak ON public.patient_vitals"),
  },
  {
    check: "v6",
    fault: "a key to the accounts dropped",
    says: /^failed: public\.patient_vitals lacks a key to auth\.users that takes rows along$/,
    plant: sql("ALTER TABLE public.patient_vitals DROP CONSTRAINT patient_vitals_user_id_fkey"),
    undo: sql(
      "ALTER TABLE public.patient_vitals ADD FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE",
    ),
  },
  {
    check: "bloat",
    fault: "dead rows in a table that inherits from one of v6's",
    verdict: "warned",
    says: /^warned: public\.allergies_old: 12000 dead rows beside 0$/,
    plant:
      sql(`CREATE TABLE public.allergies_old () INHERITS (public.patient_allergies) WITH (autovacuum_enabled = false);
      INSERT INTO public.allergies_old (allergen, source_document_ids) SELECT 'dust', '{}' FROM generate_series(1, 12000);
      DELETE FROM public.allergies_old; SELECT pg_stat_force_next_flush()`),
    undo: sql("DROP TABLE public.allergies_old"),
  },
];

/** Ways past a check of security that looked the other way. */
export const onV7: readonly Fault[] = [
  {
    check: "functions",
    fault: "a search_path that is set, to where users may make functions",
    says: /^failed: (public\.)?is_feature_enabled_for_user\(.*\) has no pinned search_path$/,
    plant: sql(`ALTER FUNCTION public.is_feature_enabled_for_user SET search_path = "$user", public, pg_temp`),
    undo: sql("ALTER FUNCTION public.is_feature_enabled_for_user SET search_path = pg_catalog, pg_temp"),
  },
  {
    check: "functions",
    fault: "a function that is called otherwise: what stands in its place is not looked at",
    says: /^failed: public\.is_feature_enabled_for_user is gone$/,
    plant: sql("ALTER FUNCTION public.is_feature_enabled_for_user RENAME TO is_enabled"),
    undo: sql("ALTER FUNCTION public.is_enabled RENAME TO is_feature_enabled_for_user"),
  },
  {
    check: "row-security",
    fault: "a policy by which a user writes rows of everybody's",
    says: /^failed: policy "leak" lets users write any row of "public"\."user_preferences"$/,
    plant: sql("CREATE POLICY leak ON public.user_preferences FOR INSERT TO authenticated WITH CHECK (true)"),
    undo: sql("DROP POLICY leak ON public.user_preferences"),
  },
  {
    check: "row-security",
    fault: "a right to delete that no policy is about",
    says: /^failed: authenticated may DELETE on "public"\."notification_queue", and no policy is about that$/,
    plant: sql("GRANT DELETE ON public.notification_queue TO authenticated"),
    undo: sql("REVOKE DELETE ON public.notification_queue FROM authenticated"),
  },
  {
    check: "strangers",
    fault: "an audit trail of consents that everybody reads, which no key binds to an account",
    says: /^failed: authenticated who is a stranger sees rows of "public"\."patient_consent_audit"$/,
    plant: sql(
      "CREATE POLICY leak ON public.patient_consent_audit FOR SELECT TO authenticated USING (patient_id IS NOT NULL)",
    ),
    undo: sql("DROP POLICY leak ON public.patient_consent_audit"),
  },
  {
    check: "sampled-users",
    fault: "a policy that hides its only row from its only owner",
    says: /^failed: 1 of \d+ sampled users do not see all of their rows of "public"\."notification_delivery_channels"$/,
    plant: sql(
      "ALTER POLICY notification_delivery_channels_own_read ON public.notification_delivery_channels USING (false)",
    ),
    undo: sql(
      "ALTER POLICY notification_delivery_channels_own_read ON public.notification_delivery_channels USING (user_id = (SELECT auth.uid()))",
    ),
  },
];
