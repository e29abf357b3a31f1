-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
SELECT public.assert_module('002_migration_tracking', e.facts)
FROM (SELECT ARRAY[
  'public.migration_sessions: constraint migration_sessions_completed_steps_check',
  'public.migration_sessions: constraint migration_sessions_error_summary_check',
  'public.migration_sessions: constraint migration_sessions_pkey',
  'public.migration_sessions: constraint migration_sessions_records_failed_check',
  'public.migration_sessions: constraint migration_sessions_records_processed_check',
  'public.migration_sessions: constraint migration_sessions_status_check',
  'public.migration_sessions: constraint migration_sessions_total_steps_check',
  'public.migration_sessions: index public.migration_sessions_type_created_idx',
  'public.migration_sessions: policy migration_sessions_read for SELECT to service_role using true',
  'public.migration_sessions: row security',
  'public.migration_sessions: service_role may SELECT',
  'public.migration_sessions: trigger migration_sessions_duration calls public.set_migration_duration',
  'public.migration_sessions: trigger migration_sessions_updated_at calls public.set_updated_at',
  'public.migration_session_steps: constraint migration_session_steps_pkey',
  'public.migration_session_steps: constraint migration_session_steps_records_failed_check',
  'public.migration_session_steps: constraint migration_session_steps_records_processed_check',
  'public.migration_session_steps: constraint migration_session_steps_status_check',
  'public.migration_session_steps: constraint migration_session_steps_step_key',
  'public.migration_session_steps: migration_session_steps_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.migration_sessions(id) ON DELETE CASCADE',
  'public.migration_session_steps: policy migration_session_steps_read for SELECT to service_role using true',
  'public.migration_session_steps: row security',
  'public.migration_session_steps: service_role may SELECT',
  'public.set_migration_duration(): invoker, pinned',
  'definition of public.migration_sessions: 3a4708f9',
  'definition of public.migration_session_steps: e5becdc1',
  'definition of public.set_migration_duration(): 00fc03f6',
  'definition of migration_sessions_duration on public.migration_sessions: 1173c6a6',
  'definition of migration_sessions_updated_at on public.migration_sessions: 19baa0e2'
] AS facts) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.migration_sessions; public.migration_session_steps', '; '),
    string_to_array('public.set_migration_duration()', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.migration_sessions; public.migration_session_steps; public.set_migration_duration(); migration_sessions_duration on public.migration_sessions; migration_sessions_updated_at on public.migration_sessions', '; ')) AS f
  ORDER BY 1);
