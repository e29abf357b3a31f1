-- What the operator runs. Reads v6 and the other modules; locks nothing of v6, changes flags and sessions only.

CREATE TABLE public.v6_row_counts (
  entity text NOT NULL CONSTRAINT v6_row_counts_pkey PRIMARY KEY,
  relation text NOT NULL,
  row_count bigint NOT NULL CONSTRAINT v6_row_counts_row_count_check CHECK (row_count >= 0),
  counted_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.v6_row_counts IS
  'How many rows v6 had before its data was migrated, counted when this module was applied.';
COMMENT ON COLUMN public.v6_row_counts.entity IS 'Name in the validation report.';
COMMENT ON COLUMN public.v6_row_counts.relation IS 'Schema and table of v6.';
COMMENT ON COLUMN public.v6_row_counts.row_count IS 'Rows created until counted_at, or without a time of creation.';

CREATE TABLE public.v6_query_times (
  test_name text NOT NULL CONSTRAINT v6_query_times_pkey PRIMARY KEY,
  runs integer NOT NULL CONSTRAINT v6_query_times_runs_check CHECK (runs > 0),
  p50_ms numeric NOT NULL,
  p95_ms numeric NOT NULL,
  measured_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.v6_query_times IS
  'How long v6''s own queries took on this database before its data was migrated: the baseline of test_v7_performance().';
COMMENT ON COLUMN public.v6_query_times.runs IS 'Timed runs; the first over each account is not timed.';
COMMENT ON COLUMN public.v6_query_times.p50_ms IS 'Median, milliseconds in the server.';
COMMENT ON COLUMN public.v6_query_times.p95_ms IS '95th percentile, milliseconds in the server.';

CREATE FUNCTION public.v6_relations() RETURNS TABLE (entity text, relation text, needed_columns text[])
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  VALUES
    ('Users', 'auth.users', '{id,email,created_at}'::text[]),
    ('Documents', 'public.documents', '{id,user_id,s3_key,original_name,status,medical_data,created_at}'),
    ('Medications', 'public.patient_medications', '{id,user_id,medication_name,source_document_ids,created_at}'),
    ('Allergies', 'public.patient_allergies', '{id,user_id,allergen,source_document_ids,created_at}'),
    ('Conditions', 'public.patient_conditions', '{id,user_id,condition_name,source_document_ids,created_at}'),
    ('Lab Results', 'public.patient_lab_results', '{id,user_id,test_name,result_value,source_document_id,created_at}'),
    ('Vitals', 'public.patient_vitals', '{id,user_id,measurement_date,source_document_id,created_at}'),
    ('Providers', 'public.patient_providers', '{id,user_id,provider_name,source_document_ids,created_at}')
$$;
COMMENT ON FUNCTION public.v6_relations() IS 'The tables of v6, and the columns by which they are told from others.';

CREATE FUNCTION public.count_v6_rows(p_until timestamptz)
RETURNS TABLE (entity text, relation text, row_count bigint) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  FOR entity, relation IN SELECT r.entity, r.relation FROM public.v6_relations() AS r LOOP
    CONTINUE WHEN to_regclass(relation) IS NULL;
    EXECUTE format('SELECT count(*) FROM %s WHERE created_at <= $1 OR created_at IS NULL', to_regclass(relation))
      INTO row_count USING p_until;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION public.count_v6_rows(timestamptz) IS
  'Rows of each v6 table that were created until a time, or without one.';

-- The queries of the guide and two more, each for up to 20 accounts and p_rounds times after an untimed round. Run as the
-- owner: row security is not in the figures, the condition that it adds (user_id) is.
CREATE FUNCTION public.time_v6_queries(p_rounds integer)
RETURNS TABLE (test_name text, runs integer, p50_ms numeric, p95_ms numeric)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_account record;
  v_began timestamptz;
  v_ms double precision[];
BEGIN
  FOREACH test_name IN ARRAY ARRAY['User Authentication', 'Document Listing', 'Medication List', 'Lab Results'] LOOP
    v_ms := '{}';
    FOR i IN 0..p_rounds LOOP
      FOR v_account IN
        SELECT u.id, u.email FROM auth.users AS u WHERE u.email IS NOT NULL AND NOT u.is_sso_user ORDER BY u.id LIMIT 20
      LOOP
        v_began := clock_timestamp();
        CASE test_name
          WHEN 'User Authentication' THEN
            PERFORM u.id FROM auth.users AS u WHERE u.email = v_account.email AND u.is_sso_user = false;
          WHEN 'Document Listing' THEN
            PERFORM d.id FROM public.documents AS d WHERE d.user_id = v_account.id LIMIT 50;
          WHEN 'Medication List' THEN
            PERFORM m.id FROM public.patient_medications AS m WHERE m.user_id = v_account.id AND m.status = 'active';
          ELSE
            PERFORM l.id FROM public.patient_lab_results AS l WHERE l.user_id = v_account.id
            ORDER BY l.test_date DESC LIMIT 50;
        END CASE;
        IF i > 0 THEN
          v_ms := v_ms || extract(epoch FROM clock_timestamp() - v_began)::double precision * 1000;
        END IF;
      END LOOP;
    END LOOP;
    runs := cardinality(v_ms);
    SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY t)::numeric, 3),
      round(percentile_cont(0.95) WITHIN GROUP (ORDER BY t)::numeric, 3)
    INTO p50_ms, p95_ms FROM unnest(v_ms) AS t;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION public.time_v6_queries(integer) IS
  'Times what v6 asks most, repeatedly and for real accounts; NULL where there is no account.';

