-- The engine has archived the three tables by now, and dropped the view over them.
DROP FUNCTION public.consents_to_me();
DROP FUNCTION public.has_general_consent(uuid, text, text, text);
DROP FUNCTION public.check_consent_access(uuid, uuid, text, text, text);
DROP FUNCTION public.renew_patient_consent(uuid, timestamptz);
DROP FUNCTION public.revoke_patient_consent(uuid, text);
DROP FUNCTION public.refuse_patient_consent(uuid, text, text, uuid, text, text);
DROP FUNCTION public.request_patient_consent(uuid, text, text, uuid, text);
DROP FUNCTION public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb);
DROP FUNCTION public.expire_patient_consents(uuid);
DROP FUNCTION public.expire_due_consents(uuid, uuid);
DROP FUNCTION public.lock_patient_consents(uuid);
DROP FUNCTION public.consent_end(uuid, timestamptz);
DROP FUNCTION public.require_patient(uuid);
DROP FUNCTION public.audit_patient_consents();
DROP FUNCTION public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz);
