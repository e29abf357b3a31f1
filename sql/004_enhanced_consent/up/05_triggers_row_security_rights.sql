-- Triggers, row security, and the rights of API roles.

-- Statement triggers with transition tables: a batch of the migration pays one call and not one a row.
CREATE TRIGGER patient_consents_audit_insert AFTER INSERT ON public.patient_consents REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.audit_patient_consents();
CREATE TRIGGER patient_consents_audit_update AFTER UPDATE ON public.patient_consents
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.audit_patient_consents();
CREATE TRIGGER patient_consents_audit_delete AFTER DELETE ON public.patient_consents REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.audit_patient_consents();
CREATE TRIGGER patient_consents_updated_at BEFORE UPDATE ON public.patient_consents
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER patient_consents_identity
  BEFORE UPDATE OF id, patient_id, consent_type, purpose, granted_to, resource_type ON public.patient_consents
  FOR EACH STATEMENT
  EXECUTE FUNCTION public.refuse_change('a consent stays about the same person, purpose and recipient');
CREATE TRIGGER patient_consents_no_truncate BEFORE TRUNCATE ON public.patient_consents
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('it would leave no trace in patient_consent_audit');
CREATE TRIGGER patient_consent_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.patient_consent_audit
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');
CREATE TRIGGER user_consent_preferences_updated_at BEFORE UPDATE ON public.user_consent_preferences
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER user_consent_preferences_audit AFTER INSERT OR UPDATE OR DELETE ON public.user_consent_preferences
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('user_id');

ALTER TABLE public.patient_consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.patient_consent_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.user_consent_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY patient_consents_own ON public.patient_consents FOR SELECT TO authenticated
  USING (patient_id = (SELECT auth.uid()));
CREATE POLICY patient_consents_service ON public.patient_consents FOR SELECT TO service_role USING (true);
CREATE POLICY patient_consent_audit_own ON public.patient_consent_audit FOR SELECT TO authenticated
  USING (patient_id = (SELECT auth.uid()));
CREATE POLICY patient_consent_audit_service ON public.patient_consent_audit FOR SELECT TO service_role USING (true);
CREATE POLICY user_consent_preferences_own_read ON public.user_consent_preferences FOR SELECT TO authenticated
  USING (user_id = (SELECT auth.uid()));
CREATE POLICY user_consent_preferences_own_insert ON public.user_consent_preferences FOR INSERT TO authenticated
  WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY user_consent_preferences_own_update ON public.user_consent_preferences FOR UPDATE TO authenticated
  USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY user_consent_preferences_service ON public.user_consent_preferences FOR SELECT TO service_role
  USING (true);

REVOKE ALL ON public.patient_consents, public.patient_consent_audit, public.user_consent_preferences,
  public.user_consent_summary FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.patient_consents, public.patient_consent_audit, public.user_consent_preferences
  TO authenticated, service_role;
GRANT SELECT ON public.user_consent_summary TO authenticated;
GRANT INSERT (user_id, default_consent_duration, require_explicit_consent, auto_renew_enabled,
    consent_expiry_reminder_days, notify_on_access, notification_method, granular_control_enabled,
    emergency_override_allowed),
  UPDATE (user_id, default_consent_duration, require_explicit_consent, auto_renew_enabled,
    consent_expiry_reminder_days, notify_on_access, notification_method, granular_control_enabled,
    emergency_override_allowed)
  ON public.user_consent_preferences TO authenticated;
REVOKE ALL ON FUNCTION public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz),
  public.audit_patient_consents(), public.require_patient(uuid), public.consent_end(uuid, timestamptz),
  public.lock_patient_consents(uuid), public.expire_due_consents(uuid, uuid), public.expire_patient_consents(uuid),
  public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb),
  public.request_patient_consent(uuid, text, text, uuid, text),
  public.refuse_patient_consent(uuid, text, text, uuid, text, text),
  public.revoke_patient_consent(uuid, text), public.renew_patient_consent(uuid, timestamptz),
  public.check_consent_access(uuid, uuid, text, text, text), public.has_general_consent(uuid, text, text, text),
  public.consents_to_me()
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz),
  public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb),
  public.refuse_patient_consent(uuid, text, text, uuid, text, text),
  public.revoke_patient_consent(uuid, text), public.renew_patient_consent(uuid, timestamptz),
  public.consents_to_me() TO authenticated;
GRANT EXECUTE ON FUNCTION public.check_consent_access(uuid, uuid, text, text, text),
  public.has_general_consent(uuid, text, text, text) TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.expire_patient_consents(uuid),
  public.request_patient_consent(uuid, text, text, uuid, text) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION public.expire_patient_consents(uuid) TO guardian_operator;
  END IF;
END
$$;
