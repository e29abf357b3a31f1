-- Is this a v6, and is all of it in v7?

CREATE FUNCTION public.assess_v6_installation()
RETURNS TABLE (assessment_item text, current_status text, migration_readiness text, action_required text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  v_missing text;
  v_odd text;
  v_users bigint;
  v_extension boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'uuid-ossp');
BEGIN
  RETURN QUERY SELECT 'Database Extensions', CASE WHEN v_extension THEN 'Installed' ELSE 'Missing' END,
    CASE WHEN v_extension THEN 'Ready' ELSE 'Requires Installation' END,
    CASE WHEN v_extension THEN 'None' ELSE 'CREATE EXTENSION "uuid-ossp": defaults of v6 call it' END;

  SELECT string_agg(r.relation, ', ') FILTER (WHERE to_regclass(r.relation) IS NULL),
    string_agg(r.relation, ', ') FILTER (WHERE to_regclass(r.relation) IS NOT NULL AND EXISTS (
      SELECT FROM unnest(r.needed_columns) AS n WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass(r.relation) AND a.attname = n AND NOT a.attisdropped)))
  INTO v_missing, v_odd FROM public.v6_relations() AS r;
  RETURN QUERY SELECT 'Core Tables',
    CASE WHEN v_missing IS NOT NULL THEN 'Missing: ' || v_missing
      WHEN v_odd IS NOT NULL THEN 'Not as v6 shipped: ' || v_odd ELSE 'Present' END,
    CASE WHEN coalesce(v_missing, v_odd) IS NULL THEN 'Ready' ELSE 'Core Migration Required' END,
    CASE WHEN v_missing IS NOT NULL THEN 'Deploy core schema first'
      WHEN v_odd IS NOT NULL THEN 'Find out which schema this is' ELSE 'None' END;

  IF to_regclass('auth.users') IS NOT NULL THEN
    SELECT count(*) INTO v_users FROM auth.users;
  END IF;
  RETURN QUERY SELECT 'User Data Count', coalesce(v_users, 0) || ' users',
    CASE WHEN v_users > 0 THEN 'Data Present' ELSE 'No Data' END,
    CASE WHEN v_users > 0 THEN 'Plan user data migration' ELSE 'None' END;
END
$$;
COMMENT ON FUNCTION public.assess_v6_installation() IS
  'Whether this database is a v6: the guide''s three lines, each looking at what it says. More: assess_v6_details().';

CREATE FUNCTION public.assess_v6_details()
RETURNS TABLE (assessment_item text, current_status text, migration_readiness text, action_required text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  v_http boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'http');
  v_recent boolean := current_setting('server_version_num')::integer >= 150000;
BEGIN
  RETURN QUERY SELECT 'Row Counts', string_agg(format('%s %s', c.row_count, lower(c.entity)), ', '), 'Note', 'None'
  FROM public.count_v6_rows('infinity') AS c;
  RETURN QUERY SELECT 'Document Normalization',
    CASE WHEN v_http THEN 'Extension http installed' ELSE 'Extension http missing' END, 'Note',
    CASE WHEN v_http THEN 'None' ELSE 'None: normalization ends as failed under v6 too, no data is lost by it' END;
  RETURN QUERY SELECT 'Server Version', current_setting('server_version'),
    CASE WHEN v_recent THEN 'Ready' ELSE 'Not Ready' END,
    CASE WHEN v_recent THEN 'None' ELSE 'Upgrade to PostgreSQL 15 or later' END;
  RETURN QUERY SELECT 'v7 Features', count(*) || ' flags on', 'Note', 'None' FROM public.feature_flags AS f WHERE f.enabled;
END
$$;
COMMENT ON FUNCTION public.assess_v6_details() IS
  'What assess_v6_installation() has no line for: rows of each v6 table, extension http, server version, flags that are on.';

