-- Counts and times were made by the module itself; the next up makes them anew.
DROP FUNCTION public.migration_status(text);
DROP FUNCTION public.indexes_to_rebuild();
DROP FUNCTION public.reindex_statement(regclass);
DROP FUNCTION public.slow_queries(integer);
DROP FUNCTION public.reset_feature_flag(text);
DROP FUNCTION public.feature_flag_status(text);
DROP FUNCTION public.emergency_rollback_to_v6();
DROP FUNCTION public.test_v7_performance();
DROP FUNCTION public.record_performance_baseline();
DROP FUNCTION public.validate_v7_migration();
DROP FUNCTION public.assess_v6_installation();
DROP FUNCTION public.time_v6_queries(integer);
DROP FUNCTION public.count_v6_rows(timestamptz);
DROP FUNCTION public.v6_relations();
DROP TABLE public.v6_query_times;
DROP TABLE public.v6_row_counts;
