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
-- owner: row security is not in the figures, the condition that it adds (user_id) is. engine/gates/performance/in-server.ts
-- runs the same before the schema stage, and a test compares the two.
CREATE FUNCTION public.time_v6_queries(p_rounds integer, p_tests text[])
RETURNS TABLE (test_name text, runs integer, p50_ms numeric, p95_ms numeric)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_account record;
  v_began timestamptz;
  v_ms double precision[];
BEGIN
  FOREACH test_name IN ARRAY p_tests LOOP
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
          WHEN 'Lab Results' THEN
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
COMMENT ON FUNCTION public.time_v6_queries(integer, text[]) IS
  'Times what v6 asks most, of these tests, repeatedly and for real accounts; NULL where there is no account.';
