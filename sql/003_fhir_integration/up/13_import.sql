-- Resources that come from other systems.
-- Nothing here writes to auth.users or to a v6 table. Whom a Patient is, is said by the caller or was said before; an
-- e-mail address, a name or an identifier inside the resource proves nothing.

CREATE FUNCTION public.require_valid_fhir(p_resource_type text, p_resource jsonb, p_source_system text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_errors text;
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side imports resources';
  ELSIF lower(coalesce(p_source_system, 'guardian')) = 'guardian' THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = 'p_source_system names the system it came from, and not guardian';
  ELSIF p_source_system !~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$' THEN
    -- The CHECK's own error would quote the resource.
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = 'p_source_system is a name of 1 to 200 letters, digits and . _ : / -';
  ELSIF octet_length(p_resource::text) > 16777216 THEN
    -- The bound of its column; asked before, since validating so much takes seconds.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'the resource has more than 16777216 bytes';
  END IF;
  SELECT string_agg(DISTINCT format('%s: %s', i.path, i.message), '; ') INTO v_errors
  FROM public.fhir_resource_issues(p_resource_type, p_resource) AS i WHERE i.severity = 'error';
  IF v_errors IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('the %s is not valid: %s', p_resource_type, left(v_errors, 1000));
  ELSIF p_resource -> 'id' IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('the %s has no id, by which it would be known again', p_resource_type);
  END IF;
END
$$;
COMMENT ON FUNCTION public.require_valid_fhir(text, jsonb, text) IS
  'Refuses a caller who may not import, and a resource that is not valid, naming elements and no values.';

-- Scheme and host are the same in either case, a path is not (RFC 3986, 6.2.2.1).
CREATE FUNCTION public.fhir_server(p_url text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT regexp_replace(lower(u.part[1]), '^(https://[^/]*):443$', '\1') || rtrim(u.part[2], '/')
  FROM (SELECT regexp_match(p_url, '^([Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+)(/[^?#]*)?$')) AS r (part),
    LATERAL (SELECT ARRAY[r.part[1], coalesce(r.part[2], '')]) AS u (part)
$$;
COMMENT ON FUNCTION public.fhir_server(text) IS
  'The address of a FHIR server in one spelling; NULL for what is none, or brings a user name.';

CREATE FUNCTION public.fhir_referenced_patient(p_reference text, p_source_system text) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN count(DISTINCT m.guardian_user_id) = 1 THEN min(m.guardian_user_id::text)::uuid END
  FROM (SELECT regexp_match(p_reference, '^(?:([^?#]+)/)?Patient/([A-Za-z0-9.-]{1,64})$')) AS r (part)
  JOIN public.fhir_patient_mappings AS m ON m.fhir_patient_id = r.part[2]
    AND lower(m.source_system) = CASE WHEN r.part[1] IS NULL THEN lower(p_source_system) ELSE (
      SELECT CASE WHEN bool_or(lower(e.system_name) = lower(p_source_system)) THEN lower(p_source_system)
        WHEN count(*) = 1 THEN min(lower(e.system_name)) END
      FROM public.fhir_endpoints AS e WHERE public.fhir_server(e.base_url) = public.fhir_server(r.part[1])) END
$$;
COMMENT ON FUNCTION public.fhir_referenced_patient(text, text) IS
  'The account of a Patient that a resource of a source refers to: of that source where the reference is relative, else of '
  'the endpoint whose address it begins with. NULL for another server''s, for one that several sources share, for none.';

CREATE FUNCTION public.fhir_to_guardian_patient(p_resource jsonb, p_source_system text, p_user_id uuid DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid;
  v_source text;
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  PERFORM public.require_valid_fhir('Patient', p_resource, p_source_system);
  SELECT m.guardian_user_id, m.source_system INTO v_user, v_source FROM public.fhir_patient_mappings AS m
  WHERE m.fhir_patient_id = p_resource ->> 'id' AND lower(m.source_system) = lower(p_source_system)
  ORDER BY m.source_system <> lower(p_source_system), m.source_system LIMIT 1;
  IF coalesce(v_user, p_user_id) IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'this Patient is linked to no account',
      HINT = 'Give p_user_id once, after the account''s owner has proved that he is this Patient.';
  ELSIF v_user <> p_user_id THEN
    RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'this Patient is linked to another account';
  ELSIF v_user IS NULL AND NOT EXISTS (SELECT FROM auth.users AS u WHERE u.id = p_user_id) THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'there is no such account';
  END IF;
  INSERT INTO public.fhir_patient_mappings
    (guardian_user_id, fhir_patient_id, source_system, resource, birth_date, deceased_datetime)
  VALUES (coalesce(v_user, p_user_id), p_resource ->> 'id', coalesce(v_source, lower(p_source_system)), p_resource,
    (public.fhir_time(p_resource ->> 'birthDate') AT TIME ZONE 'UTC')::date,
    public.fhir_time(p_resource ->> 'deceasedDateTime'))
  ON CONFLICT (fhir_patient_id, source_system) DO UPDATE SET resource = excluded.resource,
    birth_date = excluded.birth_date, deceased_datetime = excluded.deceased_datetime, last_sync = now(),
    sync_status = 'active', sync_errors = NULL
  -- Two first imports at once: the one that comes second must not change whom the other linked.
  WHERE fhir_patient_mappings.guardian_user_id = excluded.guardian_user_id
  RETURNING id, guardian_user_id INTO v_id, v_user;
  IF v_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'this Patient is linked to another account';
  END IF;
  PERFORM public.write_audit_log('public.fhir_patient_mappings', v_id::text, 'IMPORT', NULL);
  RETURN v_user;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'fhir_patient_mappings', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.fhir_to_guardian_patient(jsonb, text, uuid) IS
  'Stores the Patient of another system as the mapping of an account, and returns the account. It never makes nor '
  'changes an account: the first time the caller names it by p_user_id, afterwards the mapping does. For the server '
  'side.';

-- patient_lab_results demands a source document, which an import has not: the Observation stays in fhir_observations.
CREATE FUNCTION public.fhir_to_guardian_observation(p_resource jsonb, p_source_system text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_patient uuid;
  v_source text;
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  PERFORM public.require_valid_fhir('Observation', p_resource, p_source_system);
  v_patient := public.fhir_referenced_patient(p_resource #>> '{subject,reference}', p_source_system);
  IF v_patient IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002',
      MESSAGE = 'the subject is no Patient of this source that is linked to an account',
      HINT = 'Import the Patient first, by fhir_to_guardian_patient. A reference with an address is resolved by the endpoint of that address.';
  END IF;
  SELECT o.source_system INTO v_source FROM public.fhir_observations AS o
  WHERE o.fhir_observation_id = p_resource ->> 'id' AND lower(o.source_system) = lower(p_source_system)
  ORDER BY o.source_system <> lower(p_source_system), o.source_system LIMIT 1;
  INSERT INTO public.fhir_observations (guardian_patient_id, fhir_observation_id, source_system, resource,
    effective_datetime, effective_instant, issued, value_datetime)
  VALUES (v_patient, p_resource ->> 'id', coalesce(v_source, lower(p_source_system)), p_resource,
    public.fhir_time(p_resource ->> 'effectiveDateTime'), public.fhir_time(p_resource ->> 'effectiveInstant'),
    public.fhir_time(p_resource ->> 'issued'), public.fhir_time(p_resource ->> 'valueDateTime'))
  ON CONFLICT (fhir_observation_id, source_system) DO UPDATE SET resource = excluded.resource,
    effective_datetime = excluded.effective_datetime, effective_instant = excluded.effective_instant,
    issued = excluded.issued, value_datetime = excluded.value_datetime, last_sync = now(), sync_status = 'active',
    sync_errors = NULL
  WHERE fhir_observations.guardian_patient_id = excluded.guardian_patient_id
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'this Observation is another patient''s';
  END IF;
  PERFORM public.write_audit_log('public.fhir_observations', v_id::text, 'IMPORT', NULL);
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'fhir_observations', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.fhir_to_guardian_observation(jsonb, text) IS
  'Stores an Observation of another system, of whatever category and value type, and returns its row of '
  'fhir_observations. Its subject must be a Patient imported before. For the server side.';

-- What is of no account is found by no erasure, so it is kept for less than the month within which one is due (GDPR,
-- Article 12(3)).
CREATE FUNCTION public.expire_fhir_exchange(p_limit integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_until timestamptz := clock_timestamp() - interval '28 days';
  v_ids uuid[];
  v_count bigint;
  v_all bigint := 0;
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side expires what it exchanged';
  END IF;
  PERFORM public.require_read_committed();
  v_ids := ARRAY(SELECT m.id FROM public.hl7_messages AS m
    WHERE m.guardian_patient_id IS NULL AND m.received_at < v_until LIMIT p_limit FOR UPDATE SKIP LOCKED);
  -- A statement of its own: the message may have found its patient meanwhile.
  DELETE FROM public.hl7_messages AS m WHERE m.id = ANY (v_ids) AND m.guardian_patient_id IS NULL;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  v_all := v_all + v_count;
  DELETE FROM public.fhir_validation_results AS r WHERE r.id IN (SELECT o.id FROM public.fhir_validation_results AS o
    WHERE o.guardian_patient_id IS NULL AND o.created_at < v_until LIMIT p_limit);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  v_all := v_all + v_count;
  -- Of ended jobs only: one that still runs would be about more accounts without its filter.
  v_ids := ARRAY(SELECT j.id FROM public.fhir_sync_jobs AS j
    WHERE j.patient_filter IS NULL AND num_nonnulls(j.resource_filter, j.date_filter) > 0
      AND j.status IN ('completed', 'failed', 'cancelled') AND coalesce(j.completed_at, j.created_at) < v_until
    LIMIT p_limit FOR UPDATE SKIP LOCKED);
  UPDATE public.fhir_sync_jobs AS j SET resource_filter = NULL, date_filter = NULL WHERE j.id = ANY (v_ids);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_all + v_count;
END
$$;
COMMENT ON FUNCTION public.expire_fhir_exchange(integer) IS
  'Takes away what was exchanged more than 28 days ago and is of no account: HL7 messages with what was made of them, '
  'validation results, the search parameters of ended jobs; how many rows. For a clock job, once a day: at most p_limit of '
  'each kind a call, so call again until it is 0, each time in a transaction of its own.';
