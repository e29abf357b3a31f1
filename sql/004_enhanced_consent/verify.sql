-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  PERFORM public.assert_module('004_enhanced_consent', ARRAY[
    'public.patient_consents: row security',
    'public.patient_consents: authenticated may SELECT',
    'public.patient_consents: service_role may SELECT',
    'public.patient_consents: policy patient_consents_own for SELECT to authenticated using (patient_id = ( '
      'SELECT auth.uid() AS uid))',
    'public.patient_consents: policy patient_consents_service for SELECT to service_role using true',
    'public.patient_consents: trigger patient_consents_audit_insert calls public.audit_patient_consents',
    'public.patient_consents: trigger patient_consents_audit_update calls public.audit_patient_consents',
    'public.patient_consents: trigger patient_consents_audit_delete calls public.audit_patient_consents',
    'public.patient_consents: trigger patient_consents_updated_at calls public.set_updated_at',
    'public.patient_consents: trigger patient_consents_identity calls public.refuse_change',
    'public.patient_consents: trigger patient_consents_no_truncate calls public.refuse_change',
    'public.patient_consents: constraint revocation_logic',
    'public.patient_consents: constraint patient_consents_pkey',
    'public.patient_consents: constraint patient_consents_consent_type_check',
    'public.patient_consents: constraint patient_consents_resource_type_check',
    'public.patient_consents: constraint patient_consents_purpose_check',
    'public.patient_consents: constraint patient_consents_legal_basis_check',
    'public.patient_consents: constraint patient_consents_consent_evidence_check',
    'public.patient_consents: constraint patient_consents_consent_metadata_check',
    'public.patient_consents: constraint valid_temporal_range',
    'public.patient_consents: unique index public.patient_consents_live_key',
    'public.patient_consents: index public.patient_consents_granted_to_idx',
    'public.patient_consents: index public.patient_consents_due_idx',
    'public.patient_consents: index public.patient_consents_created_by_idx',
    'public.patient_consents: index public.patient_consents_updated_by_idx',
    'public.patient_consents: patient_consents_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES auth.users(id)'
      ' ON DELETE CASCADE',
    'public.patient_consents: patient_consents_created_by_fkey FOREIGN KEY (created_by) REFERENCES auth.users(id)'
      ' ON DELETE SET NULL',
    'public.patient_consents: patient_consents_updated_by_fkey FOREIGN KEY (updated_by) REFERENCES auth.users(id)'
      ' ON DELETE SET NULL',
    'public.patient_consent_audit: row security',
    'public.patient_consent_audit: authenticated may SELECT',
    'public.patient_consent_audit: service_role may SELECT',
    'public.patient_consent_audit: policy patient_consent_audit_own for SELECT to authenticated using (patient_id'
      ' = ( SELECT auth.uid() AS uid))',
    'public.patient_consent_audit: policy patient_consent_audit_service for SELECT to service_role using true',
    'public.patient_consent_audit: trigger patient_consent_audit_append_only calls public.refuse_change',
    'public.patient_consent_audit: constraint patient_consent_audit_action_check',
    'public.patient_consent_audit: constraint patient_consent_audit_pkey',
    'public.patient_consent_audit: index public.patient_consent_audit_patient_idx',
    'public.patient_consent_audit: index public.patient_consent_audit_consent_idx',
    'public.user_consent_preferences: row security',
    'public.user_consent_preferences: authenticated may INSERT of user_id, default_consent_duration, '
      'require_explicit_consent, auto_renew_enabled, consent_expiry_reminder_days, notify_on_access, '
      'notification_method, granular_control_enabled, emergency_override_allowed',
    'public.user_consent_preferences: authenticated may SELECT',
    'public.user_consent_preferences: authenticated may UPDATE of user_id, default_consent_duration, '
      'require_explicit_consent, auto_renew_enabled, consent_expiry_reminder_days, notify_on_access, '
      'notification_method, granular_control_enabled, emergency_override_allowed',
    'public.user_consent_preferences: service_role may SELECT',
    'public.user_consent_preferences: policy user_consent_preferences_own_read for SELECT to authenticated using '
      '(user_id = ( SELECT auth.uid() AS uid))',
    'public.user_consent_preferences: policy user_consent_preferences_own_insert for INSERT to authenticated '
      'check (user_id = ( SELECT auth.uid() AS uid))',
    'public.user_consent_preferences: policy user_consent_preferences_own_update for UPDATE to authenticated '
      'using (user_id = ( SELECT auth.uid() AS uid)) check (user_id = ( SELECT auth.uid() AS uid))',
    'public.user_consent_preferences: policy user_consent_preferences_service for SELECT to service_role using true',
    'public.user_consent_preferences: trigger user_consent_preferences_updated_at calls public.set_updated_at',
    'public.user_consent_preferences: trigger user_consent_preferences_audit calls public.audit_row',
    'public.user_consent_preferences: constraint user_consent_preferences_duration_check',
    'public.user_consent_preferences: constraint user_consent_preferences_reminder_check',
    'public.user_consent_preferences: constraint user_consent_preferences_method_check',
    'public.user_consent_preferences: constraint user_consent_preferences_pkey',
    'public.user_consent_preferences: user_consent_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES '
      'auth.users(id) ON DELETE CASCADE',
    'public.user_consent_summary: security_invoker=true,security_barrier=true',
    'public.user_consent_summary: authenticated may SELECT',
    'public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz): invoker, pinned',
    'public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz): authenticated may EXECUTE',
    'public.audit_patient_consents(): definer, pinned',
    'public.require_patient(uuid): invoker, pinned',
    'public.consent_end(uuid, timestamptz): invoker, pinned',
    'public.expire_patient_consents(uuid): definer, pinned',
    'public.expire_patient_consents(uuid): service_role may EXECUTE',
    'public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb): definer, pinned',
    'public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb): authenticated may '
      'EXECUTE',
    'public.request_patient_consent(uuid, text, text, uuid, text): definer, pinned',
    'public.request_patient_consent(uuid, text, text, uuid, text): service_role may EXECUTE',
    'public.refuse_patient_consent(uuid, text, text, uuid, text, text): definer, pinned',
    'public.refuse_patient_consent(uuid, text, text, uuid, text, text): authenticated may EXECUTE',
    'public.revoke_patient_consent(uuid, text): definer, pinned',
    'public.revoke_patient_consent(uuid, text): authenticated may EXECUTE',
    'public.renew_patient_consent(uuid, timestamptz): definer, pinned',
    'public.renew_patient_consent(uuid, timestamptz): authenticated may EXECUTE',
    'public.check_consent_access(uuid, uuid, text, text, text): definer, pinned',
    'public.check_consent_access(uuid, uuid, text, text, text): authenticated may EXECUTE',
    'public.check_consent_access(uuid, uuid, text, text, text): service_role may EXECUTE',
    'public.has_general_consent(uuid, text, text, text): definer, pinned',
    'public.has_general_consent(uuid, text, text, text): authenticated may EXECUTE',
    'public.has_general_consent(uuid, text, text, text): service_role may EXECUTE',
    'public.consents_to_me(): definer, pinned',
    'public.consents_to_me(): authenticated may EXECUTE',
    -- What they do, not only what they are called: see public.definition_facts.
    'definition of public.patient_consents: 1c79adba',
    'definition of public.patient_consent_audit: 1cb8ba32',
    'definition of public.user_consent_preferences: d2b74fe9',
    'definition of public.user_consent_summary: 6aa23d53',
    'definition of public.consent_state(boolean, timestamp with time zone, timestamp with time zone, jsonb, '
      'timestamp with time zone): f99345d8',
    'definition of public.audit_patient_consents(): 96b6da96',
    'definition of public.require_patient(uuid): bf761ab5',
    'definition of public.consent_end(uuid, timestamp with time zone): 9086031a',
    'definition of public.expire_patient_consents(uuid): f3f5d7ba',
    'definition of public.grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, '
      'jsonb): fa0e3acf',
    'definition of public.request_patient_consent(uuid, text, text, uuid, text): b3c7c5dc',
    'definition of public.refuse_patient_consent(uuid, text, text, uuid, text, text): d7e8ffa4',
    'definition of public.revoke_patient_consent(uuid, text): 67e00347',
    'definition of public.renew_patient_consent(uuid, timestamp with time zone): e7bb03d3',
    'definition of public.check_consent_access(uuid, uuid, text, text, text): 73a00135',
    'definition of public.has_general_consent(uuid, text, text, text): b028d080',
    'definition of public.consents_to_me(): 4e2f47a3',
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
    -- Module 007, where it is there, hangs these on the consents.
    'public.patient_consents: trigger patient_consents_notify_request calls public.notify_consent_change',
    'public.patient_consents: trigger patient_consents_notify_change calls public.notify_consent_change'
  ] END);
END
$$;