CREATE FUNCTION public.assess_v6_installation()
RETURNS TABLE (assessment_item text, current_status text, migration_readiness text, action_required text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  v_missing text;
  v_odd text;
  v_users bigint;
  v_extension boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'uuid-ossp');
  v_http boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'http');
  v_modules bigint;
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
    CASE WHEN v_missing IS NULL THEN 'Present' ELSE 'Missing: ' || v_missing END,
    CASE WHEN v_missing IS NULL THEN 'Ready' ELSE 'Core Migration Required' END,
    CASE WHEN v_missing IS NULL THEN 'None' ELSE 'Deploy core schema first' END;

  IF to_regclass('auth.users') IS NOT NULL THEN
    SELECT count(*) INTO v_users FROM auth.users;
  END IF;
  RETURN QUERY SELECT 'User Data Count', coalesce(v_users, 0) || ' users',
    CASE WHEN v_users > 0 THEN 'Data Present' ELSE 'No Data' END,
    CASE WHEN v_users > 0 THEN 'Plan user data migration' ELSE 'None' END;

  RETURN QUERY SELECT 'Schema Version',
    CASE WHEN v_odd IS NOT NULL THEN 'Not the v6 that shipped: ' || v_odd WHEN v_missing IS NULL THEN 'v6 as shipped'
      ELSE 'Incomplete' END,
    CASE WHEN v_odd IS NULL AND v_missing IS NULL THEN 'Ready' ELSE 'Not Ready' END,
    CASE WHEN v_odd IS NULL AND v_missing IS NULL THEN 'None' ELSE 'Find out which schema this is' END;
  RETURN QUERY SELECT 'Row Counts', string_agg(format('%s %s', c.row_count, lower(c.entity)), ', '), 'Data Present',
    'None' FROM public.count_v6_rows('infinity') AS c;
  RETURN QUERY SELECT 'Document Normalization',
    CASE WHEN v_http THEN 'Extension http installed' ELSE 'Extension http missing' END, 'Note',
    CASE WHEN v_http THEN 'None' ELSE 'None: normalization ends as failed under v6 too, no data is lost by it' END;
  RETURN QUERY SELECT 'Server Version', current_setting('server_version'),
    CASE WHEN current_setting('server_version_num')::integer >= 150000 THEN 'Ready' ELSE 'Not Ready' END,
    CASE WHEN current_setting('server_version_num')::integer >= 150000 THEN 'None'
      ELSE 'Upgrade to PostgreSQL 15 or later' END;
  SELECT count(*) INTO v_modules FROM public.feature_flags AS f WHERE f.enabled;
  RETURN QUERY SELECT 'v7 Features', v_modules || ' flags on', 'Note', 'None';
END
$$;
COMMENT ON FUNCTION public.assess_v6_installation() IS
  'What is in this database and whether it is a v6, one line an item; the first three are the guide''s.';

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
      ('Consents', 'public.patient_consents', 'patient_id', 'auth.users', 's.created_at < $1 - interval ''1 day''',
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
             FROM %3$s AS s WHERE $1 IS NOT NULL AND (%4$s)) AS p',
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

