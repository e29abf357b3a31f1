-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
-- Without the keys to v6's tables, so that it holds before they are made and these are locked.
SELECT public.assert_module('006_document_queue', e.facts || CASE WHEN EXISTS (
  SELECT FROM unnest(e.keys) AS k JOIN pg_constraint AS c ON c.conrelid = to_regclass(split_part(k, ': ', 1))
    AND c.conname = split_part(split_part(k, ': ', 2), ' ', 1)) THEN e.keys ELSE '{}' END)
FROM (SELECT ARRAY[
  'public.document_processing_pipelines: constraint document_processing_pipelines_name_check',
  'public.document_processing_pipelines: constraint document_processing_pipelines_name_key',
  'public.document_processing_pipelines: constraint document_processing_pipelines_pkey',
  'public.document_processing_pipelines: constraint document_processing_pipelines_stages_check',
  'public.document_processing_pipelines: constraint document_processing_pipelines_types_check',
  'public.document_processing_pipelines: constraint document_processing_pipelines_types_line',
  'public.document_processing_pipelines: index public.document_processing_pipelines_created_by_idx',
  'public.document_processing_pipelines: policy document_processing_pipelines_read for SELECT to service_role using true',
  'public.document_processing_pipelines: row security',
  'public.document_processing_pipelines: service_role may SELECT',
  'public.document_processing_pipelines: trigger document_processing_pipelines_audit calls public.audit_row',
  'public.document_processing_pipelines: trigger document_processing_pipelines_updated_at calls public.set_updated_at',
  'public.document_processing_queue: authenticated may SELECT of id, document_id, patient_id, pipeline_name, pipeline_version, pipeline_run_id, processing_stage, stage_order, total_stages, processor_type, priority, status, due_at, attempts, max_attempts, progress_percentage, error_code, processing_results, quality_score, started_at, completed_at, created_at, updated_at',
  'public.document_processing_queue: constraint document_processing_queue_attempts_check',
  'public.document_processing_queue: constraint document_processing_queue_done_check',
  'public.document_processing_queue: constraint document_processing_queue_error_bound',
  'public.document_processing_queue: constraint document_processing_queue_error_code_check',
  'public.document_processing_queue: constraint document_processing_queue_lease_check',
  'public.document_processing_queue: constraint document_processing_queue_leased_by_bound',
  'public.document_processing_queue: constraint document_processing_queue_leased_by_line',
  'public.document_processing_queue: constraint document_processing_queue_max_attempts_check',
  'public.document_processing_queue: constraint document_processing_queue_order_check',
  'public.document_processing_queue: constraint document_processing_queue_pkey',
  'public.document_processing_queue: constraint document_processing_queue_priority_check',
  'public.document_processing_queue: constraint document_processing_queue_processor_check',
  'public.document_processing_queue: constraint document_processing_queue_progress_check',
  'public.document_processing_queue: constraint document_processing_queue_quality_check',
  'public.document_processing_queue: constraint document_processing_queue_results_bound',
  'public.document_processing_queue: constraint document_processing_queue_stage_check',
  'public.document_processing_queue: constraint document_processing_queue_stage_key',
  'public.document_processing_queue: constraint document_processing_queue_status_check',
  'public.document_processing_queue: constraint document_processing_queue_total_check',
  'public.document_processing_queue: index public.document_processing_queue_claim_idx',
  'public.document_processing_queue: index public.document_processing_queue_lease_idx',
  'public.document_processing_queue: index public.document_processing_queue_patient_idx',
  'public.document_processing_queue: index public.document_processing_queue_stuck_idx',
  'public.document_processing_queue: policy document_processing_queue_own for SELECT to authenticated using (patient_id = ( SELECT auth.uid() AS uid))',
  'public.document_processing_queue: policy document_processing_queue_service for SELECT to service_role using true',
  'public.document_processing_queue: row security',
  'public.document_processing_queue: service_role may SELECT',
  'public.document_processing_queue: trigger document_processing_queue_updated_at calls public.set_updated_at',
  'public.user_document_processing_status: authenticated may SELECT',
  'public.user_document_processing_status: security_invoker=true,security_barrier=true',
  'public.user_document_processing_status: service_role may SELECT',
  'public.save_document_pipeline(text, jsonb, text, text[], boolean): definer, pinned',
  'public.save_document_pipeline(text, jsonb, text, text[], boolean): service_role may EXECUTE',
  'public.enqueue_document(uuid, text, integer, uuid): definer, pinned',
  'public.enqueue_document(uuid, text, integer, uuid): service_role may EXECUTE',
  'public.document_retry_delay(integer): invoker, pinned',
  'public.lease_digest(uuid): invoker, pinned',
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
  'definition of public.document_processing_pipelines: 482e610c',
  'definition of public.document_processing_queue: 66d525a7',
  'definition of public.user_document_processing_status: c5c3212a',
  'definition of public.save_document_pipeline(text, jsonb, text, text[], boolean): 97cd9c56',
  'definition of public.enqueue_document(uuid, text, integer, uuid): 5d64258e',
  'definition of public.document_retry_delay(integer): e4c8d53a',
  'definition of public.lease_digest(uuid): 04044c39',
  'definition of public.claim_document_work(text, integer, interval, text[], text): 9775dc0b',
  'definition of public.heartbeat_document_work(uuid, uuid, interval, integer): 5c5cb310',
  'definition of public.advance_document_run(uuid, uuid): 755cbb29',
  'definition of public.lock_document_run(uuid): a2fcf12d',
  'definition of public.complete_document_work(uuid, uuid, jsonb, numeric, boolean): dc2d8b83',
  'definition of public.fail_document_work(uuid, uuid, text, text, boolean): c36a75aa',
  'definition of public.approve_document_work(uuid): bb57b4cb',
  'definition of public.requeue_document_work(uuid): 272cc949',
  'definition of public.cancel_document_run(uuid, uuid): 8bad6312',
  'definition of public.document_queue_depth(): 9a97378a',
  'definition of document_processing_pipelines_updated_at on public.document_processing_pipelines: 75d26497',
  'definition of document_processing_pipelines_audit on public.document_processing_pipelines: 6d85da66',
  'definition of document_processing_queue_updated_at on public.document_processing_queue: cafa1320'
] || CASE WHEN to_regprocedure('public.notify_document_outcome()') IS NULL THEN '{}' ELSE ARRAY[
  'public.document_processing_queue: trigger document_processing_queue_notify calls public.notify_document_outcome'
] END AS facts, ARRAY[
  'public.document_processing_pipelines: document_processing_pipelines_created_by_fkey FOREIGN KEY (created_by) REFERENCES auth.users(id) ON DELETE SET NULL',
  'public.document_processing_queue: document_processing_queue_document_id_fkey FOREIGN KEY (document_id) REFERENCES public.documents(id) ON DELETE CASCADE',
  'public.document_processing_queue: document_processing_queue_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES auth.users(id) ON DELETE CASCADE'
] AS keys) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT a.f FROM (SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.document_processing_pipelines; public.document_processing_queue; public.user_document_processing_status', '; '),
    string_to_array('public.save_document_pipeline(text, jsonb, text, text[], boolean); public.enqueue_document(uuid, text, integer, uuid); public.document_retry_delay(integer); public.lease_digest(uuid); public.claim_document_work(text, integer, interval, text[], text); public.heartbeat_document_work(uuid, uuid, interval, integer); public.advance_document_run(uuid, uuid); public.lock_document_run(uuid); public.complete_document_work(uuid, uuid, jsonb, numeric, boolean); public.fail_document_work(uuid, uuid, text, text, boolean); public.approve_document_work(uuid); public.requeue_document_work(uuid); public.cancel_document_run(uuid, uuid); public.document_queue_depth()', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.document_processing_pipelines; public.document_processing_queue; public.user_document_processing_status; public.save_document_pipeline(text, jsonb, text, text[], boolean); public.enqueue_document(uuid, text, integer, uuid); public.document_retry_delay(integer); public.lease_digest(uuid); public.claim_document_work(text, integer, interval, text[], text); public.heartbeat_document_work(uuid, uuid, interval, integer); public.advance_document_run(uuid, uuid); public.lock_document_run(uuid); public.complete_document_work(uuid, uuid, jsonb, numeric, boolean); public.fail_document_work(uuid, uuid, text, text, boolean); public.approve_document_work(uuid); public.requeue_document_work(uuid); public.cancel_document_run(uuid, uuid); public.document_queue_depth(); document_processing_pipelines_updated_at on public.document_processing_pipelines; document_processing_pipelines_audit on public.document_processing_pipelines; document_processing_queue_updated_at on public.document_processing_queue', '; ')) AS f) AS a (f)
  WHERE a.f <> ALL (e.keys) ORDER BY 1);
-- The keys to v6's tables, by themselves.
DO $$
DECLARE
  v_path text := current_setting('search_path');
  v_bad text;
BEGIN
  -- Names are qualified then.
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT string_agg(format('missing [%s: %s]', w.relation, w.key), '; ') INTO v_bad FROM (VALUES
      ('public.document_processing_pipelines', 'document_processing_pipelines_created_by_fkey FOREIGN KEY (created_by) REFERENCES auth.users(id) ON DELETE SET NULL'),
      ('public.document_processing_queue', 'document_processing_queue_document_id_fkey FOREIGN KEY (document_id) REFERENCES public.documents(id) ON DELETE CASCADE'),
      ('public.document_processing_queue', 'document_processing_queue_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES auth.users(id) ON DELETE CASCADE')
    ) AS w (relation, key)
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(w.relation) AND c.conname || ' ' || pg_get_constraintdef(c.oid) = w.key);
  PERFORM set_config('search_path', v_path, true);
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'module 006_document_queue is not as it was made: ' || v_bad;
  END IF;
END
$$;
