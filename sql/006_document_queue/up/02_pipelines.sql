-- Pipelines, and how a document gets into one.

CREATE FUNCTION public.save_document_pipeline(p_pipeline_name text, p_stages jsonb, p_description text DEFAULT NULL,
  p_document_types text[] DEFAULT '{}', p_is_active boolean DEFAULT true)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_stages jsonb;
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  IF jsonb_typeof(p_stages) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_stages must be an array of stages';
  ELSIF concat(p_pipeline_name, p_document_types::text) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'names of pipelines and types are a line each, without control characters';
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
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'document_processing_pipelines', v_constraint, v_column);
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
  v_constraint text;
  v_column text;
BEGIN
  PERFORM public.require_read_committed();
  -- Two requests at once: the second waits, and then finds the run of the first, and document and pipeline as they are then.
  PERFORM pg_advisory_xact_lock(hashtextextended(p_document_id || ' ' || p_pipeline_name, 0));
  -- A run that is there keeps the stages it began with, whatever its pipeline is now.
  IF EXISTS (SELECT FROM public.document_processing_queue AS q
    WHERE q.document_id = p_document_id AND q.pipeline_run_id = p_pipeline_run_id) THEN
    RETURN p_pipeline_run_id;
  END IF;
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
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'document_processing_queue', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) IS
  'Puts a document into a pipeline; the run''s id. While a run of it is unfinished that one is returned; a run''s id of '
  'the caller''s own makes a repeated call harmless: it returns that run and changes nothing.';
