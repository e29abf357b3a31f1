-- Consents, and a patient's whole record.

-- patient_consents comes with module 004: plpgsql looks it up when called. Row security of that table applies.
CREATE FUNCTION public.guardian_fhir_consents(p_patient_id uuid DEFAULT NULL, p_consent_ids uuid[] DEFAULT NULL)
RETURNS TABLE (consent_id uuid, patient_id uuid, source_version text, resource jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regclass('public.patient_consents') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT c.id, c.patient_id, '1 ' || s.state || ' ' || extract(epoch FROM c.updated_at),
    jsonb_strip_nulls(jsonb_build_object(
      'resourceType', 'Consent',
      'id', c.id,
      'status', CASE s.state WHEN 'granted' THEN 'active' WHEN 'pending' THEN 'proposed' WHEN 'refused' THEN 'rejected'
        ELSE 'inactive' END,
      'scope', CASE WHEN c.consent_type = 'research_participation'
        THEN '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research",
          "display": "Research"}]}'
        ELSE '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy",
          "display": "Privacy Consent"}]}' END::jsonb,
      'category', '[{"coding": [{"system": "http://loinc.org", "code": "59284-0",
          "display": "Consent Document"}]}]'::jsonb
        || CASE c.consent_type
          WHEN 'research_participation' THEN '[{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "research",
            "display": "Research Information Access"}]}]'
          WHEN 'emergency_access' THEN '[{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "emrgonly",
            "display": "Emergency Only"}]}]'
          WHEN 'data_sharing' THEN '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "IDSCL", "display": "information disclosure"}]}]'
          ELSE '[]' END::jsonb,
      'patient', jsonb_build_object('reference', 'Patient/' || c.patient_id),
      'dateTime', to_char(t.decided AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'performer', CASE WHEN c.explicit_consent
        THEN jsonb_build_array(jsonb_build_object('reference', 'Patient/' || c.patient_id)) END,
      'policyRule', jsonb_build_object('text', 'GDPR Article 6(1)(' || CASE c.legal_basis WHEN 'consent' THEN 'a'
        WHEN 'contract' THEN 'b' WHEN 'legal_obligation' THEN 'c' WHEN 'vital_interests' THEN 'd'
        WHEN 'public_task' THEN 'e' ELSE 'f' END || '), ' || replace(c.legal_basis, '_', ' ')),
      'provision', jsonb_build_object(
        'type', CASE WHEN s.state = 'refused' THEN 'deny' ELSE 'permit' END,
        'period', CASE WHEN (c.granted OR s.state IN ('revoked', 'expired')) AND num_nonnulls(t.starts, t.ends) > 0
          THEN jsonb_build_object(
            'start', to_char(t.starts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'end', to_char(CASE WHEN t.ends < t.starts THEN t.starts ELSE t.ends END AT TIME ZONE 'UTC',
              'YYYY-MM-DD"T"HH24:MI:SS"Z"')) END,
        'actor', CASE WHEN c.granted_to IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
          'role', '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
            "code": "IRCP", "display": "information recipient"}]}'::jsonb,
          'reference', jsonb_build_object('identifier', jsonb_build_object(
            'system', 'https://guardian.health/user-id', 'value', c.granted_to)))) END,
        'purpose', jsonb_build_array(jsonb_build_object(
          'system', 'https://guardian.health/consent-purpose', 'code', c.purpose)) || coalesce(a.coding, '[]'),
        'code', CASE WHEN c.resource_type IS NOT NULL
          THEN jsonb_build_array(jsonb_build_object('text', c.resource_type)) END,
        'class', k.coding)))
  FROM public.patient_consents AS c
  CROSS JOIN LATERAL (SELECT CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked'
    WHEN NOT c.granted THEN c.consent_metadata ->> 'state' WHEN c.valid_until <= statement_timestamp()
      THEN 'expired'
    ELSE 'granted' END AS state, least(c.valid_until, c.revoked_at) AS ends OFFSET 0) AS s
  CROSS JOIN LATERAL (SELECT
    CASE WHEN c.valid_from BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN c.valid_from END AS starts,
    CASE WHEN s.ends BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN s.ends END AS ends,
    CASE WHEN coalesce(c.revoked_at, c.updated_at) BETWEEN '0001-01-02Z' AND '9999-12-31Z'
      THEN coalesce(c.revoked_at, c.updated_at) END AS decided OFFSET 0) AS t
  LEFT JOIN (VALUES
    ('healthcare_services', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT",
      "display": "treatment"}]'::jsonb),
    ('research', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH",
      "display": "healthcare research"}]'),
    ('payment', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT",
      "display": "healthcare payment"}]'),
    ('emergency', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "ETREAT",
      "display": "Emergency Treatment"}]'),
    ('marketing', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HMARKT",
      "display": "healthcare marketing"}]')
  ) AS a (purpose, coding) ON a.purpose = c.purpose
  LEFT JOIN (VALUES
    ('medications', '[{"system": "http://hl7.org/fhir/resource-types", "code": "MedicationStatement"},
      {"system": "http://hl7.org/fhir/resource-types", "code": "MedicationRequest"}]'::jsonb),
    ('lab_results', '[{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]'),
    ('vitals', '[{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]'),
    ('conditions', '[{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}]'),
    ('allergies', '[{"system": "http://hl7.org/fhir/resource-types", "code": "AllergyIntolerance"}]'),
    ('documents', '[{"system": "http://hl7.org/fhir/resource-types", "code": "DocumentReference"}]')
  ) AS k (resource_type, coding) ON k.resource_type = c.resource_type
  WHERE (p_patient_id IS NULL OR c.patient_id = p_patient_id)
    AND (p_consent_ids IS NULL OR c.id = ANY (p_consent_ids));
END
$$;
COMMENT ON FUNCTION public.guardian_fhir_consents(uuid, uuid[]) IS
  'The Consent of every consent the caller may read, of one patient, or of those named; nothing without module 004.';

CREATE FUNCTION public.generate_fhir_consent_resource(p_consent_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.resource FROM public.guardian_fhir_consents(NULL, ARRAY[p_consent_id]) AS c
$$;
COMMENT ON FUNCTION public.generate_fhir_consent_resource(uuid) IS
  'The Consent of a consent; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_bundle(p_user_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_patient jsonb := public.guardian_to_fhir_patient(p_user_id);
BEGIN
  RETURN (
    SELECT jsonb_build_object('resourceType', 'Bundle', 'type', 'collection',
      'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'entry', jsonb_agg(jsonb_build_object(
        'fullUrl', 'https://guardian.health/fhir/' || r.resource_type || '/' || r.fhir_id, 'resource', r.resource)
        ORDER BY r.place, r.resource_type, r.fhir_id))
    FROM (
      SELECT 0 AS place, 'Patient' AS resource_type, p_user_id::text AS fhir_id, v_patient AS resource
      UNION ALL
      SELECT 1, g.resource_type, g.fhir_id, g.resource FROM public.guardian_fhir_resources AS g
        WHERE g.patient_id = p_user_id
      UNION ALL
      SELECT 1, 'Consent', c.consent_id::text, c.resource FROM public.guardian_fhir_consents(p_user_id) AS c
    ) AS r
  );
END
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_bundle(uuid) IS
  'A patient''s whole record as a Bundle of type collection, Patient first; references between its entries resolve '
  'in it. For the patient and the server side.';
