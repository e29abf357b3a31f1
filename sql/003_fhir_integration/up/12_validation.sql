-- How complete a resource is, and the functions that callers use.

-- Weights of the elements a reader needs; an Observation's value is any of value[x], component or dataAbsentReason.
CREATE FUNCTION public.fhir_completeness(p_resource_type text, p_resource jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT round(coalesce(sum(w.weight::numeric) FILTER (WHERE EXISTS (
    SELECT FROM jsonb_object_keys(CASE WHEN jsonb_typeof(p_resource) = 'object' THEN p_resource ELSE '{}' END) AS k
    WHERE k ~ ('^(' || w.elements || ')$') AND p_resource -> k NOT IN ('null', '{}', '[]', '""'))), 0)
    / sum(w.weight), 2)
  FROM (VALUES
    ('Patient', 'identifier', 5), ('Patient', 'name', 4), ('Patient', 'birthDate', 1), ('Patient', 'telecom', 1),
    ('Practitioner', 'name', 3), ('Practitioner', 'identifier', 1), ('Practitioner', 'qualification', 1),
    ('Organization', 'name', 3), ('Organization', 'identifier|telecom|address', 1),
    ('Observation', 'status', 1), ('Observation', 'code', 3), ('Observation', 'subject', 2),
    ('Observation', 'value[A-Z].*|component|dataAbsentReason|hasMember', 3), ('Observation', 'effective[A-Z].*', 2),
    ('Observation', 'category', 1),
    ('MedicationStatement', 'status', 1), ('MedicationStatement', 'medication[A-Z].*', 3),
    ('MedicationStatement', 'subject', 2), ('MedicationStatement', 'effective[A-Z].*', 1),
    ('MedicationStatement', 'dosage', 2),
    ('MedicationRequest', 'status', 1), ('MedicationRequest', 'intent', 1),
    ('MedicationRequest', 'medication[A-Z].*', 3), ('MedicationRequest', 'subject', 2),
    ('MedicationRequest', 'dosageInstruction', 2), ('MedicationRequest', 'requester', 1),
    ('DocumentReference', 'status', 1), ('DocumentReference', 'content', 3), ('DocumentReference', 'subject', 2),
    ('DocumentReference', 'type', 1), ('DocumentReference', 'date', 1),
    ('Condition', 'code', 3), ('Condition', 'subject', 2), ('Condition', 'clinicalStatus|verificationStatus', 2),
    ('Condition', 'onset[A-Z].*|recordedDate|extension', 1),
    ('AllergyIntolerance', 'code', 3), ('AllergyIntolerance', 'patient', 2),
    ('AllergyIntolerance', 'clinicalStatus', 2), ('AllergyIntolerance', 'criticality|reaction', 1),
    ('Consent', 'status', 1), ('Consent', 'scope', 1), ('Consent', 'category', 1), ('Consent', 'patient', 2),
    ('Consent', 'policy|policyRule', 1), ('Consent', 'provision', 2), ('Consent', 'dateTime', 1),
    ('Bundle', 'type', 1), ('Bundle', 'entry', 3)
  ) AS w (resource_type, elements, weight)
  WHERE w.resource_type = p_resource_type
$$;
COMMENT ON FUNCTION public.fhir_completeness(text, jsonb) IS
  'Share of the elements that a reader of this type needs, weighted, 0 to 1; NULL for a type not known here.';

CREATE FUNCTION public.validate_fhir_resource(p_resource_type text, p_resource jsonb, p_source_system text)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
  -- A line each: whatever is not valid is a result.
  c_control constant text := '[\u0001-\u001F\u007F-\u009F\u2028\u2029]';
  v_type text := left(regexp_replace(p_resource_type, c_control, ' ', 'g'), 64);
  v_fhir_id text := CASE WHEN jsonb_typeof(p_resource -> 'id') = 'string'
    THEN left(regexp_replace(p_resource ->> 'id', c_control, ' ', 'g'), 64) END;
  v_source text := lower(regexp_replace(p_source_system, c_control, ' ', 'g'));
  v_reference text := coalesce(p_resource #>> '{subject,reference}', p_resource #>> '{patient,reference}');
  v_constraint text;
  v_column text;
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side validates resources';
  END IF;
  INSERT INTO public.fhir_validation_results (resource_type, resource_id, source_system, guardian_patient_id, is_valid,
    validation_errors, validation_warnings, validation_profile, completeness_score, consistency_score, mapping_status,
    guardian_resource_id)
  SELECT v_type, v_fhir_id, left(v_source, 200), m.patient_id, i.errors = '[]', i.errors,
    i.warnings, 'http://hl7.org/fhir/StructureDefinition/' || v_type,
    public.fhir_completeness(p_resource_type, p_resource), greatest(0, 1 - i.broken * 0.1),
    CASE WHEN i.errors <> '[]' THEN 'failed' WHEN m.id IS NOT NULL THEN 'mapped' ELSE 'pending' END, m.id
  FROM (
    SELECT coalesce(jsonb_agg(x.issue ORDER BY x.path, x.message) FILTER (WHERE x.severity = 'error'), '[]') AS errors,
      coalesce(jsonb_agg(x.issue ORDER BY x.path, x.message) FILTER (WHERE x.severity = 'warning'), '[]') AS warnings,
      count(*) FILTER (WHERE x.code = 'invariant') AS broken
    FROM (SELECT f.*, jsonb_build_object('path', f.path, 'code', f.code, 'message', f.message) AS issue
      FROM public.fhir_resource_issues(p_resource_type, p_resource) AS f) AS x
  ) AS i
  LEFT JOIN LATERAL (
    SELECT p.id, p.guardian_user_id AS patient_id FROM public.fhir_patient_mappings AS p
      WHERE p_resource_type = 'Patient' AND p.fhir_patient_id = v_fhir_id AND lower(p.source_system) = v_source
    UNION ALL SELECT o.id, o.guardian_patient_id FROM public.fhir_observations AS o
      WHERE p_resource_type = 'Observation' AND o.fhir_observation_id = v_fhir_id AND lower(o.source_system) = v_source
    UNION ALL SELECT r.id, r.guardian_patient_id FROM public.fhir_medication_requests AS r
      WHERE p_resource_type = 'MedicationRequest' AND r.fhir_request_id = v_fhir_id
        AND lower(r.source_system) = v_source
    UNION ALL SELECT d.id, d.guardian_patient_id FROM public.fhir_document_references AS d
      WHERE p_resource_type = 'DocumentReference' AND d.fhir_document_id = v_fhir_id
        AND lower(d.source_system) = v_source
    UNION ALL SELECT NULL, f.id FROM public.fhir_referenced_patient(v_reference, v_source) AS f (id)
      WHERE p_resource_type <> 'Patient' AND f.id IS NOT NULL
    UNION ALL SELECT NULL, u.id FROM auth.users AS u
      WHERE v_source = 'guardian' AND u.id = substring(CASE WHEN p_resource_type = 'Patient'
        THEN 'Patient/' || v_fhir_id ELSE v_reference END
        FROM '^Patient/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$')::uuid
    LIMIT 1
  ) AS m ON true
  RETURNING id INTO v_id;
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'fhir_validation_results', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.validate_fhir_resource(text, jsonb, text) IS
  'Validates a resource of a source system against R4 as far as fhir_element_rules goes, and stores the result; its '
  'id. A resource that is not valid is a result, not an error.';

CREATE FUNCTION public.run_fhir_test_cases()
RETURNS TABLE (test_name text, passed boolean, found_errors text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT t.test_name, (f.paths = '{}') = t.expected_valid AND f.paths @> t.expected_errors, f.paths
  FROM public.fhir_test_cases AS t
  CROSS JOIN LATERAL (SELECT ARRAY(SELECT DISTINCT i.path
    FROM public.fhir_resource_issues(t.resource_type, t.test_data) AS i
    WHERE i.severity = 'error' ORDER BY 1)) AS f (paths)
  WHERE t.is_active AND public.caller_is_operator() ORDER BY t.test_name
$$;
COMMENT ON FUNCTION public.run_fhir_test_cases() IS 'Runs fhir_test_cases through the validator; for operators.';
