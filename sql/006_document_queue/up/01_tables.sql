-- Document queue: each document runs through the stages of a pipeline; workers take stages by lease. What patients see
-- of it is one line a document. v6's tables are touched at the end only.

CREATE TABLE public.document_processing_pipelines (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT document_processing_pipelines_pkey PRIMARY KEY,
  pipeline_name text NOT NULL CONSTRAINT document_processing_pipelines_name_key UNIQUE
    CONSTRAINT document_processing_pipelines_name_check CHECK (pipeline_name ~ '^[a-z][a-z0-9_]{0,62}$'),
  pipeline_version integer NOT NULL DEFAULT 1,
  description text,
  document_types text[] NOT NULL DEFAULT '{}'
    CONSTRAINT document_processing_pipelines_types_check CHECK (array_position(document_types, NULL) IS NULL)
    CONSTRAINT document_processing_pipelines_types_line CHECK (document_types::text !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  stages jsonb NOT NULL CONSTRAINT document_processing_pipelines_stages_check CHECK (
    CASE WHEN jsonb_typeof(stages) = 'array' THEN jsonb_array_length(stages) BETWEEN 1 AND 50 ELSE false END),
  is_active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  created_by uuid
);
COMMENT ON TABLE public.document_processing_pipelines IS
  'What is done to a document and in which order. Written by save_document_pipeline only.';
COMMENT ON COLUMN public.document_processing_pipelines.pipeline_version IS
  'Rises with every change; a run keeps the stages that it began with.';
COMMENT ON COLUMN public.document_processing_pipelines.document_types IS
  'MIME types (documents.mime_type) it takes; empty: any.';
COMMENT ON COLUMN public.document_processing_pipelines.stages IS
  'Array of {stage, processor_type, order, max_attempts, config}; stages of one order run side by side.';
COMMENT ON COLUMN public.document_processing_pipelines.is_active IS 'False: no new runs; begun ones go on.';
COMMENT ON COLUMN public.document_processing_pipelines.created_by IS 'User who made it; NULL for the server side.';

CREATE TABLE public.document_processing_queue (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT document_processing_queue_pkey PRIMARY KEY,
  document_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  pipeline_name text NOT NULL,
  pipeline_version integer NOT NULL,
  pipeline_run_id uuid NOT NULL,
  processing_stage text NOT NULL
    CONSTRAINT document_processing_queue_stage_check CHECK (processing_stage ~ '^[a-z][a-z0-9_]{0,62}$'),
  stage_order integer NOT NULL CONSTRAINT document_processing_queue_order_check CHECK (stage_order > 0),
  total_stages integer NOT NULL CONSTRAINT document_processing_queue_total_check CHECK (total_stages > 0),
  processor_type text NOT NULL CONSTRAINT document_processing_queue_processor_check CHECK (processor_type IN (
    'ocr_extraction', 'ai_analysis', 'clinical_coding', 'quality_validation', 'fhir_mapping', 'duplicate_detection',
    'clinical_extraction')),
  processor_config jsonb NOT NULL DEFAULT '{}',
  priority integer NOT NULL DEFAULT 5
    CONSTRAINT document_processing_queue_priority_check CHECK (priority BETWEEN 1 AND 10),
  status text NOT NULL DEFAULT 'waiting' CONSTRAINT document_processing_queue_status_check CHECK (status IN (
    'waiting', 'queued', 'processing', 'failed', 'completed', 'requires_review', 'dead_letter', 'cancelled')),
  due_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL DEFAULT 0 CONSTRAINT document_processing_queue_attempts_check CHECK (attempts >= 0),
  max_attempts integer NOT NULL DEFAULT 4
    CONSTRAINT document_processing_queue_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 100),
  lease_token uuid,
  leased_by text CONSTRAINT document_processing_queue_leased_by_bound CHECK (octet_length(leased_by) <= 1024)
    CONSTRAINT document_processing_queue_leased_by_line CHECK (leased_by !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  progress_percentage integer NOT NULL DEFAULT 0
    CONSTRAINT document_processing_queue_progress_check CHECK (progress_percentage BETWEEN 0 AND 100),
  error_code text CONSTRAINT document_processing_queue_error_code_check CHECK (error_code ~ '^[A-Za-z0-9_.:-]{1,64}$'),
  error_message text CONSTRAINT document_processing_queue_error_bound CHECK (octet_length(error_message) <= 16000),
  processing_results jsonb CONSTRAINT document_processing_queue_results_bound
    CHECK (octet_length(processing_results::text) <= 16777216),
  quality_score numeric(4,3)
    CONSTRAINT document_processing_queue_quality_check CHECK (quality_score BETWEEN 0 AND 1),
  started_at timestamptz,
  completed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- Enqueued twice is the same as once.
  CONSTRAINT document_processing_queue_stage_key UNIQUE (document_id, pipeline_run_id, processing_stage),
  CONSTRAINT document_processing_queue_lease_check CHECK ((status = 'processing') = (lease_token IS NOT NULL)),
  CONSTRAINT document_processing_queue_done_check
    CHECK (status <> 'completed' OR (progress_percentage = 100 AND completed_at IS NOT NULL))
);
COMMENT ON TABLE public.document_processing_queue IS
  'One row a stage of a run of a document. Written by functions only; patients read their own.';
COMMENT ON COLUMN public.document_processing_queue.patient_id IS 'Owner of the document (documents.user_id).';
COMMENT ON COLUMN public.document_processing_queue.pipeline_run_id IS 'One passage of the document through a pipeline.';
COMMENT ON COLUMN public.document_processing_queue.stage_order IS
  'A stage begins when every stage of a lower order of its run is completed.';
COMMENT ON COLUMN public.document_processing_queue.priority IS
  '1 first, 10 last; lanes: 1 to 3 urgent, 4 to 7 normal, 8 to 10 bulk.';
COMMENT ON COLUMN public.document_processing_queue.status IS
  'waiting for an earlier stage, queued, processing, failed (tried again at due_at), completed, requires_review, '
  'dead_letter (given up until somebody puts it back), cancelled.';
COMMENT ON COLUMN public.document_processing_queue.due_at IS
  'When a worker may take it: its time, the time of the next attempt, or while processing the end of the lease.';
COMMENT ON COLUMN public.document_processing_queue.attempts IS 'Leases given since it was last put into the queue.';
COMMENT ON COLUMN public.document_processing_queue.lease_token IS
  'lease_digest() of the lease''s token, without which nobody completes the stage; the token itself only its worker has.';
COMMENT ON COLUMN public.document_processing_queue.leased_by IS 'Name of the worker that took it last.';
COMMENT ON COLUMN public.document_processing_queue.error_code IS 'Machine-readable cause of the last failure.';
COMMENT ON COLUMN public.document_processing_queue.error_message IS
  'Words of the last failure, for the server side: they may quote the document.';
COMMENT ON COLUMN public.document_processing_queue.processing_results IS 'What the stage found in the document.';
COMMENT ON COLUMN public.document_processing_queue.quality_score IS 'Confidence of the stage, 0 to 1.';

CREATE INDEX document_processing_pipelines_created_by_idx ON public.document_processing_pipelines (created_by)
  WHERE created_by IS NOT NULL;
CREATE INDEX document_processing_queue_claim_idx ON public.document_processing_queue (priority, due_at)
  WHERE status IN ('queued', 'failed', 'processing');
CREATE INDEX document_processing_queue_lease_idx ON public.document_processing_queue (due_at)
  WHERE status = 'processing';
CREATE INDEX document_processing_queue_patient_idx ON public.document_processing_queue (patient_id, document_id);
CREATE INDEX document_processing_queue_stuck_idx ON public.document_processing_queue (status, updated_at)
  WHERE status IN ('dead_letter', 'requires_review');