CREATE FUNCTION public.record_performance_baseline() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  v_count integer;
BEGIN
  INSERT INTO public.v6_query_times AS b (test_name, runs, p50_ms, p95_ms)
  SELECT t.test_name, t.runs, t.p50_ms, t.p95_ms FROM public.time_v6_queries(10) AS t WHERE t.runs > 0
  ON CONFLICT (test_name) DO UPDATE SET runs = excluded.runs, p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms,
    measured_at = now();
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.record_performance_baseline() IS
  'Measures the baseline of test_v7_performance() anew, for example on new hardware; how many tests were measured.';

-- 10 and 25 per cent are the guide's limits for success and rollback. Below 0.05 ms the clock and the scheduler decide.
CREATE FUNCTION public.test_v7_performance()
RETURNS TABLE (test_name text, execution_time_ms numeric, baseline_ms numeric, performance_impact text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
  SELECT t.test_name, t.p95_ms, b.p95_ms, CASE
    WHEN t.p95_ms IS NULL OR b.p95_ms IS NULL THEN 'No baseline'
    WHEN t.p95_ms <= greatest(b.p95_ms * 1.10, b.p95_ms + 0.05) THEN '✅ Good'
    WHEN t.p95_ms <= greatest(b.p95_ms * 1.25, b.p95_ms + 0.1) THEN '⚠️ Acceptable'
    ELSE '❌ Poor' END
  FROM public.time_v6_queries(10) AS t LEFT JOIN public.v6_query_times AS b ON b.test_name = t.test_name
$$;
COMMENT ON FUNCTION public.test_v7_performance() IS
  'The 95th percentile of v6''s queries now against the one measured here before: Good up to 10 % more, Acceptable up to '
  '25 %, else Poor. Writes nothing.';

CREATE FUNCTION public.emergency_rollback_to_v6() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
  v_changed bigint;
  v_flags bigint;
  v_session uuid;
  v_note text := '';
BEGIN
  BEGIN
    UPDATE public.feature_flags AS f SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'
    WHERE f.enabled OR f.rollout_percentage <> 0 OR f.enabled_for_users <> '{}';
    GET DIAGNOSTICS v_changed = ROW_COUNT;
  EXCEPTION WHEN lock_not_available THEN
    RAISE;
  WHEN OTHERS THEN
    -- A broken trigger or audit trail must not keep a dangerous feature on.
    v_note := format(' Not audited (SQLSTATE %s).', SQLSTATE);
    ALTER TABLE public.feature_flags DISABLE TRIGGER USER;
    UPDATE public.feature_flags AS f SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}',
      updated_at = clock_timestamp()
    WHERE f.enabled OR f.rollout_percentage <> 0 OR f.enabled_for_users <> '{}';
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    ALTER TABLE public.feature_flags ENABLE TRIGGER USER;
  END;
  SELECT count(*) INTO v_flags FROM public.feature_flags;
  BEGIN
    -- created_at by the clock: the stack looks for the newest one, also where two are made in one transaction.
    INSERT INTO public.migration_sessions (migration_type, source_version, target_version, status, total_steps,
      completed_steps, started_at, completed_at, records_processed, initiated_by, migration_environment, created_at, notes)
    SELECT 'v7_to_v6_rollback', 'v7.0', 'v6.0', 'emergency_rollback', 1, 1, now(), clock_timestamp(), v_changed,
      public.caller_role(), coalesce((SELECT s.migration_environment FROM public.migration_sessions AS s
        WHERE s.migration_type = 'v6_to_v7' ORDER BY s.created_at DESC LIMIT 1), 'production'), clock_timestamp(),
      format('Emergency rollback initiated; %s of %s flags were switched off or emptied.%s', v_changed, v_flags, v_note)
    RETURNING id INTO v_session;
  EXCEPTION WHEN OTHERS THEN
    RETURN format('Emergency rollback completed, but its session could not be recorded (SQLSTATE %s): keep the stack from '
      'running. %s of %s flags changed.%s', SQLSTATE, v_changed, v_flags, v_note);
  END;
  RETURN format('Emergency rollback completed. Session ID: %s. %s of %s flags changed.%s',
    v_session, v_changed, v_flags, v_note);
