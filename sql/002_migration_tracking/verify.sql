-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  PERFORM public.assert_module('002_migration_tracking', ARRAY[
    'public.migration_sessions: row security',
    'public.migration_sessions: service_role may SELECT',
    'public.migration_sessions: policy migration_sessions_read for SELECT to service_role using true',
    'public.migration_sessions: trigger migration_sessions_duration calls public.set_migration_duration',
    'public.migration_sessions: trigger migration_sessions_updated_at calls public.set_updated_at',
    'public.migration_sessions: constraint migration_sessions_pkey',
    'public.migration_sessions: constraint migration_sessions_status_check',
    'public.migration_sessions: constraint migration_sessions_total_steps_check',
    'public.migration_sessions: constraint migration_sessions_completed_steps_check',
    'public.migration_sessions: constraint migration_sessions_records_processed_check',
    'public.migration_sessions: constraint migration_sessions_records_failed_check',
    'public.migration_sessions: constraint migration_sessions_error_summary_check',
    'public.migration_sessions: index public.migration_sessions_type_created_idx',
    'public.migration_session_steps: row security',
    'public.migration_session_steps: service_role may SELECT',
    'public.migration_session_steps: policy migration_session_steps_read for SELECT to service_role using true',
    'public.migration_session_steps: constraint migration_session_steps_pkey',
    'public.migration_session_steps: constraint migration_session_steps_status_check',
    'public.migration_session_steps: constraint migration_session_steps_records_processed_check',
    'public.migration_session_steps: constraint migration_session_steps_records_failed_check',
    'public.migration_session_steps: constraint migration_session_steps_step_key',
    'public.migration_session_steps: migration_session_steps_session_id_fkey '
      'FOREIGN KEY (session_id) REFERENCES public.migration_sessions(id) ON DELETE CASCADE',
    'public.set_migration_duration(): invoker, pinned'
  ]);
END
$$;
