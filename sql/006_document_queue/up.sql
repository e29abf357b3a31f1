-- Document queue: each document runs through the stages of a pipeline; workers take stages by lease. What patients see
-- of it is one line a document. v6's tables are touched at the end only.

CREATE TABLE public.document_processing_pipelines (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT document_processing_pipelines_pkey PRIMARY KEY,
  pipeline_name text NOT NULL CONSTRAINT document_processing_pipelines_name_key UNIQUE
    CONSTRAINT document_processing_pipelines_name_check CHECK (pipeline_name ~ '^[a-z][a-z0-9_]{0,62}$'),
  pipeline_version integer NOT NULL DEFAULT 1,
  description text,
  document_types text[] NOT NULL DEFAULT '{}'
    CONSTRAINT document_processing_pipelines_types_check CHECK (array_position(document_types, NULL) IS NULL),
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
  leased_by text,
  progress_percentage integer NOT NULL DEFAULT 0
    CONSTRAINT document_processing_queue_progress_check CHECK (progress_percentage BETWEEN 0 AND 100),
  error_code text CONSTRAINT document_processing_queue_error_code_check CHECK (error_code ~ '^[A-Za-z0-9_.:-]{1,64}$'),
  error_message text,
  processing_results jsonb,
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
  'Proof of the lease; without it nobody completes the stage.';
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

CREATE FUNCTION public.save_document_pipeline(p_pipeline_name text, p_stages jsonb, p_description text DEFAULT NULL,
  p_document_types text[] DEFAULT '{}', p_is_active boolean DEFAULT true)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_stages jsonb;
  v_id uuid;
BEGIN
  IF jsonb_typeof(p_stages) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_stages must be an array of stages';
  END IF;
  IF EXISTS (SELECT FROM jsonb_array_elements(p_stages) AS s (stage) WHERE jsonb_typeof(s.stage) <> 'object'
      OR coalesce(s.stage ->> 'stage' !~ '^[a-z][a-z0-9_]{0,62}$', true)
      OR coalesce(s.stage ->> 'processor_type' <> ALL ('{ocr_extraction,ai_analysis,clinical_coding,quality_validation,fhir_mapping,duplicate_detection,clinical_extraction}'), true)
      OR coalesce(s.stage ->> 'order', '1') !~ '^[1-9][0-9]?$'
      OR coalesce(s.stage ->> 'max_attempts', '4') !~ '^([1-9][0-9]?|100)$'
      OR jsonb_typeof(coalesce(s.stage -> 'config', '{}')) <> 'object')
    OR (SELECT count(DISTINCT s.stage ->> 'stage') <> count(*) FROM jsonb_array_elements(p_stages) AS s (stage)) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE =
      'each stage needs its own name and a known processor_type; order is 1 to 99, max_attempts 1 to 100, config an object';
  END IF;
  SELECT coalesce(jsonb_agg(jsonb_build_object('stage', s.stage -> 'stage', 'processor_type', s.stage -> 'processor_type',
    'order', coalesce((s.stage ->> 'order')::integer, s.place), 'config', coalesce(s.stage -> 'config', '{}'),
    'max_attempts', coalesce((s.stage ->> 'max_attempts')::integer, 4)) ORDER BY s.place), '[]') INTO v_stages
  FROM jsonb_array_elements(p_stages) WITH ORDINALITY AS s (stage, place);
  INSERT INTO public.document_processing_pipelines AS p
    (pipeline_name, description, document_types, stages, is_active, created_by)
  VALUES (p_pipeline_name, p_description, coalesce(p_document_types, '{}'), v_stages, coalesce(p_is_active, true), auth.uid())
  ON CONFLICT (pipeline_name) DO UPDATE SET description = excluded.description, stages = excluded.stages,
    document_types = excluded.document_types, is_active = excluded.is_active, pipeline_version = p.pipeline_version
      + CASE WHEN p.stages IS DISTINCT FROM excluded.stages THEN 1 ELSE 0 END
  RETURNING p.id INTO v_id;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.save_document_pipeline(text, jsonb, text, text[], boolean) IS
  'Makes a pipeline or changes it for later runs; its id. A stage without "order" runs after the one before it.';

CREATE FUNCTION public.enqueue_document(p_document_id uuid, p_pipeline_name text, p_priority integer DEFAULT 5,
  p_pipeline_run_id uuid DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_document record;
  v_pipeline public.document_processing_pipelines%ROWTYPE;
  v_run uuid;
BEGIN
  SELECT d.user_id, d.mime_type INTO v_document FROM public.documents AS d WHERE d.id = p_document_id;
  IF v_document.user_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'there is no such document, or it belongs to nobody';
  END IF;
  SELECT * INTO v_pipeline FROM public.document_processing_pipelines AS p
  WHERE p.pipeline_name = p_pipeline_name AND p.is_active
    AND (p.document_types = '{}' OR v_document.mime_type = ANY (p.document_types));
  IF v_pipeline.id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no active pipeline of this name takes documents of this type';
  END IF;
  -- Two requests at once: the second waits and then finds the run of the first.
  PERFORM pg_advisory_xact_lock(hashtextextended(p_document_id || ' ' || p_pipeline_name, 0));
  IF p_pipeline_run_id IS NULL THEN
    SELECT q.pipeline_run_id INTO v_run FROM public.document_processing_queue AS q
    WHERE q.document_id = p_document_id AND q.pipeline_name = p_pipeline_name
      AND q.status IN ('waiting', 'queued', 'processing', 'failed', 'requires_review') LIMIT 1;
    IF v_run IS NOT NULL THEN
      RETURN v_run;
    END IF;
  END IF;
  v_run := coalesce(p_pipeline_run_id, gen_random_uuid());
  INSERT INTO public.document_processing_queue (document_id, patient_id, pipeline_name, pipeline_version,
    pipeline_run_id, processing_stage, stage_order, total_stages, processor_type, processor_config, max_attempts,
    priority, status)
  SELECT p_document_id, v_document.user_id, v_pipeline.pipeline_name, v_pipeline.pipeline_version, v_run,
    s.stage ->> 'stage', (s.stage ->> 'order')::integer, jsonb_array_length(v_pipeline.stages),
    s.stage ->> 'processor_type', s.stage -> 'config', (s.stage ->> 'max_attempts')::integer, p_priority,
    CASE WHEN rank() OVER (ORDER BY (s.stage ->> 'order')::integer) = 1 THEN 'queued' ELSE 'waiting' END
  FROM jsonb_array_elements(v_pipeline.stages) AS s (stage)
  ON CONFLICT ON CONSTRAINT document_processing_queue_stage_key DO NOTHING;
  RETURN v_run;
END
$$;
COMMENT ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) IS
  'Puts a document into a pipeline; the run''s id. While a run of it is unfinished that one is returned; a run''s id of '
  'the caller''s own makes a repeated call harmless.';

CREATE FUNCTION public.document_retry_delay(p_attempts integer) RETURNS interval
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT interval '1 second' * (0.5 + random() / 2) * least(3600, 30 * 2 ^ least(greatest(p_attempts - 1, 0), 10))
$$;
COMMENT ON FUNCTION public.document_retry_delay(integer) IS
  'Pause after the nth attempt: 30 s doubled each time up to an hour, a random half of it taken off, so that what '
  'failed together does not come back together.';

CREATE FUNCTION public.claim_document_work(p_worker text, p_limit integer DEFAULT 1,
  p_lease interval DEFAULT '5 minutes', p_processor_types text[] DEFAULT NULL, p_lane text DEFAULT NULL)
RETURNS TABLE (id uuid, lease_token uuid, lease_until timestamptz, document_id uuid, pipeline_name text,
  pipeline_run_id uuid, processing_stage text, processor_type text, processor_config jsonb, attempt integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_from integer := CASE p_lane WHEN 'urgent' THEN 1 WHEN 'normal' THEN 4 WHEN 'bulk' THEN 8 ELSE 1 END;
  v_to integer := CASE p_lane WHEN 'urgent' THEN 3 WHEN 'normal' THEN 7 WHEN 'bulk' THEN 10 ELSE 10 END;
BEGIN
  IF p_limit NOT BETWEEN 1 AND 1000 OR p_lease NOT BETWEEN interval '1 second' AND interval '1 day'
    OR p_lane NOT IN ('urgent', 'normal', 'bulk') OR coalesce(p_worker, '') = '' OR p_limit IS NULL
    OR p_lease IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE =
      'a worker has a name, takes 1 to 1000 stages for 1 s to 1 day, of lane urgent, normal, bulk or (NULL) any';
  END IF;
  -- The last attempt's worker died.
  UPDATE public.document_processing_queue AS q SET status = 'dead_letter', lease_token = NULL, error_code = 'lease_expired'
  WHERE q.id IN (
    SELECT e.id FROM public.document_processing_queue AS e
    WHERE e.status = 'processing' AND e.due_at <= v_now AND e.attempts >= e.max_attempts FOR UPDATE SKIP LOCKED);
  RETURN QUERY
  WITH due AS MATERIALIZED (
    SELECT d.id, d.priority, d.due_at FROM public.document_processing_queue AS d
    WHERE d.status IN ('queued', 'failed', 'processing') AND d.due_at <= v_now AND d.priority BETWEEN v_from AND v_to
      AND d.attempts < d.max_attempts AND (p_processor_types IS NULL OR d.processor_type = ANY (p_processor_types))
    ORDER BY d.priority, d.due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), taken AS (
    UPDATE public.document_processing_queue AS q SET status = 'processing', lease_token = gen_random_uuid(),
      leased_by = p_worker, due_at = v_now + p_lease, attempts = q.attempts + 1,
      started_at = coalesce(q.started_at, v_now), progress_percentage = 0
    FROM due WHERE q.id = due.id RETURNING q.*
  )
  SELECT t.id, t.lease_token, t.due_at, t.document_id, t.pipeline_name, t.pipeline_run_id, t.processing_stage,
    t.processor_type, t.processor_config, t.attempts
  FROM taken AS t JOIN due ON due.id = t.id ORDER BY due.priority, due.due_at;
END
$$;
COMMENT ON FUNCTION public.claim_document_work(text, integer, interval, text[], text) IS
  'Gives a worker the most urgent stages that are due, with a lease each; another worker gets others (SKIP LOCKED). A '
  'lease that ended makes its stage due again, and after the last attempt a dead letter.';

CREATE FUNCTION public.heartbeat_document_work(p_id uuid, p_lease_token uuid, p_lease interval DEFAULT '5 minutes',
  p_progress integer DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE public.document_processing_queue AS q SET due_at = clock_timestamp() + p_lease,
    progress_percentage = coalesce(p_progress, q.progress_percentage)
  WHERE q.id = p_id AND q.lease_token = p_lease_token;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.heartbeat_document_work(uuid, uuid, interval, integer) IS
  'Prolongs a lease from now and tells the progress in per cent; false if the lease is lost, then stop.';

CREATE FUNCTION public.advance_document_run(p_document_id uuid, p_pipeline_run_id uuid) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE public.document_processing_queue AS q SET status = 'queued', due_at = clock_timestamp()
  WHERE q.document_id = p_document_id AND q.pipeline_run_id = p_pipeline_run_id AND q.status = 'waiting'
    AND NOT EXISTS (
      SELECT FROM public.document_processing_queue AS e
      WHERE e.document_id = p_document_id AND e.pipeline_run_id = p_pipeline_run_id
        AND e.stage_order < q.stage_order AND e.status <> 'completed')
$$;
COMMENT ON FUNCTION public.advance_document_run(uuid, uuid) IS
  'Queues the stages of a run whose predecessors are completed. The caller holds lock_document_run.';

CREATE FUNCTION public.lock_document_run(p_pipeline_run_id uuid) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_advisory_xact_lock(hashtextextended(p_pipeline_run_id::text, 0))
$$;
COMMENT ON FUNCTION public.lock_document_run(uuid) IS
  'One change of a run at a time: two stages that end together must see each other, or none queues the next.';

CREATE FUNCTION public.complete_document_work(p_id uuid, p_lease_token uuid, p_results jsonb DEFAULT NULL,
  p_quality_score numeric DEFAULT NULL, p_requires_review boolean DEFAULT false)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row record;
BEGIN
  SELECT q.document_id, q.pipeline_run_id INTO v_row FROM public.document_processing_queue AS q WHERE q.id = p_id;
  PERFORM public.lock_document_run(v_row.pipeline_run_id);
  UPDATE public.document_processing_queue AS q SET
    status = CASE WHEN p_requires_review THEN 'requires_review' ELSE 'completed' END, lease_token = NULL,
    progress_percentage = 100, processing_results = p_results, quality_score = p_quality_score,
    completed_at = clock_timestamp(), error_code = NULL, error_message = NULL
  WHERE q.id = p_id AND q.lease_token = p_lease_token;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM public.advance_document_run(v_row.document_id, v_row.pipeline_run_id);
  RETURN true;
END
$$;
COMMENT ON FUNCTION public.complete_document_work(uuid, uuid, jsonb, numeric, boolean) IS
  'Ends a stage well and queues what waits for it; false, and nothing recorded, if the lease is lost. With '
  'p_requires_review the run waits for approve_document_work.';

CREATE FUNCTION public.fail_document_work(p_id uuid, p_lease_token uuid, p_error_code text,
  p_error_message text DEFAULT NULL, p_retryable boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_status text;
BEGIN
  UPDATE public.document_processing_queue AS q SET lease_token = NULL, error_code = p_error_code,
    error_message = left(p_error_message, 4000), progress_percentage = 0,
    status = CASE WHEN p_retryable AND q.attempts < q.max_attempts THEN 'failed' ELSE 'dead_letter' END,
    due_at = clock_timestamp() + public.document_retry_delay(q.attempts)
  WHERE q.id = p_id AND q.lease_token = p_lease_token RETURNING q.status INTO v_status;
  RETURN v_status;
END
$$;
COMMENT ON FUNCTION public.fail_document_work(uuid, uuid, text, text, boolean) IS
  'Ends an attempt badly: "failed" (it is tried again after document_retry_delay), "dead_letter" after the last attempt '
  'or where trying again is no use, NULL if the lease is lost.';

CREATE FUNCTION public.approve_document_work(p_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row record;
BEGIN
  SELECT q.document_id, q.pipeline_run_id INTO v_row FROM public.document_processing_queue AS q WHERE q.id = p_id;
  PERFORM public.lock_document_run(v_row.pipeline_run_id);
  UPDATE public.document_processing_queue AS q SET status = 'completed' WHERE q.id = p_id AND q.status = 'requires_review';
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM public.advance_document_run(v_row.document_id, v_row.pipeline_run_id);
  PERFORM public.write_audit_log('public.document_processing_queue', p_id::text, 'APPROVE', '{status}');
  RETURN true;
END
$$;
COMMENT ON FUNCTION public.approve_document_work(uuid) IS
  'A person looked at a stage that requires review and lets the run go on; false if it was not waiting for that.';

CREATE FUNCTION public.requeue_document_work(p_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE public.document_processing_queue AS q SET status = 'queued', attempts = 0, due_at = clock_timestamp(),
    completed_at = NULL, progress_percentage = 0
  WHERE q.id = p_id AND q.status IN ('dead_letter', 'requires_review');
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM public.write_audit_log('public.document_processing_queue', p_id::text, 'REQUEUE', '{status,attempts}');
  RETURN true;
END
$$;
COMMENT ON FUNCTION public.requeue_document_work(uuid) IS
  'Puts a dead letter, or a stage that review turned down, back into the queue; false if it is neither.';

CREATE FUNCTION public.cancel_document_run(p_document_id uuid, p_pipeline_run_id uuid) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_count bigint;
BEGIN
  PERFORM public.lock_document_run(p_pipeline_run_id);
  UPDATE public.document_processing_queue AS q SET status = 'cancelled', lease_token = NULL
  WHERE q.document_id = p_document_id AND q.pipeline_run_id = p_pipeline_run_id
    AND q.status NOT IN ('completed', 'cancelled');
  GET DIAGNOSTICS v_count = ROW_COUNT;
  IF v_count > 0 THEN
    PERFORM public.write_audit_log('public.document_processing_queue', p_document_id || ',' || p_pipeline_run_id, 'CANCEL',
      '{status}');
  END IF;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.cancel_document_run(uuid, uuid) IS
  'Ends what is not completed of a run, leases included; how many stages that were.';

CREATE FUNCTION public.document_queue_depth()
RETURNS TABLE (lane text, status text, stages bigint, oldest_due timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN q.priority <= 3 THEN 'urgent' WHEN q.priority <= 7 THEN 'normal' ELSE 'bulk' END, q.status, count(*),
    min(q.due_at)
  FROM public.document_processing_queue AS q WHERE q.status NOT IN ('completed', 'cancelled') GROUP BY 1, 2 ORDER BY 1, 2
$$;
COMMENT ON FUNCTION public.document_queue_depth() IS 'Stages that are not finished, by lane and status; no names, no ids.';

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
  public.enqueue_document(uuid, text, integer, uuid), public.document_retry_delay(integer),
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

-- From here on v6 is locked. A deleted document or account takes its work along; who made a pipeline is forgotten.
ALTER TABLE public.document_processing_pipelines
  ADD CONSTRAINT document_processing_pipelines_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.document_processing_queue
  ADD CONSTRAINT document_processing_queue_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT document_processing_queue_document_id_fkey
    FOREIGN KEY (document_id) REFERENCES public.documents (id) ON DELETE CASCADE;
