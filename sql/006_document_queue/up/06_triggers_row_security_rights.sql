-- Triggers, row security, and the rights of API roles.

CREATE TRIGGER document_processing_pipelines_updated_at BEFORE UPDATE ON public.document_processing_pipelines
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER document_processing_pipelines_audit AFTER INSERT OR UPDATE OR DELETE
  ON public.document_processing_pipelines FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER document_processing_queue_updated_at BEFORE UPDATE ON public.document_processing_queue
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();

ALTER TABLE public.document_processing_pipelines ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.document_processing_queue ENABLE ROW LEVEL SECURITY;
CREATE POLICY document_processing_pipelines_read ON public.document_processing_pipelines FOR SELECT TO service_role
  USING (true);
CREATE POLICY document_processing_queue_own ON public.document_processing_queue FOR SELECT TO authenticated
  USING (patient_id = (SELECT auth.uid()));
CREATE POLICY document_processing_queue_service ON public.document_processing_queue FOR SELECT TO service_role
  USING (true);

REVOKE ALL ON public.document_processing_pipelines, public.document_processing_queue,
  public.user_document_processing_status FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.document_processing_pipelines, public.document_processing_queue,
  public.user_document_processing_status TO service_role;
GRANT SELECT ON public.user_document_processing_status TO authenticated;
-- Not the lease, nor the words of a failure.
GRANT SELECT (id, document_id, patient_id, pipeline_name, pipeline_version, pipeline_run_id, processing_stage,
    stage_order, total_stages, processor_type, priority, status, due_at, attempts, max_attempts, progress_percentage,
    error_code, processing_results, quality_score, started_at, completed_at, created_at, updated_at)
  ON public.document_processing_queue TO authenticated;
REVOKE ALL ON FUNCTION public.save_document_pipeline(text, jsonb, text, text[], boolean),
  public.enqueue_document(uuid, text, integer, uuid), public.document_retry_delay(integer), public.lease_digest(uuid),
  public.claim_document_work(text, integer, interval, text[], text),
  public.heartbeat_document_work(uuid, uuid, interval, integer), public.advance_document_run(uuid, uuid),
  public.lock_document_run(uuid), public.complete_document_work(uuid, uuid, jsonb, numeric, boolean),
  public.fail_document_work(uuid, uuid, text, text, boolean), public.approve_document_work(uuid),
  public.requeue_document_work(uuid), public.cancel_document_run(uuid, uuid), public.document_queue_depth()
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.save_document_pipeline(text, jsonb, text, text[], boolean),
  public.enqueue_document(uuid, text, integer, uuid), public.claim_document_work(text, integer, interval, text[], text),
  public.heartbeat_document_work(uuid, uuid, interval, integer),
  public.complete_document_work(uuid, uuid, jsonb, numeric, boolean),
  public.fail_document_work(uuid, uuid, text, text, boolean), public.approve_document_work(uuid),
  public.requeue_document_work(uuid), public.cancel_document_run(uuid, uuid), public.document_queue_depth()
  TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.document_processing_pipelines TO guardian_operator;
    ALTER POLICY document_processing_pipelines_read ON public.document_processing_pipelines
      TO service_role, guardian_operator;
    GRANT EXECUTE ON FUNCTION public.save_document_pipeline(text, jsonb, text, text[], boolean),
      public.requeue_document_work(uuid), public.cancel_document_run(uuid, uuid), public.document_queue_depth()
      TO guardian_operator;
  END IF;
END
$$;
