-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  PERFORM public.assert_module('004_enhanced_consent', ARRAY[
    'public.patient_consents: row security',
    'public.patient_consents: authenticated may SELECT',
    'public.patient_consents: service_role may SELECT',
    'public.patient_consents: policy patient_consents_own for SELECT to authenticated using (patient_id = ( '
      'SELECT auth.uid() AS uid))',
    'public.patient_consents: policy patient_consents_recipient for SELECT to authenticated using ((granted_to = '
      '( SELECT auth.uid() AS uid)) AND granted AND (valid_from <= now()) AND ((valid_until IS NULL) OR '
      '(valid_until > now())))',
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
    'public.has_general_consent(uuid, text, text, text): service_role may EXECUTE'
  ] || CASE WHEN to_regprocedure('public.notify_consent_change()') IS NULL THEN '{}' ELSE ARRAY[
    -- Module 007, where it is there, hangs these on the consents.
    'public.patient_consents: trigger patient_consents_notify_request calls public.notify_consent_change',
    'public.patient_consents: trigger patient_consents_notify_change calls public.notify_consent_change'
  ] END);
END
$$;
