-- What patients see.

CREATE VIEW public.user_document_processing_status WITH (security_invoker = true, security_barrier = true) AS
WITH run AS (
  SELECT DISTINCT ON (q.document_id) q.document_id, q.pipeline_run_id
  FROM public.document_processing_queue AS q ORDER BY q.document_id, q.created_at DESC, q.pipeline_run_id
), stage AS (
  SELECT q.document_id, q.patient_id, q.pipeline_run_id, min(q.pipeline_name) AS pipeline_name,
    count(*) AS total_stages, count(*) FILTER (WHERE q.status = 'completed') AS completed_stages,
    floor(avg(q.progress_percentage))::integer AS overall_progress,
    CASE WHEN bool_or(q.status = 'cancelled') THEN 'cancelled' WHEN bool_and(q.status = 'completed') THEN 'completed'
      WHEN bool_or(q.status = 'dead_letter') THEN 'dead_letter'
      WHEN bool_or(q.status = 'requires_review') THEN 'requires_review'
      WHEN bool_or(q.status = 'processing') THEN 'processing'
      WHEN bool_or(q.status = 'failed') THEN 'failed'
      WHEN bool_or(q.status = 'completed') THEN 'processing' ELSE 'queued' END AS overall_status,
    coalesce(array_agg(q.processing_stage ORDER BY q.stage_order, q.processing_stage)
      FILTER (WHERE q.status IN ('processing', 'queued', 'failed', 'requires_review')), '{}') AS current_stages,
    coalesce(array_agg(DISTINCT q.error_code) FILTER (WHERE q.error_code IS NOT NULL), '{}') AS error_codes,
    round(avg(q.quality_score), 3) AS average_quality_score, min(q.created_at) AS queued_at,
    min(q.started_at) AS started_at, CASE WHEN bool_and(q.status = 'completed') THEN max(q.completed_at) END AS completed_at,
    max(q.updated_at) AS updated_at
  FROM public.document_processing_queue AS q JOIN run USING (document_id, pipeline_run_id)
  GROUP BY q.document_id, q.patient_id, q.pipeline_run_id
)
SELECT s.document_id, s.patient_id, d.original_name, d.mime_type, s.pipeline_run_id, s.pipeline_name, s.overall_status,
  CASE s.overall_status WHEN 'completed' THEN 'Processing complete' WHEN 'processing' THEN 'Processing'
    WHEN 'queued' THEN 'Waiting to be processed' WHEN 'failed' THEN 'A step failed and will be tried again'
    WHEN 'requires_review' THEN 'Waiting for a person to look at it' WHEN 'cancelled' THEN 'Cancelled'
    ELSE 'Could not be processed' END AS user_status,
  s.overall_progress AS progress_percentage, s.total_stages, s.completed_stages, s.current_stages, s.error_codes,
  s.average_quality_score, s.queued_at, s.started_at, s.completed_at, s.updated_at
FROM stage AS s JOIN public.documents AS d ON d.id = s.document_id;
COMMENT ON VIEW public.user_document_processing_status IS
  'The newest run of each document, one line a document; row security of the queue and of documents applies.';
COMMENT ON COLUMN public.user_document_processing_status.user_status IS 'overall_status in words for the patient.';
COMMENT ON COLUMN public.user_document_processing_status.progress_percentage IS 'Mean over the stages, rounded down.';
COMMENT ON COLUMN public.user_document_processing_status.current_stages IS 'Stages that are neither waiting nor finished.';
