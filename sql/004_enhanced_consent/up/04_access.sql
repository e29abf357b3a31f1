-- Who may use data, and who sees which consents. As of the statement and not of its transaction, which may have begun
-- long before a consent ended.

CREATE FUNCTION public.check_consent_access(p_patient_id uuid, p_accessor_id uuid, p_resource_type text DEFAULT NULL,
  p_purpose text DEFAULT 'healthcare_services', p_consent_type text DEFAULT 'data_sharing')
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (auth.uid() IN (p_patient_id, p_accessor_id)) IS NOT TRUE AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient, the accessor or the server side may ask';
  END IF;
  RETURN coalesce(p_patient_id = p_accessor_id, false) OR EXISTS (
    SELECT FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
      AND c.granted_to = p_accessor_id AND (c.resource_type IS NULL OR c.resource_type = p_resource_type)
      AND c.granted AND c.valid_from <= statement_timestamp() AND (c.valid_until IS NULL OR c.valid_until > statement_timestamp()));
END
$$;
COMMENT ON FUNCTION public.check_consent_access(uuid, uuid, text, text, text) IS
  'Whether a person may use a patient''s data: his own, or by a live consent to exactly this person, type and purpose. '
  'Without p_resource_type the whole record is meant, which a consent to one kind of data does not open.';

CREATE FUNCTION public.has_general_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_resource_type text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (auth.uid() = p_patient_id) IS NOT TRUE AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient or the server side may ask';
  END IF;
  RETURN EXISTS (
    SELECT FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
      AND c.granted_to IS NULL AND (c.resource_type IS NULL OR c.resource_type = p_resource_type)
      AND c.granted AND c.valid_from <= statement_timestamp() AND (c.valid_until IS NULL OR c.valid_until > statement_timestamp()));
END
$$;
COMMENT ON FUNCTION public.has_general_consent(uuid, text, text, text) IS
  'Whether Guardian itself may use a patient''s data for a purpose (a consent to nobody in particular).';

-- Not a policy: rights to columns do not tell the patient from the recipient, both are authenticated, and the row holds
-- the patient's evidence and words.
CREATE FUNCTION public.consents_to_me()
RETURNS TABLE (consent_id uuid, patient_id uuid, consent_type text, purpose text, resource_type text,
  valid_from timestamptz, valid_until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.id, c.patient_id, c.consent_type, c.purpose, c.resource_type, c.valid_from, c.valid_until
  FROM public.patient_consents AS c
  WHERE c.granted_to = auth.uid() AND c.granted
    AND c.valid_from <= statement_timestamp() AND (c.valid_until IS NULL OR c.valid_until > statement_timestamp())
$$;
COMMENT ON FUNCTION public.consents_to_me() IS
  'The live consents that name the caller as recipient: whose data, which, what for and until when; not the evidence.';

CREATE VIEW public.user_consent_summary WITH (security_invoker = true, security_barrier = true) AS
SELECT c.id AS consent_id, c.consent_type, c.purpose, c.resource_type, c.granted_to, s.status, c.explicit_consent,
  c.legal_basis, c.valid_from, c.valid_until,
  CASE WHEN s.status = 'granted'
    THEN ceil(extract(epoch FROM c.valid_until - statement_timestamp()) / 86400)::integer END AS days_until_expiry,
  c.revoked_at, c.created_at, c.updated_at
FROM public.patient_consents AS c,
  LATERAL (SELECT public.consent_state(c.granted, c.revoked_at, c.valid_until, c.consent_metadata,
    statement_timestamp())) AS s (status)
WHERE c.patient_id = (SELECT auth.uid());
COMMENT ON VIEW public.user_consent_summary IS 'The caller''s own consents; row security of patient_consents applies.';
COMMENT ON COLUMN public.user_consent_summary.status IS 'granted, pending, refused, revoked or expired, as of now.';
COMMENT ON COLUMN public.user_consent_summary.days_until_expiry IS
  'Days left, a started day counts; NULL without an end.';
