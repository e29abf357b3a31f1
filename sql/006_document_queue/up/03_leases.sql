-- How workers take stages and keep them.

CREATE FUNCTION public.document_retry_delay(p_attempts integer) RETURNS interval
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT interval '1 second' * (0.5 + random() / 2) * least(3600, 30 * 2 ^ least(greatest(p_attempts - 1, 0), 10))
$$;
COMMENT ON FUNCTION public.document_retry_delay(integer) IS
  'Pause after the nth attempt: 30 s doubled each time up to an hour, a random half of it taken off, so that what '
  'failed together does not come back together.';

-- Whoever reads the queue, a backup or an archive of it, completes nobody's work. 128 bits of a token of 122 random ones.
CREATE FUNCTION public.lease_digest(p_lease_token uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  SELECT left(encode(sha256(uuid_send(p_lease_token)), 'hex'), 32)::uuid
$$;
COMMENT ON FUNCTION public.lease_digest(uuid) IS
  'What is stored of a lease''s token: the first half of its SHA-256.';

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
    OR p_lease IS NULL OR p_worker ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' OR octet_length(p_worker) > 1024 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE =
      'a worker has a name of one line and 1024 bytes at most, takes 1 to 1000 stages for 1 s to 1 day, of lane urgent, normal, bulk or (NULL) any';
  END IF;
  -- The last attempt's worker died.
  UPDATE public.document_processing_queue AS q SET status = 'dead_letter', lease_token = NULL, error_code = 'lease_expired'
  WHERE q.id IN (
    SELECT e.id FROM public.document_processing_queue AS e
    WHERE e.status = 'processing' AND e.due_at <= v_now AND e.attempts >= e.max_attempts FOR UPDATE SKIP LOCKED);
  RETURN QUERY
  WITH due AS MATERIALIZED (
    SELECT d.id, d.priority, d.due_at, gen_random_uuid() AS token FROM public.document_processing_queue AS d
    WHERE d.status IN ('queued', 'failed', 'processing') AND d.due_at <= v_now AND d.priority BETWEEN v_from AND v_to
      AND d.attempts < d.max_attempts AND (p_processor_types IS NULL OR d.processor_type = ANY (p_processor_types))
    ORDER BY d.priority, d.due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), taken AS (
    UPDATE public.document_processing_queue AS q SET status = 'processing', lease_token = public.lease_digest(due.token),
      leased_by = p_worker, due_at = v_now + p_lease, attempts = q.attempts + 1,
      started_at = coalesce(q.started_at, v_now), progress_percentage = 0
    FROM due WHERE q.id = due.id RETURNING q.*
  )
  SELECT t.id, due.token, t.due_at, t.document_id, t.pipeline_name, t.pipeline_run_id, t.processing_stage,
    t.processor_type, t.processor_config, t.attempts
  FROM taken AS t JOIN due ON due.id = t.id ORDER BY due.priority, due.due_at;
END
$$;
COMMENT ON FUNCTION public.claim_document_work(text, integer, interval, text[], text) IS
  'Gives a worker the most urgent stages that are due, with a lease each, whose token is told here and nowhere else; '
  'another worker gets others (SKIP LOCKED). A lease that ended makes its stage due again, and after the last attempt a dead letter.';

CREATE FUNCTION public.heartbeat_document_work(p_id uuid, p_lease_token uuid, p_lease interval DEFAULT '5 minutes',
  p_progress integer DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- The bounds of claim_document_work: a lease that never ends would keep the stage from everybody.
  IF p_lease NOT BETWEEN interval '1 second' AND interval '1 day' OR p_lease IS NULL
    OR p_progress NOT BETWEEN 0 AND 100 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_lease is 1 s to 1 day, p_progress 0 to 100 or NULL';
  END IF;
  UPDATE public.document_processing_queue AS q SET due_at = clock_timestamp() + p_lease,
    progress_percentage = coalesce(p_progress, q.progress_percentage)
  WHERE q.id = p_id AND q.lease_token = public.lease_digest(p_lease_token);
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.heartbeat_document_work(uuid, uuid, interval, integer) IS
  'Prolongs a lease from now and tells the progress in per cent; false if the lease is lost, then stop.';
