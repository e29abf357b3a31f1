-- The mapping rows of what v6 holds.

-- source_version is compared for being another, not a later one: v6's updated_at is the start of a transaction, so a
-- row may become visible long after a refresh with a time before it. The owner is compared too: row security goes by it,
-- and a document's digest does not have it. Only rows that differ are built. Texts and not statements, so that they are
-- planned for what is asked: one plan for all patients is no plan for a single one.
CREATE FUNCTION public.write_fhir_mapping(p_mapping text, p_patient_id uuid, p_limit integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_insert text;
  v_source text;
  v_key text := 'b.fhir_id';
  v_update text;
  v_bad text[] := ARRAY(SELECT a.record_key FROM public.audit_log AS a WHERE a.table_name = 'public.' || p_mapping
    AND a.action = 'PASSED_OVER' AND a.occurred_at > clock_timestamp() - interval '1 day');
  v_keys text[] := '{}';
  v_from integer := 1;
  v_until integer;
  v_size integer;
  v_count bigint := 0;
  v_rows bigint;
  v_passed bigint := 0;
BEGIN
  CASE p_mapping
    WHEN 'fhir_patient_mappings' THEN
      v_key := 'b.patient_id::text';
      v_insert := 'INSERT INTO public.fhir_patient_mappings
          (guardian_user_id, fhir_patient_id, source_system, resource, birth_date, source_version)
        SELECT b.patient_id, b.patient_id, ''guardian'', b.resource, (b.resource ->> ''birthDate'')::date, b.source_version';
      v_source := format('FROM (%s %s) AS b
        LEFT JOIN public.fhir_patient_mappings AS m
          ON m.fhir_patient_id = b.patient_id::text AND m.source_system = ''guardian''
        WHERE m.source_version IS DISTINCT FROM b.source_version',
        public.fhir_patient_query(), CASE WHEN p_patient_id IS NOT NULL THEN 'WHERE u.id = $1' END);
      v_update := '(fhir_patient_id, source_system) DO UPDATE SET birth_date = excluded.birth_date';
    WHEN 'fhir_observations' THEN
      v_insert := 'INSERT INTO public.fhir_observations (guardian_patient_id, fhir_observation_id, source_system, resource,
          effective_datetime, guardian_lab_result_id, guardian_vital_id, source_version)
        SELECT b.patient_id, b.fhir_id, ''guardian'', b.resource, b.effective_date::timestamp AT TIME ZONE ''UTC'', b.lab_id,
          b.vital_id, b.source_version';
      v_source := 'FROM (
          SELECT l.patient_id, l.fhir_id, l.resource, l.effective_date, l.source_id AS lab_id, NULL::uuid AS vital_id,
            l.source_version FROM public.guardian_fhir_lab_observations AS l
          UNION ALL
          SELECT v.patient_id, v.fhir_id, v.resource, v.effective_date, NULL, v.source_id, v.source_version
            FROM public.guardian_fhir_vital_observations AS v
        ) AS b
        LEFT JOIN public.fhir_observations AS m ON m.fhir_observation_id = b.fhir_id AND m.source_system = ''guardian''
        WHERE (m.source_version, m.guardian_patient_id) IS DISTINCT FROM (b.source_version, b.patient_id)
          AND ($1 IS NULL OR b.patient_id = $1)';
      v_update := '(fhir_observation_id, source_system) DO UPDATE SET guardian_patient_id = excluded.guardian_patient_id,
        effective_datetime = excluded.effective_datetime';
    WHEN 'fhir_medication_requests' THEN
      v_insert := 'INSERT INTO public.fhir_medication_requests (guardian_patient_id, fhir_request_id, source_system, resource,
          authored_on, guardian_medication_id, source_version)
        SELECT b.patient_id, b.fhir_id, ''guardian'', b.resource, b.start_date::timestamp AT TIME ZONE ''UTC'', b.source_id,
          b.source_version';
      v_source := 'FROM public.guardian_fhir_medication_requests AS b
        LEFT JOIN public.fhir_medication_requests AS m ON m.fhir_request_id = b.fhir_id AND m.source_system = ''guardian''
        WHERE (m.source_version, m.guardian_patient_id) IS DISTINCT FROM (b.source_version, b.patient_id)
          AND ($1 IS NULL OR b.patient_id = $1)';
      v_update := '(fhir_request_id, source_system) DO UPDATE SET guardian_patient_id = excluded.guardian_patient_id,
        authored_on = excluded.authored_on';
    WHEN 'fhir_document_references' THEN
      v_insert := 'INSERT INTO public.fhir_document_references (guardian_patient_id, fhir_document_id, source_system, resource,
          date, guardian_document_id, source_version)
        SELECT b.patient_id, b.fhir_id, ''guardian'', b.resource, b.created_at, b.source_id, b.source_version';
      v_source := 'FROM public.guardian_fhir_document_references AS b
        LEFT JOIN public.fhir_document_references AS m ON m.fhir_document_id = b.fhir_id AND m.source_system = ''guardian''
        WHERE (m.source_version, m.guardian_patient_id) IS DISTINCT FROM (b.source_version, b.patient_id)
          AND ($1 IS NULL OR b.patient_id = $1)';
      v_update := '(fhir_document_id, source_system) DO UPDATE SET guardian_patient_id = excluded.guardian_patient_id,
        date = excluded.date';
  END CASE;
  v_update := ' ON CONFLICT ' || v_update || ', resource = excluded.resource, source_version = excluded.source_version,
    last_sync = now(), sync_status = ''active'', sync_errors = NULL';
  -- Without what was passed over today: that costs the others nothing.
  BEGIN
    EXECUTE concat_ws(' ', v_insert, v_source, 'AND', v_key, '<> ALL ($3) LIMIT $2', v_update) USING p_patient_id, p_limit, v_bad;
    GET DIAGNOSTICS v_count = ROW_COUNT;
  EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
    EXECUTE format('SELECT ARRAY(SELECT %s %s AND %1$s <> ALL ($3) LIMIT $2)', v_key, v_source)
    INTO v_keys USING p_patient_id, p_limit, v_bad;
  END;
  -- A row of v6 is at fault: one is among the keys up to v_until. It is found by halves, and from there on the statements grow
  -- again: a few in all, and not one a row.
  v_until := cardinality(v_keys);
  v_size := greatest(v_until / 2, 1);
  WHILE v_from <= cardinality(v_keys) LOOP
    BEGIN
      EXECUTE concat_ws(' ', v_insert, v_source, 'AND', v_key, '= ANY ($3) LIMIT $2', v_update)
      USING p_patient_id, p_limit, v_keys[v_from : v_from + v_size - 1];
      GET DIAGNOSTICS v_rows = ROW_COUNT;
      v_count := v_count + v_rows;
      v_from := v_from + v_size;
      v_size := CASE WHEN v_from > v_until THEN v_size * 2 ELSE greatest((v_until - v_from + 1) / 2, 1) END;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
      v_until := v_from + v_size - 1;
      IF v_size = 1 THEN
        PERFORM public.pass_over('public.' || p_mapping, v_keys[v_from]);
        v_passed := v_passed + 1;
        v_from := v_from + 1;
      END IF;
      v_size := greatest(v_size / 2, 1);
    END;
  END LOOP;
  IF v_bad <> '{}' THEN
    BEGIN
      -- All at once: they may have been mended. If one was not, they wait for tomorrow.
      EXECUTE concat_ws(' ', v_insert, v_source, 'AND', v_key, '= ANY ($3) LIMIT $2', v_update)
      USING p_patient_id, p_limit - v_count, v_bad;
      GET DIAGNOSTICS v_rows = ROW_COUNT;
      v_count := v_count + v_rows;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
      NULL;
    END;
  END IF;
  IF v_passed > 0 THEN
    RAISE WARNING '% rows for % were passed over: audit_log has their keys (PASSED_OVER)', v_passed, p_mapping;
  END IF;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.write_fhir_mapping(text, uuid, integer) IS
  'Writes what differs of one mapping table, and passes over what v6 holds that it does not take.';

