-- v6's queries now against then.

CREATE FUNCTION public.record_performance_baseline() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  v_count integer;
BEGIN
  INSERT INTO public.v6_query_times AS b (test_name, runs, p50_ms, p95_ms)
  SELECT t.test_name, t.runs, t.p50_ms, t.p95_ms FROM public.time_v6_queries(10,
    '{User Authentication,Document Listing,Medication List,Lab Results}') AS t WHERE t.runs > 0
  ON CONFLICT (test_name) DO UPDATE SET runs = excluded.runs, p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms,
    measured_at = now();
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.record_performance_baseline() IS
  'Measures the baseline of test_v7_performance() anew, for example on new hardware; how many tests were measured.';

-- 10 and 25 per cent are the guide's limits for success and rollback. Below 0.05 ms the clock and the scheduler decide.
CREATE FUNCTION public.compare_v6_queries(p_tests text[])
RETURNS TABLE (test_name text, execution_time_ms numeric, baseline_ms numeric, performance_impact text)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT t.test_name, t.p95_ms, b.p95_ms, CASE
    WHEN t.p95_ms IS NULL OR b.p95_ms IS NULL THEN 'No baseline'
    WHEN t.p95_ms <= greatest(b.p95_ms * 1.10, b.p95_ms + 0.05) THEN '✅ Good'
    WHEN t.p95_ms <= greatest(b.p95_ms * 1.25, b.p95_ms + 0.1) THEN '⚠️ Acceptable'
    ELSE '❌ Poor' END
  FROM public.time_v6_queries(10, p_tests) AS t LEFT JOIN public.v6_query_times AS b ON b.test_name = t.test_name
$$;
COMMENT ON FUNCTION public.compare_v6_queries(text[]) IS
  'The 95th percentile of some of v6''s queries now against the one measured here before: Good up to 10 % more, Acceptable '
  'up to 25 %, else Poor. Writes nothing.';

CREATE FUNCTION public.test_v7_performance()
RETURNS TABLE (test_name text, execution_time_ms numeric, baseline_ms numeric, performance_impact text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
  SELECT * FROM public.compare_v6_queries('{User Authentication,Document Listing}')
$$;
COMMENT ON FUNCTION public.test_v7_performance() IS
  'The guide''s two tests, as compare_v6_queries judges them. Clinical queries: test_v7_clinical_performance().';

CREATE FUNCTION public.test_v7_clinical_performance()
RETURNS TABLE (test_name text, execution_time_ms numeric, baseline_ms numeric, performance_impact text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
  SELECT * FROM public.compare_v6_queries('{Medication List,Lab Results}')
$$;
COMMENT ON FUNCTION public.test_v7_clinical_performance() IS
  'As test_v7_performance(), for a patient''s active medications and latest laboratory results.';
