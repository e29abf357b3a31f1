-- How a stage ends, and what comes after it.

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

CREATE FUNCTION public.lock_document_run(p_pipeline_run_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.require_read_committed();
  PERFORM pg_advisory_xact_lock(hashtextextended(p_pipeline_run_id::text, 0));
END
$$;
COMMENT ON FUNCTION public.lock_document_run(uuid) IS
  'One change of a run at a time: two stages that end together must see each other, or none queues the next.';

CREATE FUNCTION public.complete_document_work(p_id uuid, p_lease_token uuid, p_results jsonb DEFAULT NULL,
  p_quality_score numeric DEFAULT NULL, p_requires_review boolean DEFAULT false)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row record;
  v_constraint text;
  v_column text;
BEGIN
  -- The CHECK's own error would quote the row: what was found in the document.
  IF p_quality_score NOT BETWEEN 0 AND 1 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_quality_score is 0 to 1';
  END IF;
  SELECT q.document_id, q.pipeline_run_id INTO v_row FROM public.document_processing_queue AS q WHERE q.id = p_id;
  PERFORM public.lock_document_run(v_row.pipeline_run_id);
  UPDATE public.document_processing_queue AS q SET
    status = CASE WHEN p_requires_review THEN 'requires_review' ELSE 'completed' END, lease_token = NULL,
    progress_percentage = 100, processing_results = p_results, quality_score = p_quality_score,
    completed_at = clock_timestamp(), error_code = NULL, error_message = NULL
  WHERE q.id = p_id AND q.lease_token = public.lease_digest(p_lease_token);
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM public.advance_document_run(v_row.document_id, v_row.pipeline_run_id);
  RETURN true;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'document_processing_queue', v_constraint, v_column);
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
  IF p_error_code !~ '^[A-Za-z0-9_.:-]{1,64}$' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_error_code is a code of 1 to 64 letters, digits and _ . : -';
  END IF;
  UPDATE public.document_processing_queue AS q SET lease_token = NULL, error_code = p_error_code,
    error_message = left(p_error_message, 4000), progress_percentage = 0,
    status = CASE WHEN p_retryable AND q.attempts < q.max_attempts THEN 'failed' ELSE 'dead_letter' END,
    due_at = clock_timestamp() + public.document_retry_delay(q.attempts)
  WHERE q.id = p_id AND q.lease_token = public.lease_digest(p_lease_token) RETURNING q.status INTO v_status;
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
