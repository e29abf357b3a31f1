-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
SELECT public.assert_module('009_operations', e.facts)
FROM (SELECT ARRAY[
  'public.v6_row_counts: constraint v6_row_counts_pkey',
  'public.v6_row_counts: constraint v6_row_counts_row_count_check',
  'public.v6_row_counts: row security',
  'public.v6_query_times: constraint v6_query_times_pkey',
  'public.v6_query_times: constraint v6_query_times_runs_check',
  'public.v6_query_times: row security',
  'public.v6_relations(): invoker, pinned',
  'public.count_v6_rows(timestamp with time zone): invoker, pinned',
  'public.time_v6_queries(integer, text[]): invoker, pinned',
  'public.assess_v6_installation(): definer, pinned',
  'public.assess_v6_details(): definer, pinned',
  'public.validate_v7_migration(): definer, pinned',
  'public.record_performance_baseline(): definer, pinned',
  'public.compare_v6_queries(text[]): invoker, pinned',
  'public.test_v7_performance(): definer, pinned',
  'public.test_v7_clinical_performance(): definer, pinned',
  'public.emergency_rollback_to_v6(): definer, pinned',
  'public.feature_flag_status(text): definer, pinned',
  'public.reset_feature_flag(text): definer, pinned',
  'public.slow_queries(integer): definer, pinned',
  'public.indexes_to_rebuild(): definer, pinned',
  'public.reindex_statement(regclass): invoker, pinned',
  'public.migration_status(text): invoker, pinned',
  'definition of public.v6_row_counts: 3e64d841',
  'definition of public.v6_query_times: 648ca30e',
  'definition of public.v6_relations(): 12ac2237',
  'definition of public.count_v6_rows(timestamp with time zone): ea1ac595',
  'definition of public.time_v6_queries(integer, text[]): 7f31e707',
  'definition of public.assess_v6_installation(): 9b5121d5',
  'definition of public.assess_v6_details(): bca1edbe',
  'definition of public.validate_v7_migration(): 630337c5',
  'definition of public.record_performance_baseline(): 9e51cf21',
  'definition of public.compare_v6_queries(text[]): dd21e0df',
  'definition of public.test_v7_performance(): c692068f',
  'definition of public.test_v7_clinical_performance(): 76409a4c',
  'definition of public.emergency_rollback_to_v6(): b637ab77',
  'definition of public.feature_flag_status(text): ee7614d7',
  'definition of public.reset_feature_flag(text): 2bbc968e',
  'definition of public.slow_queries(integer): 42582ad5',
  'definition of public.indexes_to_rebuild(): 8dcea2c7',
  'definition of public.reindex_statement(regclass): 9d6be2cb',
  'definition of public.migration_status(text): 7836703f'
] AS facts) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.v6_row_counts; public.v6_query_times', '; '),
    string_to_array('public.v6_relations(); public.count_v6_rows(timestamp with time zone); public.time_v6_queries(integer, text[]); public.assess_v6_installation(); public.assess_v6_details(); public.validate_v7_migration(); public.record_performance_baseline(); public.compare_v6_queries(text[]); public.test_v7_performance(); public.test_v7_clinical_performance(); public.emergency_rollback_to_v6(); public.feature_flag_status(text); public.reset_feature_flag(text); public.slow_queries(integer); public.indexes_to_rebuild(); public.reindex_statement(regclass); public.migration_status(text)', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.v6_row_counts; public.v6_query_times; public.v6_relations(); public.count_v6_rows(timestamp with time zone); public.time_v6_queries(integer, text[]); public.assess_v6_installation(); public.assess_v6_details(); public.validate_v7_migration(); public.record_performance_baseline(); public.compare_v6_queries(text[]); public.test_v7_performance(); public.test_v7_clinical_performance(); public.emergency_rollback_to_v6(); public.feature_flag_status(text); public.reset_feature_flag(text); public.slow_queries(integer); public.indexes_to_rebuild(); public.reindex_statement(regclass); public.migration_status(text)', '; ')) AS f
  ORDER BY 1);
DO $$
DECLARE
  v_missing text;
BEGIN
  -- Helpers of the owner's: assert_module lets an operator execute anything.
  SELECT string_agg(f, ', ' ORDER BY f) INTO v_missing
  FROM unnest(ARRAY['v6_relations()', 'count_v6_rows(timestamptz)', 'time_v6_queries(integer, text[])',
    'compare_v6_queries(text[])']) AS f, pg_roles AS r
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
