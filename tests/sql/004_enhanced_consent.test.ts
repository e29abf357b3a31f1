import { describeLifecycle } from "../support/modules";

describe("004_enhanced_consent", function () {
  this.timeout(60_000);

  describeLifecycle("004_enhanced_consent", {
    "ALTER TABLE public.patient_consents DISABLE ROW LEVEL SECURITY": /patient_consents: NO row security/,
    "GRANT INSERT ON public.patient_consents TO authenticated": /patient_consents: authenticated may INSERT/,
    "GRANT TRUNCATE ON public.patient_consent_audit TO service_role":
      /patient_consent_audit: service_role may TRUNCATE/,
    "ALTER POLICY patient_consents_own ON public.patient_consents USING (granted_to IS NULL)":
      /not expected \[.*granted_to IS NULL/,
    "CREATE POLICY patient_consents_recipient ON public.patient_consents FOR SELECT TO authenticated USING (granted_to = auth.uid())":
      /not expected \[.*patient_consents_recipient/,
    "GRANT EXECUTE ON FUNCTION public.consents_to_me() TO anon": /consents_to_me\(\): anon may EXECUTE/,
    "ALTER TABLE public.patient_consents DISABLE TRIGGER patient_consents_audit_update": /audit_update .*DISABLED/,
    "ALTER TABLE public.patient_consent_audit DISABLE TRIGGER USER": /append_only .*DISABLED/,
    "ALTER TABLE public.patient_consents DROP CONSTRAINT revocation_logic": /missing \[.*revocation_logic/,
    "ALTER TABLE public.patient_consents DROP CONSTRAINT patient_consents_created_by_fkey":
      /missing \[.*created_by.* ON DELETE SET NULL/,
    "DROP INDEX public.patient_consents_live_key": /missing \[.*unique index public\.patient_consents_live_key/,
    "GRANT EXECUTE ON FUNCTION public.expire_patient_consents(uuid) TO PUBLIC": /PUBLIC may EXECUTE/,
    "ALTER FUNCTION public.check_consent_access(uuid, uuid, text, text, text) RESET ALL": /search_path NOT pinned/,
    "ALTER VIEW public.user_consent_summary RESET (security_invoker)": /missing \[.*security_invoker=true/,
  });
});
