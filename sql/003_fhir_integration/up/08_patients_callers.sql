-- Patients, and the functions by which a caller gets one resource.

-- user_profiles is optional in v6 and its columns are not certain, hence the text. What is missing reads as NULL. Where
-- its user_id is not unique the first row in order of its values is taken; where it is, a plain join lets the planner
-- choose.
CREATE FUNCTION public.fhir_patient_query() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_table regclass := to_regclass('public.user_profiles');
  v_key int2 := (SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = v_table AND a.attname = 'user_id'
    AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped);
  v_deleted text := CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass('auth.users')
    AND a.attname = 'deleted_at' AND NOT a.attisdropped) THEN 'u.deleted_at IS NULL' ELSE 'true' END;
  v_profile text := 'SELECT NULL::uuid AS user_id, NULL::text AS first_name, NULL::text AS last_name, '
    'NULL::text AS phone, NULL::date AS date_of_birth WHERE false';
  -- fhir_text written out: over all accounts its calls would cost half the time.
  c_text constant text := $e$nullif(btrim(regexp_replace(%s,
    '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u00A0]', ' ', 'g'), E' \t\r\n'), '')$e$;
BEGIN
  IF v_key IS NOT NULL THEN
    SELECT format('SELECT %s user_id, %s FROM %s %s',
      CASE WHEN NOT k.is_unique THEN 'DISTINCT ON (user_id)' END,
      string_agg(CASE WHEN a.attname IS NULL THEN format('NULL::%s AS %I', w.type, w.name)
        ELSE format('%I::%s', w.name, w.type) END, ', ' ORDER BY w.place),
      v_table, CASE WHEN NOT k.is_unique THEN 'ORDER BY user_id, 2, 3, 4, 5' END)
    INTO v_profile
    FROM (VALUES (1, 'first_name', 'text'), (2, 'last_name', 'text'), (3, 'phone', 'text'),
      (4, 'date_of_birth', 'date')) AS w (place, name, type)
    LEFT JOIN (pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid) ON a.attrelid = v_table
      AND a.attname = w.name AND NOT a.attisdropped
      AND CASE w.type WHEN 'date' THEN t.oid = 'date'::regtype ELSE t.typcategory = 'S' END
    CROSS JOIN (SELECT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = v_table AND i.indisunique
      AND i.indnkeyatts = 1 AND i.indkey[0] = v_key AND i.indpred IS NULL) AS is_unique) AS k
    GROUP BY k.is_unique;
  END IF;
  RETURN $q$
    SELECT u.id AS patient_id,
      '1 ' || md5(ROW(u.email, u.phone, $q$ || v_deleted || $q$, u.raw_user_meta_data -> 'name', p.first_name,
        p.last_name, p.phone, extract(epoch FROM p.date_of_birth))::text) AS source_version,
      jsonb_strip_nulls(jsonb_build_object(
        'resourceType', 'Patient',
        'id', u.id,
        'identifier', jsonb_build_array(jsonb_build_object(
          'use', 'usual', 'system', 'https://guardian.health/patient-id', 'value', u.id)),
        'active', $q$ || v_deleted || $q$,
        'name', CASE
          WHEN num_nonnulls(t.family, t.given) > 0 THEN jsonb_build_array(jsonb_build_object('use', 'official',
            'family', t.family, 'given', CASE WHEN t.given IS NOT NULL THEN jsonb_build_array(t.given) END))
          WHEN t.display IS NOT NULL THEN jsonb_build_array(jsonb_build_object('use', 'usual', 'text', t.display)) END,
        'telecom', CASE
          WHEN t.email IS NOT NULL AND t.phone IS NOT NULL THEN jsonb_build_array(
            jsonb_build_object('system', 'email', 'value', t.email, 'use', 'home'),
            jsonb_build_object('system', 'phone', 'value', t.phone))
          WHEN t.email IS NOT NULL
            THEN jsonb_build_array(jsonb_build_object('system', 'email', 'value', t.email, 'use', 'home'))
          WHEN t.phone IS NOT NULL THEN jsonb_build_array(jsonb_build_object('system', 'phone', 'value', t.phone)) END,
        'birthDate',
          CASE WHEN p.date_of_birth BETWEEN '0001-01-01' AND '9999-12-31' THEN p.date_of_birth END)) AS resource
    FROM auth.users AS u
    LEFT JOIN ($q$ || v_profile || $q$) AS p ON p.user_id = u.id
    CROSS JOIN LATERAL (
      SELECT $q$ || format(c_text, 'p.last_name') || ' AS family, ' || format(c_text, 'p.first_name') || ' AS given, '
        || format(c_text, 'u.email') || ' AS email, '
        || format('coalesce(%s, %s) AS phone, ', format(c_text, 'p.phone'), format(c_text, 'u.phone'))
        || $q$CASE WHEN jsonb_typeof(u.raw_user_meta_data -> 'name') = 'string'
          THEN $q$ || format(c_text, 'u.raw_user_meta_data ->> ''name''') || $q$ END AS display
      OFFSET 0
    ) AS t $q$;
