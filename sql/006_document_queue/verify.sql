-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  PERFORM public.assert_module('006_document_queue', ARRAY[
    'public.document_processing_pipelines: row security',
    'public.document_processing_pipelines: service_role may SELECT',
    'public.document_processing_pipelines: policy document_processing_pipelines_read for SELECT to service_role using '
      'true',
    'public.document_processing_pipelines: trigger document_processing_pipelines_updated_at calls '
      'public.set_updated_at',
    'public.document_processing_pipelines: trigger document_processing_pipelines_audit calls public.audit_row',
    'public.document_processing_pipelines: constraint document_processing_pipelines_name_check',
    'public.document_processing_pipelines: constraint document_processing_pipelines_types_check',
    'public.document_processing_pipelines: constraint document_processing_pipelines_stages_check',
    'public.document_processing_pipelines: constraint document_processing_pipelines_pkey',
    'public.document_processing_pipelines: constraint document_processing_pipelines_name_key',
    'public.document_processing_pipelines: document_processing_pipelines_created_by_fkey FOREIGN KEY (created_by) '
      'REFERENCES auth.users(id) ON DELETE SET NULL',
    'public.document_processing_pipelines: index public.document_processing_pipelines_created_by_idx',
    'public.document_processing_queue: row security',
    'public.document_processing_queue: authenticated may SELECT of id, document_id, patient_id, pipeline_name, '
      'pipeline_version, pipeline_run_id, processing_stage, stage_order, total_stages, processor_type, priority, '
      'status, due_at, attempts, max_attempts, progress_percentage, error_code, processing_results, quality_score, '
      'started_at, completed_at, created_at, updated_at',
    'public.document_processing_queue: service_role may SELECT',
    'public.document_processing_queue: policy document_processing_queue_own for SELECT to authenticated using '
      '(patient_id = ( SELECT auth.uid() AS uid))',
    'public.document_processing_queue: policy document_processing_queue_service for SELECT to service_role using true',
    'public.document_processing_queue: trigger document_processing_queue_updated_at calls public.set_updated_at',
    'public.document_processing_queue: constraint document_processing_queue_stage_check',
    'public.document_processing_queue: constraint document_processing_queue_order_check',
    'public.document_processing_queue: constraint document_processing_queue_total_check',
    'public.document_processing_queue: constraint document_processing_queue_processor_check',
    'public.document_processing_queue: constraint document_processing_queue_priority_check',
    'public.document_processing_queue: constraint document_processing_queue_status_check',
    'public.document_processing_queue: constraint document_processing_queue_attempts_check',
    'public.document_processing_queue: constraint document_processing_queue_max_attempts_check',
    'public.document_processing_queue: constraint document_processing_queue_progress_check',
    'public.document_processing_queue: constraint document_processing_queue_error_code_check',
    'public.document_processing_queue: constraint document_processing_queue_quality_check',
    'public.document_processing_queue: constraint document_processing_queue_lease_check',
    'public.document_processing_queue: constraint document_processing_queue_done_check',
    'public.document_processing_queue: constraint document_processing_queue_pkey',
    'public.document_processing_queue: constraint document_processing_queue_stage_key',
    'public.document_processing_queue: document_processing_queue_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES '
      'auth.users(id) ON DELETE CASCADE',
    'public.document_processing_queue: document_processing_queue_document_id_fkey FOREIGN KEY (document_id) '
      'REFERENCES public.documents(id) ON DELETE CASCADE',
    'public.document_processing_queue: index public.document_processing_queue_claim_idx',
    'public.document_processing_queue: index public.document_processing_queue_lease_idx',
    'public.document_processing_queue: index public.document_processing_queue_patient_idx',
    'public.document_processing_queue: index public.document_processing_queue_stuck_idx',
    'public.user_document_processing_status: security_invoker=true,security_barrier=true',
    'public.user_document_processing_status: authenticated may SELECT',
    'public.user_document_processing_status: service_role may SELECT',
    'public.save_document_pipeline(text, jsonb, text, text[], boolean): definer, pinned',
    'public.save_document_pipeline(text, jsonb, text, text[], boolean): service_role may EXECUTE',
    'public.enqueue_document(uuid, text, integer, uuid): definer, pinned',
    'public.enqueue_document(uuid, text, integer, uuid): service_role may EXECUTE',
    'public.document_retry_delay(integer): invoker, pinned',
    'public.claim_document_work(text, integer, interval, text[], text): definer, pinned',
    'public.claim_document_work(text, integer, interval, text[], text): service_role may EXECUTE',
    'public.heartbeat_document_work(uuid, uuid, interval, integer): definer, pinned',
    'public.heartbeat_document_work(uuid, uuid, interval, integer): service_role may EXECUTE',
    'public.advance_document_run(uuid, uuid): invoker, pinned',
    'public.lock_document_run(uuid): invoker, pinned',
    'public.complete_document_work(uuid, uuid, jsonb, numeric, boolean): definer, pinned',
    'public.complete_document_work(uuid, uuid, jsonb, numeric, boolean): service_role may EXECUTE',
    'public.fail_document_work(uuid, uuid, text, text, boolean): definer, pinned',
    'public.fail_document_work(uuid, uuid, text, text, boolean): service_role may EXECUTE',
    'public.approve_document_work(uuid): definer, pinned',
    'public.approve_document_work(uuid): service_role may EXECUTE',
    'public.requeue_document_work(uuid): definer, pinned',
    'public.requeue_document_work(uuid): service_role may EXECUTE',
    'public.cancel_document_run(uuid, uuid): definer, pinned',
    'public.cancel_document_run(uuid, uuid): service_role may EXECUTE',
    'public.document_queue_depth(): definer, pinned',
    'public.document_queue_depth(): service_role may EXECUTE',
    -- What they do, not only what they are called: see public.definition_facts.
    'definition of public.document_processing_pipelines: 33a7155d',
    'definition of public.document_processing_queue: d9a68147',
    'definition of public.user_document_processing_status: c5c3212a',
    'definition of public.save_document_pipeline(text, jsonb, text, text[], boolean): 3d647241',
    'definition of public.enqueue_document(uuid, text, integer, uuid): 3b4f37d1',
    'definition of public.document_retry_delay(integer): e4c8d53a',
    'definition of public.claim_document_work(text, integer, interval, text[], text): 3326905c',
    'definition of public.heartbeat_document_work(uuid, uuid, interval, integer): 3fe8ef54',
    'definition of public.advance_document_run(uuid, uuid): 755cbb29',
    'definition of public.lock_document_run(uuid): 7355952d',
    'definition of public.complete_document_work(uuid, uuid, jsonb, numeric, boolean): 06237dda',
    'definition of public.fail_document_work(uuid, uuid, text, text, boolean): 9524c72d',
    'definition of public.approve_document_work(uuid): bb57b4cb',
    'definition of public.requeue_document_work(uuid): 272cc949',
    'definition of public.cancel_document_run(uuid, uuid): 8bad6312',
    'definition of public.document_queue_depth(): 9a97378a',
    'definition of document_processing_pipelines_updated_at on public.document_processing_pipelines: 75d26497',
    'definition of document_processing_pipelines_audit on public.document_processing_pipelines: 6d85da66',
    'definition of document_processing_queue_updated_at on public.document_processing_queue: cafa1320'
  ] || CASE WHEN to_regprocedure('public.notify_document_outcome()') IS NULL THEN '{}' ELSE ARRAY[
    -- Module 007, where it is there, hangs this on the queue.
    'public.document_processing_queue: trigger document_processing_queue_notify calls public.notify_document_outcome'
  ] END);
END
$$;
