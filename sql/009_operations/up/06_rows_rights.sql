-- What is counted and measured now; row security and rights.

INSERT INTO public.v6_row_counts (entity, relation, row_count)
SELECT c.entity, c.relation, c.row_count FROM public.count_v6_rows(now()) AS c;

-- What the gate before the schema stage measured in the same way, where one did: by now foreign keys hang on v6.
DO $$
BEGIN
  IF to_regclass('guardian_migration.step') IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO public.v6_query_times (test_name, runs, p50_ms, p95_ms, measured_at)
  SELECT t.name, (g.figures ->> (t.key || 'Runs'))::integer, (g.figures ->> (t.key || 'P50Ms'))::numeric,
    (g.figures ->> (t.key || 'P95Ms'))::numeric, to_timestamp((g.figures ->> 'measuredAtEpochS')::double precision)
  FROM (
    SELECT o.value -> 'figures' AS figures
    FROM guardian_migration.step AS s CROSS JOIN jsonb_array_elements(s.detail -> 'outcomes') AS o
    WHERE s.kind = 'Gate' AND s.state = 'done' AND s.detail ->> 'gate' = 'before'
      AND o.value ->> 'check' = 'performance-baseline'
    ORDER BY s.id DESC LIMIT 1
  ) AS g CROSS JOIN (
    SELECT n AS name, 'inServer' || replace(n, ' ', '') AS key
    FROM unnest('{User Authentication,Document Listing,Medication List,Lab Results}'::text[]) AS n
  ) AS t
  WHERE (g.figures ->> (t.key || 'Runs'))::integer > 0;
END
$$;
SELECT public.record_performance_baseline() WHERE NOT EXISTS (SELECT FROM public.v6_query_times);

ALTER TABLE public.v6_row_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.v6_query_times ENABLE ROW LEVEL SECURITY;

-- No policy: only the functions above, as the owner, read the two tables.
REVOKE ALL ON public.v6_row_counts, public.v6_query_times FROM PUBLIC, anon, authenticated, service_role;
REVOKE ALL ON FUNCTION public.v6_relations(), public.count_v6_rows(timestamptz),
  public.time_v6_queries(integer, text[]), public.assess_v6_installation(), public.assess_v6_details(),
  public.validate_v7_migration(), public.record_performance_baseline(), public.compare_v6_queries(text[]),
  public.test_v7_performance(), public.test_v7_clinical_performance(), public.emergency_rollback_to_v6(),
  public.feature_flag_status(text),
  public.reset_feature_flag(text), public.slow_queries(integer), public.indexes_to_rebuild(),
  public.reindex_statement(regclass), public.migration_status(text)
  FROM PUBLIC, anon, authenticated, service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION public.assess_v6_installation(), public.assess_v6_details(),
      public.validate_v7_migration(), public.record_performance_baseline(), public.test_v7_performance(),
      public.test_v7_clinical_performance(), public.emergency_rollback_to_v6(),
      public.feature_flag_status(text), public.reset_feature_flag(text),
      public.slow_queries(integer), public.indexes_to_rebuild(), public.reindex_statement(regclass),
      public.migration_status(text) TO guardian_operator;
  END IF;
END
$$;
