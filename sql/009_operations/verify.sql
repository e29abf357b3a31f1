-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
DECLARE
  v_missing text;
BEGIN
  PERFORM public.assert_module('009_operations', ARRAY[
    'public.v6_row_counts: row security',
    'public.v6_row_counts: constraint v6_row_counts_pkey',
    'public.v6_row_counts: constraint v6_row_counts_row_count_check',
    'public.v6_query_times: row security',
    'public.v6_query_times: constraint v6_query_times_pkey',
    'public.v6_query_times: constraint v6_query_times_runs_check',
    'public.v6_relations(): invoker, pinned',
    'public.count_v6_rows(timestamptz): invoker, pinned',
    'public.time_v6_queries(integer): invoker, pinned',
    'public.assess_v6_installation(): definer, pinned',
    'public.validate_v7_migration(): definer, pinned',
    'public.record_performance_baseline(): definer, pinned',
    'public.test_v7_performance(): definer, pinned',
    'public.emergency_rollback_to_v6(): definer, pinned',
    'public.feature_flag_status(text): definer, pinned',
    'public.reset_feature_flag(text): definer, pinned',
    'public.slow_queries(integer): definer, pinned',
    'public.indexes_to_rebuild(): definer, pinned',
    'public.reindex_statement(regclass): invoker, pinned',
    'public.migration_status(text): invoker, pinned'
  ]);
  -- Helpers of the owner's: assert_module lets an operator execute anything.
  SELECT string_agg(f, ', ' ORDER BY f) INTO v_missing
  FROM unnest(ARRAY['v6_relations()', 'count_v6_rows(timestamptz)', 'time_v6_queries(integer)']) AS f, pg_roles AS r
  WHERE r.rolname = 'guardian_operator' AND NOT r.rolsuper AND EXISTS (
    SELECT FROM pg_proc AS p, aclexplode(p.proacl) AS a
    WHERE p.oid = to_regprocedure('public.' || f) AND a.grantee = r.oid);
  IF v_missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module 009_operations: operators may execute %s', v_missing);
  END IF;
  SELECT string_agg(r.relation, ', ' ORDER BY r.relation) INTO v_missing FROM public.v6_relations() AS r
  WHERE NOT EXISTS (SELECT FROM public.v6_row_counts AS c WHERE c.entity = r.entity);
  IF v_missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module 009_operations: not counted: %s', v_missing);
  END IF;
END
$$;
