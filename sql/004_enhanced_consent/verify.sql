-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
-- Without the keys to v6's tables, so that it holds before they are made and these are locked.
SELECT public.assert_module('004_enhanced_consent', e.facts || CASE WHEN EXISTS (
  SELECT FROM unnest(e.keys) AS k JOIN pg_constraint AS c ON c.conrelid = to_regclass(split_part(k, ': ', 1))
    AND c.conname = split_part(split_part(k, ': ', 2), ' ', 1)) THEN e.keys ELSE '{}' END)
FROM (SELECT ARRAY[
  'public.patient_consents: authenticated may SELECT',
  'public.patient_consents: constraint patient_consents_consent_evidence_bound',
  'public.patient_consents: constraint patient_consents_consent_evidence_check',
  'public.patient_consents: constraint patient_consents_consent_metadata_bound',
  'public.patient_consents: constraint patient_consents_consent_metadata_check',
  'public.patient_consents: constraint patient_consents_consent_type_check',
  'public.patient_consents: constraint patient_consents_consent_version_bound',
  'public.patient_consents: constraint patient_consents_legal_basis_check',
  'public.patient_consents: constraint patient_consents_pkey',
  'public.patient_consents: constraint patient_consents_purpose_check',
  'public.patient_consents: constraint patient_consents_resource_type_check',
  'public.patient_consents: constraint patient_consents_revocation_reason_bound',
  'public.patient_consents: constraint patient_consents_times_check',
  'public.patient_consents: constraint revocation_logic',
  'public.patient_consents: constraint valid_temporal_range',
  'public.patient_consents: index public.patient_consents_created_by_idx',
  'public.patient_consents: index public.patient_consents_due_idx',
  'public.patient_consents: index public.patient_consents_granted_to_idx',
  'public.patient_consents: index public.patient_consents_updated_by_idx',
  'public.patient_consents: policy patient_consents_own for SELECT to authenticated using (patient_id = ( SELECT auth.uid() AS uid))',
  'public.patient_consents: policy patient_consents_service for SELECT to service_role using true',
  'public.patient_consents: row security',
  'public.patient_consents: service_role may SELECT',
  'public.patient_consents: trigger patient_consents_audit_delete calls public.audit_patient_consents',
  'public.patient_consents: trigger patient_consents_audit_insert calls public.audit_patient_consents',
  'public.patient_consents: trigger patient_consents_audit_update calls public.audit_patient_consents',
  'public.patient_consents: trigger patient_consents_identity calls public.refuse_change',
  'public.patient_consents: trigger patient_consents_no_truncate calls public.refuse_change',
  'public.patient_consents: trigger patient_consents_updated_at calls public.set_updated_at',
  'public.patient_consents: unique index public.patient_consents_live_key',
  'public.patient_consent_audit: authenticated may SELECT',
  'public.patient_consent_audit: constraint patient_consent_audit_action_check',
  'public.patient_consent_audit: constraint patient_consent_audit_pkey',
  'public.patient_consent_audit: index public.patient_consent_audit_consent_idx',
  'public.patient_consent_audit: index public.patient_consent_audit_patient_idx',
  'public.patient_consent_audit: policy patient_consent_audit_own for SELECT to authenticated using (patient_id = ( SELECT auth.uid() AS uid))',
  'public.patient_consent_audit: policy patient_consent_audit_service for SELECT to service_role using true',
  'public.patient_consent_audit: row security',
  'public.patient_consent_audit: service_role may SELECT',
  'public.patient_consent_audit: trigger patient_consent_audit_append_only calls public.refuse_change',
  'public.user_consent_preferences: authenticated may INSERT of user_id, default_consent_duration, require_explicit_consent, auto_renew_enabled, consent_expiry_reminder_days, notify_on_access, notification_method, granular_control_enabled, emergency_override_allowed',
  'public.user_consent_preferences: authenticated may SELECT',
  'public.user_consent_preferences: authenticated may UPDATE of user_id, default_consent_duration, require_explicit_consent, auto_renew_enabled, consent_expiry_reminder_days, notify_on_access, notification_method, granular_control_enabled, emergency_override_allowed',
  'public.user_consent_preferences: constraint user_consent_preferences_duration_check',
  'public.user_consent_preferences: constraint user_consent_preferences_method_check',
  'public.user_consent_preferences: constraint user_consent_preferences_pkey',
  'public.user_consent_preferences: constraint user_consent_preferences_reminder_check',
  'public.user_consent_preferences: policy user_consent_preferences_own_insert for INSERT to authenticated check (user_id = ( SELECT auth.uid() AS uid))',
  'public.user_consent_preferences: policy user_consent_preferences_own_read for SELECT to authenticated using (user_id = ( SELECT auth.uid() AS uid))',
  'public.user_consent_preferences: policy user_consent_preferences_own_update for UPDATE to authenticated using (user_id = ( SELECT auth.uid() AS uid)) check (user_id = ( SELECT auth.uid() AS uid))',
  'public.user_consent_preferences: policy user_consent_preferences_service for SELECT to service_role using true',
  'public.user_consent_preferences: row security',
  'public.user_consent_preferences: service_role may SELECT',
  'public.user_consent_preferences: trigger user_consent_preferences_audit calls public.audit_row',
  'public.user_consent_preferences: trigger user_consent_preferences_updated_at calls public.set_updated_at',
  'public.user_consent_summary: authenticated may SELECT',
  'public.user_consent_summary: security_invoker=true,security_barrier=true',
  'public.consent_state(boolean, timestamp with time zone, timestamp with time zone, jsonb, timestamp with time zone): authenticated may EXECUTE',
  'public.consent_state(boolean, timestamp with time zone, timestamp with time zone, jsonb, timestamp with time zone): invoker, pinned',
  'public.audit_patient_consents(): definer, pinned',
  'public.require_patient(uuid): invoker, pinned',
  'public.consent_end(uuid, timestamp with time zone): invoker, pinned',
  'public.expire_due_consents(uuid, uuid): invoker, pinned',
  'public.lock_patient_consents(uuid): invoker, pinned',
  'public.expire_patient_consents(uuid): definer, pinned',
  'public.expire_patient_consents(uuid): service_role may EXECUTE',
  'public.grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, jsonb): authenticated may EXECUTE',
  'public.grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, jsonb): definer, pinned',
  'public.request_patient_consent(uuid, text, text, uuid, text): definer, pinned',
  'public.request_patient_consent(uuid, text, text, uuid, text): service_role may EXECUTE',
  'public.refuse_patient_consent(uuid, text, text, uuid, text, text): authenticated may EXECUTE',
  'public.refuse_patient_consent(uuid, text, text, uuid, text, text): definer, pinned',
  'public.revoke_patient_consent(uuid, text): authenticated may EXECUTE',
  'public.revoke_patient_consent(uuid, text): definer, pinned',
  'public.renew_patient_consent(uuid, timestamp with time zone): authenticated may EXECUTE',
  'public.renew_patient_consent(uuid, timestamp with time zone): definer, pinned',
  'public.check_consent_access(uuid, uuid, text, text, text): authenticated may EXECUTE',
  'public.check_consent_access(uuid, uuid, text, text, text): definer, pinned',
  'public.check_consent_access(uuid, uuid, text, text, text): service_role may EXECUTE',
  'public.has_general_consent(uuid, text, text, text): authenticated may EXECUTE',
  'public.has_general_consent(uuid, text, text, text): definer, pinned',
  'public.has_general_consent(uuid, text, text, text): service_role may EXECUTE',
  'public.consents_to_me(): authenticated may EXECUTE',
  'public.consents_to_me(): definer, pinned',
  'definition of public.patient_consents: fa223e02',
  'definition of public.patient_consent_audit: 1cb8ba32',
  'definition of public.user_consent_preferences: d2b74fe9',
  'definition of public.user_consent_summary: 3482b08a',
  'definition of public.consent_state(boolean, timestamp with time zone, timestamp with time zone, jsonb, timestamp with time zone): f99345d8',
  'definition of public.audit_patient_consents(): f58f7157',
  'definition of public.require_patient(uuid): bf761ab5',
  'definition of public.consent_end(uuid, timestamp with time zone): 7efc99ce',
  'definition of public.expire_due_consents(uuid, uuid): f2e8a854',
  'definition of public.lock_patient_consents(uuid): 5095bdd3',
  'definition of public.expire_patient_consents(uuid): 8a342e0c',
  'definition of public.grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, jsonb): 87eb782a',
  'definition of public.request_patient_consent(uuid, text, text, uuid, text): a4f60a67',
  'definition of public.refuse_patient_consent(uuid, text, text, uuid, text, text): b00d5c44',
  'definition of public.revoke_patient_consent(uuid, text): 0e7b27f4',
  'definition of public.renew_patient_consent(uuid, timestamp with time zone): 52f46f06',
  'definition of public.check_consent_access(uuid, uuid, text, text, text): e92fb6a6',
  'definition of public.has_general_consent(uuid, text, text, text): abb6a353',
  'definition of public.consents_to_me(): 9739403d',
  'definition of patient_consents_audit_insert on public.patient_consents: 08b00df6',
  'definition of patient_consents_audit_update on public.patient_consents: 1100f8e4',
  'definition of patient_consents_audit_delete on public.patient_consents: 13b871ad',
  'definition of patient_consents_updated_at on public.patient_consents: 8302e6a6',
  'definition of patient_consents_identity on public.patient_consents: bac4d798',
  'definition of patient_consents_no_truncate on public.patient_consents: 8741ee78',
  'definition of patient_consent_audit_append_only on public.patient_consent_audit: bea2d4a6',
  'definition of user_consent_preferences_updated_at on public.user_consent_preferences: fc164e0a',
  'definition of user_consent_preferences_audit on public.user_consent_preferences: b84f2d4a'
] || CASE WHEN to_regprocedure('public.notify_consent_change()') IS NULL THEN '{}' ELSE ARRAY[
  'public.patient_consents: trigger patient_consents_notify_change calls public.notify_consent_change',
  'public.patient_consents: trigger patient_consents_notify_request calls public.notify_consent_change'
] END AS facts, ARRAY[
  'public.patient_consents: patient_consents_created_by_fkey FOREIGN KEY (created_by) REFERENCES auth.users(id) ON DELETE SET NULL',
  'public.patient_consents: patient_consents_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES auth.users(id) ON DELETE CASCADE',
  'public.patient_consents: patient_consents_updated_by_fkey FOREIGN KEY (updated_by) REFERENCES auth.users(id) ON DELETE SET NULL',
  'public.user_consent_preferences: user_consent_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'
] AS keys) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT a.f FROM (SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.patient_consents; public.patient_consent_audit; public.user_consent_preferences; public.user_consent_summary', '; '),
    string_to_array('public.consent_state(boolean, timestamp with time zone, timestamp with time zone, jsonb, timestamp with time zone); public.audit_patient_consents(); public.require_patient(uuid); public.consent_end(uuid, timestamp with time zone); public.expire_due_consents(uuid, uuid); public.lock_patient_consents(uuid); public.expire_patient_consents(uuid); public.grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, jsonb); public.request_patient_consent(uuid, text, text, uuid, text); public.refuse_patient_consent(uuid, text, text, uuid, text, text); public.revoke_patient_consent(uuid, text); public.renew_patient_consent(uuid, timestamp with time zone); public.check_consent_access(uuid, uuid, text, text, text); public.has_general_consent(uuid, text, text, text); public.consents_to_me()', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.patient_consents; public.patient_consent_audit; public.user_consent_preferences; public.user_consent_summary; public.consent_state(boolean, timestamp with time zone, timestamp with time zone, jsonb, timestamp with time zone); public.audit_patient_consents(); public.require_patient(uuid); public.consent_end(uuid, timestamp with time zone); public.expire_due_consents(uuid, uuid); public.lock_patient_consents(uuid); public.expire_patient_consents(uuid); public.grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, jsonb); public.request_patient_consent(uuid, text, text, uuid, text); public.refuse_patient_consent(uuid, text, text, uuid, text, text); public.revoke_patient_consent(uuid, text); public.renew_patient_consent(uuid, timestamp with time zone); public.check_consent_access(uuid, uuid, text, text, text); public.has_general_consent(uuid, text, text, text); public.consents_to_me(); patient_consents_audit_insert on public.patient_consents; patient_consents_audit_update on public.patient_consents; patient_consents_audit_delete on public.patient_consents; patient_consents_updated_at on public.patient_consents; patient_consents_identity on public.patient_consents; patient_consents_no_truncate on public.patient_consents; patient_consent_audit_append_only on public.patient_consent_audit; user_consent_preferences_updated_at on public.user_consent_preferences; user_consent_preferences_audit on public.user_consent_preferences', '; ')) AS f) AS a (f)
  WHERE a.f <> ALL (e.keys) ORDER BY 1);
-- The keys to v6's tables, by themselves.
DO $$
DECLARE
  v_path text := current_setting('search_path');
  v_bad text;
BEGIN
  -- Names are qualified then.
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT string_agg(format('missing [%s: %s]', w.relation, w.key), '; ') INTO v_bad FROM (VALUES
      ('public.patient_consents', 'patient_consents_created_by_fkey FOREIGN KEY (created_by) REFERENCES auth.users(id) ON DELETE SET NULL'),
      ('public.patient_consents', 'patient_consents_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
      ('public.patient_consents', 'patient_consents_updated_by_fkey FOREIGN KEY (updated_by) REFERENCES auth.users(id) ON DELETE SET NULL'),
      ('public.user_consent_preferences', 'user_consent_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE')
    ) AS w (relation, key)
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(w.relation) AND c.conname || ' ' || pg_get_constraintdef(c.oid) = w.key);
  PERFORM set_config('search_path', v_path, true);
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'module 004_enhanced_consent is not as it was made: ' || v_bad;
  END IF;
END
$$;