END
$$;
COMMENT ON FUNCTION public.emergency_rollback_to_v6() IS
  'Switches every feature off for everybody at once: master gate, percentage and lists. Leaves a session of status '
  'emergency_rollback, after which the stack switches nothing on until guardian:acknowledge names it. Data stays.';

CREATE FUNCTION public.feature_flag_status(p_feature_name text DEFAULT NULL)
RETURNS TABLE (feature_name text, enabled boolean, rollout_percentage integer, enabled_for_users uuid[],
  is_seed boolean, last_changed_at timestamptz, last_changed_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT f.feature_name, f.enabled, f.rollout_percentage, f.enabled_for_users,
    s.feature_name IS NOT NULL, a.occurred_at, a.who
  FROM public.feature_flags AS f
  LEFT JOIN public.feature_flag_seed() AS s ON (s.feature_name, s.enabled, s.rollout_percentage, s.enabled_for_users,
    s.configuration) = (f.feature_name, f.enabled, f.rollout_percentage, f.enabled_for_users, f.configuration)
  LEFT JOIN LATERAL (
    SELECT l.occurred_at, concat_ws(' ', l.actor_role, l.actor) AS who FROM public.audit_log AS l
    WHERE l.table_name = 'public.feature_flags' AND l.record_key = f.feature_name ORDER BY l.occurred_at DESC LIMIT 1
  ) AS a ON true
  WHERE p_feature_name IS NULL OR f.feature_name = p_feature_name ORDER BY f.feature_name
$$;
COMMENT ON FUNCTION public.feature_flag_status(text) IS
  'One flag or all: its values, whether they are as delivered, and who changed it last.';

CREATE FUNCTION public.reset_feature_flag(p_feature_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.feature_flags AS f WHERE f.feature_name = p_feature_name) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'there is no such flag; feature_flag_status() lists them';
  END IF;
  UPDATE public.feature_flags AS f SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'
  WHERE f.feature_name = p_feature_name
    AND (f.enabled OR f.rollout_percentage <> 0 OR f.enabled_for_users <> '{}');
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.reset_feature_flag(text) IS
  'Switches one flag off for everybody, its list emptied; its configuration stays. False if it was so already.';

CREATE FUNCTION public.slow_queries(p_limit integer DEFAULT 10)
RETURNS TABLE (query text, calls bigint, mean_exec_time double precision, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_schema text := (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'pg_stat_statements');
BEGIN
  IF v_schema IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_stat_statements is not installed in this database',
      HINT = 'CREATE EXTENSION pg_stat_statements; the server must preload it (shared_preload_libraries).';
  END IF;
  -- Only planned statements are stored without their constants; utility statements, quotes and comments may hold values.
  RETURN QUERY EXECUTE format(
    $sql$SELECT CASE WHEN s.query ~* '^\s*(select|insert|update|delete|merge|with|values|table)\M'
        AND s.query !~ '''|--|/\*|\$[^0-9]' THEN s.query ELSE '(text withheld: it may hold values of rows)' END,
      s.calls, s.mean_exec_time, s.rows
    FROM %I.pg_stat_statements AS s WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY s.mean_exec_time DESC LIMIT $1$sql$, v_schema) USING greatest(p_limit, 0);
END
$$;
COMMENT ON FUNCTION public.slow_queries(integer) IS
  'The statements with the longest mean time in milliseconds, as texts without constants. Other roles'' texts are shown '
  'only if the owner of this function is a member of pg_read_all_stats.';

CREATE FUNCTION public.reindex_statement(p_table regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_statement text := (SELECT format('REINDEX TABLE CONCURRENTLY %I.%I', n.nspname, c.relname)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table AND c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_');
BEGIN
  IF v_statement IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42809', MESSAGE = 'only a table outside the system''s schemas can be reindexed';
  END IF;
  RETURN v_statement;
END
$$;
COMMENT ON FUNCTION public.reindex_statement(regclass) IS
  'The statement that rebuilds a table''s indexes without blocking its writers. To be run by itself, outside a '
  'transaction: CONCURRENTLY works neither in one nor in a function.';

-- Expected size of a B-tree: 8 bytes of header and 4 of line pointer an entry, columns at their average width, pages 90 %
-- full (PostgreSQL manual, 67.4 and 73.6). Deduplication makes an index smaller than that, never larger.
CREATE FUNCTION public.indexes_to_rebuild()
RETURNS TABLE (index_name text, table_name text, reason text, size_bytes bigint, statement text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH found AS (
    SELECT i.indexrelid, i.indisvalid AND i.indisready AS usable, c.relname, n.nspname, am.amname, c.reltuples,
      i.indrelid::regclass::text AS on_table, pg_relation_size(i.indexrelid) AS bytes, (
        SELECT sum(coalesce(s.avg_width, x.avg_width, 8))
        FROM pg_attribute AS a
        JOIN pg_class AS t ON t.oid = i.indrelid
        LEFT JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[a.attnum - 1]
        LEFT JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = k.attname
        LEFT JOIN pg_stats AS x ON x.schemaname = n.nspname AND x.tablename = c.relname AND x.attname = a.attname
        WHERE a.attrelid = i.indexrelid
      ) AS width
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_am AS am ON am.oid = c.relam
    WHERE n.nspname = 'public' AND c.relkind = 'i'
  ), judged AS (
    SELECT f.*, f.bytes / greatest(8192.0, f.reltuples * (12 + 8 * ceil(f.width / 8.0)) / 0.9 * 8192 / 8152) AS times
    FROM found AS f
  )
  SELECT format('%I.%I', nspname, relname), on_table,
    CASE WHEN NOT usable THEN 'invalid: the planner does not use it'
      ELSE format('about %s times as large as its entries need', round(times::numeric, 1)) END,
    bytes,
    CASE WHEN NOT usable AND relname ~ '_cc(new|old)[0-9]*$' THEN format('DROP INDEX CONCURRENTLY %I.%I', nspname, relname)
      ELSE format('REINDEX INDEX CONCURRENTLY %I.%I', nspname, relname) END
  FROM judged
  WHERE NOT usable OR amname = 'btree' AND reltuples >= 0 AND bytes >= 1048576 AND times >= 2
  ORDER BY usable, bytes DESC
$$;
COMMENT ON FUNCTION public.indexes_to_rebuild() IS
  'Indexes of schema public that are invalid, or at least 1 MiB and twice as large as their entries need by ANALYZE''s '
  'figures, with the statement to run by itself outside a transaction.';

CREATE FUNCTION public.migration_status(p_migration_type text DEFAULT 'v6_to_v7')
RETURNS TABLE (migration_type text, status text, records_processed bigint, records_failed bigint, error_summary jsonb,
  session_id uuid, completed_steps integer, total_steps integer, current_step text, started_at timestamptz,
  completed_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.migration_type, s.status, s.records_processed, s.records_failed, s.error_summary, s.id, s.completed_steps,
    s.total_steps, s.current_step, s.started_at, s.completed_at
  FROM public.migration_sessions AS s WHERE s.migration_type = p_migration_type ORDER BY s.created_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION public.migration_status(text) IS
  'The latest session of a type: v6_to_v7, or v7_to_v6_rollback for the latest emergency rollback.';

INSERT INTO public.v6_row_counts (entity, relation, row_count)
SELECT c.entity, c.relation, c.row_count FROM public.count_v6_rows(now()) AS c;
SELECT public.record_performance_baseline();

ALTER TABLE public.v6_row_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.v6_query_times ENABLE ROW LEVEL SECURITY;

-- No policy: only the functions above, as the owner, read the two tables.
REVOKE ALL ON public.v6_row_counts, public.v6_query_times FROM PUBLIC, anon, authenticated, service_role;
REVOKE ALL ON FUNCTION public.v6_relations(), public.count_v6_rows(timestamptz), public.time_v6_queries(integer),
  public.assess_v6_installation(), public.validate_v7_migration(), public.record_performance_baseline(),
  public.test_v7_performance(), public.emergency_rollback_to_v6(), public.feature_flag_status(text),
  public.reset_feature_flag(text), public.slow_queries(integer), public.indexes_to_rebuild(),
  public.reindex_statement(regclass), public.migration_status(text)
  FROM PUBLIC, anon, authenticated, service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION public.assess_v6_installation(), public.validate_v7_migration(),
      public.record_performance_baseline(), public.test_v7_performance(), public.emergency_rollback_to_v6(),
      public.feature_flag_status(text), public.reset_feature_flag(text),
      public.slow_queries(integer), public.indexes_to_rebuild(), public.reindex_statement(regclass),
      public.migration_status(text) TO guardian_operator;
  END IF;
END
$$;