END
$$;
COMMENT ON FUNCTION public.fhir_patient_query() IS
  'The query that builds the Patient of every account (patient_id, source_version, resource), for this database.';

CREATE FUNCTION public.guardian_fhir_patients(p_user_ids uuid[] DEFAULT NULL)
RETURNS TABLE (patient_id uuid, source_version text, resource jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (p_user_ids = ARRAY[auth.uid()]) IS NOT TRUE AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a user may export himself only';
  END IF;
  -- Without a list no condition at all, so that the planner knows the size of what comes.
  RETURN QUERY EXECUTE public.fhir_patient_query()
    || CASE WHEN p_user_ids IS NULL THEN '' ELSE 'WHERE u.id = ANY ($1)' END USING p_user_ids;
END
$$;
COMMENT ON FUNCTION public.guardian_fhir_patients(uuid[]) IS
  'The Patient of the accounts named, or of all. Users may ask for themselves, server side and operators for anyone.';

CREATE FUNCTION public.guardian_to_fhir_patient(p_user_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_resource jsonb;
BEGIN
  SELECT p.resource INTO v_resource FROM public.guardian_fhir_patients(ARRAY[p_user_id]) AS p;
  IF v_resource IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'there is no such account';
  END IF;
  RETURN v_resource;
END
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_patient(uuid) IS
  'The Patient of an account. Users may ask for themselves, the server side and operators for anyone.';

CREATE FUNCTION public.guardian_to_fhir_observation(p_lab_result_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT o.resource FROM public.guardian_fhir_lab_observations AS o WHERE o.source_id = p_lab_result_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_observation(uuid) IS
  'The Observation of a laboratory result; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_vital_observations(p_vital_id uuid) RETURNS SETOF jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT o.resource FROM public.guardian_fhir_vital_observations AS o WHERE o.source_id = p_vital_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_vital_observations(uuid) IS
  'The Observations of a row of vitals, one a measure; none if the caller may not read it.';

CREATE FUNCTION public.guardian_to_fhir_medication_statement(p_medication_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.resource FROM public.guardian_fhir_medication_statements AS m WHERE m.source_id = p_medication_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_medication_statement(uuid) IS
  'The MedicationStatement of a medication; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_medication_request(p_medication_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.resource FROM public.guardian_fhir_medication_requests AS m WHERE m.source_id = p_medication_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_medication_request(uuid) IS
  'The MedicationRequest of a medication; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_document_reference(p_document_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.resource FROM public.guardian_fhir_document_references AS d WHERE d.source_id = p_document_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_document_reference(uuid) IS
  'The DocumentReference of a document; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_condition(p_condition_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.resource FROM public.guardian_fhir_conditions AS c WHERE c.source_id = p_condition_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_condition(uuid) IS
  'The Condition of a condition; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_allergy_intolerance(p_allergy_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.resource FROM public.guardian_fhir_allergy_intolerances AS a WHERE a.source_id = p_allergy_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_allergy_intolerance(uuid) IS
  'The AllergyIntolerance of an allergy; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_practitioner(p_provider_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.resource FROM public.guardian_fhir_practitioners AS p WHERE p.source_id = p_provider_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_practitioner(uuid) IS
  'The Practitioner of a provider, or its Organization; NULL if there is none that the caller may read.';