CREATE FUNCTION public.validate_v7_migration()
RETURNS TABLE (entity text, v6_count bigint, v7_count bigint, migration_status text, compared text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  v_then timestamptz := (SELECT min(c.counted_at) FROM public.v6_row_counts AS c);
  v_target record;
BEGIN
  -- v6 itself: what there was then, and what of it there is now.
  FOR entity, v6_count, v7_count IN
    SELECT b.entity, b.row_count, coalesce(n.row_count, 0)
    FROM public.v6_relations() WITH ORDINALITY AS r (entity, relation, needed_columns, place)
    JOIN public.v6_row_counts AS b ON b.entity = r.entity
    LEFT JOIN public.count_v6_rows(v_then) AS n ON n.entity = r.entity ORDER BY r.place
  LOOP
    compared := format('rows of %s, and how many of these are there now; v6 itself deletes rows too', v_then);
    migration_status := CASE WHEN v7_count = v6_count THEN '✅ Complete' WHEN v7_count > v6_count THEN '⚠️ Extra data'
      ELSE '❌ Data loss' END;
    RETURN NEXT;
  END LOOP;
  -- What v7 made of it, key by key: rows of v6 that have their row in v7, and rows of v7 that have none in v6.
  FOR v_target IN
    SELECT t.* FROM (VALUES
      ('User Preferences', 'public.user_preferences', 'user_id', 'auth.users',
        's.created_at <= $1 OR s.created_at IS NULL', 'true', true),
      ('Consents', 'public.patient_consents', 'patient_id', 'auth.users', 's.created_at > ''0001-01-01'' AND s.created_at < $1 - interval ''1 day''
          AND (SELECT deleted_at FROM (SELECT s.*) AS account) IS NULL',
        't.consent_type = ''data_sharing'' AND t.purpose = ''healthcare_services''', true),
      ('FHIR Patients', 'public.fhir_patient_mappings', 'guardian_user_id', 'auth.users', 'true', 'true', false),
      ('FHIR Documents', 'public.fhir_document_references', 'guardian_document_id', 'public.documents',
        's.user_id IS NOT NULL', 'true', false),
      ('FHIR Medications', 'public.fhir_medication_requests', 'guardian_medication_id', 'public.patient_medications',
        's.user_id IS NOT NULL', 'true', false),
      ('FHIR Lab Results', 'public.fhir_observations', 'guardian_lab_result_id', 'public.patient_lab_results',
        's.user_id IS NOT NULL', 'true', false)
    ) AS t (name, target, key, source, of_source, of_target, always)
    WHERE EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass(t.target) AND a.attname = t.key)
  LOOP
    EXECUTE format(
      'SELECT count(*), count(*) FILTER (WHERE has)
         + (SELECT count(*) FROM (SELECT DISTINCT t.%2$I AS key FROM %1$s AS t WHERE (%5$s) AND t.%2$I IS NOT NULL) AS k
            WHERE NOT EXISTS (SELECT FROM %3$s AS s WHERE s.id = k.key))
       FROM (SELECT EXISTS (SELECT FROM %1$s AS t WHERE t.%2$I = s.id AND (%5$s)) AS has
             FROM %3$s AS s, (SELECT NULL::timestamptz AS deleted_at) AS otherwise WHERE $1 IS NOT NULL AND (%4$s)) AS p',
      to_regclass(v_target.target), v_target.key, to_regclass(v_target.source), v_target.of_source, v_target.of_target)
    INTO v6_count, v7_count USING v_then;
    -- Mapping rows are made on request: none at all is no loss.
    CONTINUE WHEN NOT v_target.always AND v7_count = 0;
    entity := v_target.name;
    compared := format('rows of %s that %s owes a row, and how many have one', v_target.source, v_target.target);
    migration_status := CASE WHEN v7_count = v6_count THEN '✅ Complete' WHEN v7_count > v6_count THEN '⚠️ Extra data'
      ELSE '❌ Data loss' END;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION public.validate_v7_migration() IS
  'The validation report: every v6 table against what it held before, and what v7 made of it, by keys. Read-only.';
