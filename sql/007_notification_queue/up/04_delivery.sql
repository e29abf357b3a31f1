-- How workers deliver, and what users do with a message.

CREATE FUNCTION public.pass_over_notifications(p_ids uuid[], p_error_code text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.pass_over('public.notification_queue', i::text) FROM unnest(p_ids) AS i;
  UPDATE public.notification_queue AS n SET attempts = n.attempts + 1, error_code = p_error_code, lease_token = NULL,
    for_digest = n.for_digest AND n.attempts < 4, status = CASE WHEN n.attempts >= 4 THEN 'failed' ELSE 'scheduled' END,
    next_attempt_at = clock_timestamp() + interval '1 hour'
  WHERE n.id = ANY (p_ids);
  RETURN cardinality(p_ids);
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
  RETURN cardinality(p_ids); -- not even that: the claim leaves them alone
END
$$;
COMMENT ON FUNCTION public.pass_over_notifications(uuid[], text) IS
  'Puts messages off for an hour that cannot be prepared, and ends them as failed after the fifth time; how many.';

CREATE FUNCTION public.claim_notifications(p_worker text, p_limit integer DEFAULT 100,
  p_lease interval DEFAULT '5 minutes')
RETURNS TABLE (id uuid, lease_token uuid, user_id uuid, notification_type text, priority text, title text, body text,
  data jsonb, channels text[], attempt integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_left integer := p_limit;
  v_seen integer;
  v_settled integer := 0;
  v_digests uuid[];
  v_user uuid;
  v_ids uuid[];
  v_batch integer := p_limit;
  v_bad uuid[] := '{}';
  v_passed integer := 0;
  v_row record;
BEGIN
  IF p_limit NOT BETWEEN 1 AND 1000 OR p_lease NOT BETWEEN interval '1 second' AND interval '1 day'
    OR coalesce(p_worker, '') = '' OR p_limit IS NULL OR p_lease IS NULL
    OR p_worker ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' OR octet_length(p_worker) > 1024 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE =
      'a worker has a name of one line and 1024 bytes at most, and takes 1 to 1000 messages for 1 s to 1 day';
  END IF;
  LOOP
    v_seen := 0;
    v_digests := '{}';
    v_ids := ARRAY(
      SELECT n.id FROM public.notification_queue AS n
      WHERE n.status IN ('queued', 'scheduled', 'processing') AND coalesce(n.next_attempt_at, n.scheduled_for) <= v_now
        AND n.id <> ALL (v_bad)
      ORDER BY array_position('{urgent,high,normal,low}'::text[], n.priority), coalesce(n.next_attempt_at, n.scheduled_for)
      LIMIT least(v_left, v_batch) FOR UPDATE SKIP LOCKED);
    BEGIN
      FOR v_row IN
        WITH due AS MATERIALIZED (
          SELECT n.* FROM public.notification_queue AS n WHERE n.id = ANY (v_ids)
        ), plan AS MATERIALIZED (
          SELECT d.id, u.usable, q.until, g.digest_at, gen_random_uuid() AS token, CASE
              WHEN coalesce(d.expires_at, d.scheduled_for + interval '30 days') <= v_now THEN 'expired'
              WHEN d.attempts >= 5 THEN 'failed'
              WHEN public.account_is_deleted(d.user_id) THEN 'suppressed'
              WHEN d.category = 'marketing' AND NOT public.marketing_allowed(d.user_id) THEN 'suppressed'
              WHEN u.usable = '{}' AND d.priority <> 'urgent' THEN 'suppressed'
              WHEN d.for_digest THEN 'digest'
              WHEN q.until IS NOT NULL OR g.digest_at IS NOT NULL THEN 'scheduled'
              ELSE 'processing' END AS act
          FROM due AS d LEFT JOIN public.user_preferences AS p ON p.user_id = d.user_id,
            LATERAL (SELECT public.usable_channels(d.user_id, d.delivery_channels, d.notification_type, d.priority)) AS u (usable),
            LATERAL (SELECT CASE WHEN d.respect_quiet_hours AND d.priority <> 'urgent'
              THEN public.quiet_hours_end(p.quiet_hours, p.timezone, v_now) END) AS q (until),
            LATERAL (SELECT CASE WHEN d.digest_eligible AND public.notification_rank(d.priority) > 2
              THEN public.next_digest_at(p.notification_frequency, p.timezone, v_now) END) AS g (digest_at)
        )
        UPDATE public.notification_queue AS n SET
          status = CASE WHEN plan.act = 'digest' THEN n.status ELSE plan.act END,
          for_digest = plan.act = 'digest' OR plan.act = 'scheduled' AND plan.digest_at IS NOT NULL,
          next_attempt_at = CASE plan.act WHEN 'scheduled' THEN coalesce(plan.digest_at, plan.until)
            WHEN 'processing' THEN v_now + p_lease ELSE n.next_attempt_at END,
          lease_token = CASE plan.act WHEN 'processing' THEN public.lease_digest(plan.token) END,
          leased_by = CASE plan.act WHEN 'processing' THEN p_worker ELSE n.leased_by END,
          attempts = n.attempts + CASE plan.act WHEN 'processing' THEN 1 ELSE 0 END
        FROM plan WHERE n.id = plan.id
        RETURNING n.*, plan.act, plan.token, CASE WHEN plan.usable = '{}' THEN '{in_app}' ELSE plan.usable END AS usable
      LOOP
        v_seen := v_seen + 1;
        IF v_row.act = 'processing' THEN
          v_left := v_left - 1;
          SELECT v_row.id, v_row.token, v_row.user_id, v_row.notification_type, v_row.priority, v_row.title,
            v_row.body, v_row.data, v_row.usable, v_row.attempts
          INTO id, lease_token, user_id, notification_type, priority, title, body, data, channels, attempt;
          RETURN NEXT;
        ELSIF v_row.act = 'digest' AND v_row.user_id <> ALL (v_digests) THEN
          v_digests := v_digests || v_row.user_id::uuid;
        END IF;
      END LOOP;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
      -- A message, or its user's preferences, is at fault: from here on one by one, so that nobody else waits for it.
      IF v_batch = 1 THEN
        v_passed := v_passed + public.pass_over_notifications(v_ids, SQLSTATE);
        v_bad := v_bad || v_ids;
      END IF;
      v_batch := 1;
      CONTINUE;
    END;
    FOREACH v_user IN ARRAY v_digests LOOP
      BEGIN
        PERFORM public.create_notification_digest(v_user, coalesce((SELECT p.notification_frequency
          FROM public.user_preferences AS p WHERE p.user_id = v_user), 'daily'));
      EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
        v_ids := ARRAY(SELECT n.id FROM public.notification_queue AS n
          WHERE n.user_id = v_user AND n.for_digest AND n.status = 'scheduled' LIMIT 500 FOR UPDATE SKIP LOCKED);
        v_passed := v_passed + public.pass_over_notifications(v_ids, SQLSTATE);
        v_bad := v_bad || v_ids;
      END;
    END LOOP;
    v_now := clock_timestamp();
    v_settled := v_settled + v_seen;
    -- A campaign to many without an address is no single transaction, for which everybody's rows would wait.
    EXIT WHEN v_seen = 0 OR v_left = 0 OR v_settled >= 5000;
  END LOOP;
  IF v_passed > 0 THEN
    RAISE WARNING '% messages could not be prepared and were put off: audit_log has their ids (PASSED_OVER)', v_passed;
  END IF;
END
$$;
COMMENT ON FUNCTION public.claim_notifications(text, integer, interval) IS
  'Gives a worker the most important messages that are due, in no order, with a lease and the channels to use. What '
  'falls into quiet hours is put off to their end, what belongs into a digest waits for it; expired or undeliverable ones '
  'are ended. What cannot be prepared is put off, and keeps nobody else''s from going. A call settles about 5,000 messages, '
  'which may be none to deliver: ask again.';

CREATE FUNCTION public.fail_notification(p_id uuid, p_lease_token uuid, p_error_code text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_status text;
BEGIN
  IF p_error_code !~ '^[A-Za-z0-9_.:-]{1,64}$' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_error_code is a code of 1 to 64 letters, digits and _ . : -';
  END IF;
  UPDATE public.notification_queue AS n SET lease_token = NULL, error_code = p_error_code,
    status = CASE WHEN n.attempts >= 5 THEN 'failed' ELSE 'scheduled' END,
    next_attempt_at = clock_timestamp() + interval '1 minute' * (0.5 + random() / 2) * 4 ^ least(n.attempts - 1, 5)
  WHERE n.id = p_id AND n.lease_token = public.lease_digest(p_lease_token) RETURNING n.status INTO v_status;
  RETURN v_status;
END
$$;
COMMENT ON FUNCTION public.fail_notification(uuid, uuid, text) IS
  'No channel worked: "scheduled" for another attempt (1 min, times four each, a random half taken off), "failed" after '
  'the fifth, NULL if the lease is lost.';

CREATE FUNCTION public.complete_notification(p_id uuid, p_lease_token uuid, p_delivered text[],
  p_failed text[] DEFAULT '{}') RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_constraint text;
  v_column text;
BEGIN
  IF coalesce(p_delivered, '{}') = '{}' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'delivered by no channel: call fail_notification';
  ELSIF concat(p_delivered::text, p_failed::text) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'the names of channels are a line each, without control characters';
  END IF;
  UPDATE public.notification_queue AS n SET status = 'delivered', delivered_at = clock_timestamp(), lease_token = NULL,
    delivered_channels = p_delivered, failed_channels = coalesce(p_failed, '{}'), error_code = NULL
  WHERE n.id = p_id AND n.lease_token = public.lease_digest(p_lease_token);
  RETURN FOUND;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'notification_queue', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.complete_notification(uuid, uuid, text[], text[]) IS
  'Delivered, by these channels; false if the lease is lost.';

CREATE FUNCTION public.mark_notification(p_id uuid, p_action text DEFAULT 'read') RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(p_action, '') NOT IN ('read', 'clicked', 'dismissed') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_action is read, clicked or dismissed';
  END IF;
  UPDATE public.notification_queue AS n SET read_at = coalesce(n.read_at, now()),
    clicked_at = CASE WHEN p_action = 'clicked' THEN coalesce(n.clicked_at, now()) ELSE n.clicked_at END,
    dismissed_at = CASE WHEN p_action = 'dismissed' THEN coalesce(n.dismissed_at, now()) ELSE n.dismissed_at END
  WHERE n.id = p_id AND n.user_id = auth.uid();
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.mark_notification(uuid, text) IS
  'The user read, clicked or dismissed a message of his own; false if it is not.';