CREATE FUNCTION public.refresh_fhir_mappings(p_patient_id uuid DEFAULT NULL, p_limit integer DEFAULT NULL)
RETURNS TABLE (mapping text, written bigint, removed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = 'force_custom_plan' AS $$
DECLARE
  v_written bigint;
  v_removed bigint;
  v_consents uuid[];
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side refreshes the mappings';
  END IF;
  PERFORM public.require_read_committed();
  -- Two refreshes at once would build the same rows and wait for each other's keys.
  PERFORM pg_advisory_xact_lock(3, 'public.fhir_patient_mappings'::regclass::oid::integer);

  v_written := public.write_fhir_mapping('fhir_patient_mappings', p_patient_id, p_limit);
  RETURN QUERY SELECT 'fhir_patient_mappings', v_written, 0::bigint; -- a deleted account takes its row with it

  DELETE FROM public.fhir_observations AS m
  WHERE m.source_system = 'guardian' AND (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_lab_observations AS b
      WHERE b.fhir_id = m.fhir_observation_id AND b.patient_id = m.guardian_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_vital_observations AS b
      WHERE b.fhir_id = m.fhir_observation_id AND b.patient_id = m.guardian_patient_id);
  GET DIAGNOSTICS v_removed = ROW_COUNT;
  v_written := public.write_fhir_mapping('fhir_observations', p_patient_id, p_limit);
  RETURN QUERY SELECT 'fhir_observations', v_written, v_removed;

  DELETE FROM public.fhir_medication_requests AS m
  WHERE m.source_system = 'guardian' AND (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_medication_requests AS b
      WHERE b.source_id = m.guardian_medication_id AND b.patient_id = m.guardian_patient_id);
  GET DIAGNOSTICS v_removed = ROW_COUNT;
  v_written := public.write_fhir_mapping('fhir_medication_requests', p_patient_id, p_limit);
  RETURN QUERY SELECT 'fhir_medication_requests', v_written, v_removed;

  DELETE FROM public.fhir_document_references AS m
  WHERE m.source_system = 'guardian' AND (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_document_references AS b
      WHERE b.source_id = m.guardian_document_id AND b.patient_id = m.guardian_patient_id);
  GET DIAGNOSTICS v_removed = ROW_COUNT;
  v_written := public.write_fhir_mapping('fhir_document_references', p_patient_id, p_limit);
  RETURN QUERY SELECT 'fhir_document_references', v_written, v_removed;

  v_removed := 0;
  IF to_regclass('public.patient_consents') IS NOT NULL THEN
    DELETE FROM public.consent_fhir_mappings AS m
    WHERE (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
      AND NOT EXISTS (SELECT FROM public.patient_consents AS c WHERE c.id = m.consent_id);
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    -- A consent also changes by time alone: at its end.
    v_consents := ARRAY(
      SELECT c.id FROM public.patient_consents AS c
      LEFT JOIN public.consent_fhir_mappings AS m ON m.consent_id = c.id
      WHERE (p_patient_id IS NULL OR c.patient_id = p_patient_id) AND (m.id IS NULL
        OR m.source_version NOT LIKE '1 % ' || extract(epoch FROM c.updated_at)
        OR m.fhir_status = 'active' AND c.valid_until <= statement_timestamp())
      LIMIT p_limit);
  END IF;
  INSERT INTO public.consent_fhir_mappings
    (consent_id, guardian_patient_id, fhir_resource_id, resource, source_version)
  SELECT b.consent_id, b.patient_id, b.consent_id, b.resource, b.source_version
  FROM public.guardian_fhir_consents(NULL, coalesce(v_consents, '{}')) AS b
  ON CONFLICT (consent_id) DO UPDATE SET resource = excluded.resource, source_version = excluded.source_version,
    last_fhir_sync = now(), fhir_sync_status = 'pending', fhir_sync_errors = NULL;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN QUERY SELECT 'consent_fhir_mappings', v_written, v_removed;
END
$$;
COMMENT ON FUNCTION public.refresh_fhir_mappings(uuid, integer) IS
  'Brings the mapping rows built from Guardian''s own data up to date, of one patient or of all, at most p_limit '
  'written a table: call again until nothing is written. Says what it wrote and removed. For the server side.';
