-- Messages, campaigns and digests.

CREATE FUNCTION public.enqueue_notification(p_user_id uuid, p_type text, p_title text, p_body text,
  p_data jsonb DEFAULT '{}', p_priority text DEFAULT 'normal', p_category text DEFAULT 'administrative',
  p_channels text[] DEFAULT '{in_app}', p_dedup_key text DEFAULT NULL, p_scheduled_for timestamptz DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  IF NOT isfinite(p_scheduled_for) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_scheduled_for is a time, and not infinity';
  ELSIF concat(p_title, p_dedup_key, p_type, p_priority, p_category, p_channels::text)
    ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    -- The CHECK's own error would quote the message.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'only p_body has several lines, and p_data; nothing else has control characters';
  END IF;
  INSERT INTO public.notification_queue (user_id, notification_type, title, body, data, priority, category,
    delivery_channels, dedup_key, scheduled_for)
  VALUES (p_user_id, p_type, p_title, p_body, coalesce(p_data, '{}'), p_priority, p_category, p_channels, p_dedup_key,
    coalesce(p_scheduled_for, now()))
  ON CONFLICT DO NOTHING RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT n.id INTO v_id FROM public.notification_queue AS n
    WHERE n.user_id = p_user_id AND (n.dedup_key = p_dedup_key OR p_dedup_key IS NULL AND n.dedup_key IS NULL
      AND n.notification_type = p_type AND n.title = p_title) ORDER BY n.created_at DESC LIMIT 1;
  END IF;
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'notification_queue', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamptz) IS
  'A message to one user; its id, or that of the one that is there with the same key. NULL for a deleted account.';

CREATE FUNCTION public.enqueue_notification_campaign(p_campaign text, p_type text, p_title text, p_body text,
  p_data jsonb DEFAULT '{}', p_priority text DEFAULT 'normal', p_category text DEFAULT 'administrative',
  p_channels text[] DEFAULT '{in_app,email}', p_scheduled_for timestamptz DEFAULT NULL, p_audience text DEFAULT 'all')
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_count bigint;
  v_constraint text;
  v_column text;
BEGIN
  IF coalesce(p_campaign, '') !~ '^[a-z0-9][a-z0-9_.-]{0,99}$'
    OR coalesce(p_audience, '') NOT IN ('all', 'existing', 'confirmed') OR NOT isfinite(p_scheduled_for)
    OR concat(p_title, p_type, p_priority, p_category, p_channels::text) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_campaign is a name of a-z, 0-9, _ . -, p_audience is all, '
      'existing or confirmed, p_scheduled_for not infinity, and only p_body has several lines';
  END IF;
  INSERT INTO public.notification_queue (user_id, notification_type, title, body, data, priority, category,
    delivery_channels, dedup_key, scheduled_for)
  SELECT u.id, p_type, p_title, p_body, coalesce(p_data, '{}'), p_priority, p_category, w.channels,
    'campaign:' || p_campaign, coalesce(p_scheduled_for, now())
  FROM auth.users AS u LEFT JOIN public.user_preferences AS p ON p.user_id = u.id,
    LATERAL (SELECT ARRAY(SELECT c FROM unnest(p_channels) AS c WHERE coalesce(p.notification_channels,
      '{"email": true, "sms": false, "push": true, "in_app": true}') -> c = 'true')) AS w (channels)
  WHERE w.channels <> '{}'
    AND (p_audience <> 'existing' OR u.created_at < now() - interval '1 day')
    AND (p_audience <> 'confirmed' AND p_category <> 'marketing' OR u.email_confirmed_at IS NOT NULL)
    AND (p_category <> 'marketing' OR public.marketing_allowed(u.id))
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  PERFORM public.write_audit_log('public.notification_queue', p_campaign, 'CAMPAIGN', NULL);
  RETURN v_count;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'notification_queue', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text) IS
  'A message to all accounts, to those older than a day, or to those with a confirmed address; how many new ones. '
  'Repeated, only who has not got it of this campaign gets it. Marketing goes to confirmed accounts that consented.';

CREATE FUNCTION public.create_notification_digest(p_user_id uuid, p_digest_type text DEFAULT 'daily') RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_ids uuid[] := ARRAY(SELECT n.id FROM public.notification_queue AS n
    WHERE n.user_id = p_user_id AND n.for_digest AND n.status = 'scheduled'
      -- A digest is no way around a missing consent: what may not be sent stays, and the claim ends it.
      AND (n.category <> 'marketing' OR public.marketing_allowed(p_user_id))
    ORDER BY n.created_at, n.id
    LIMIT 500 FOR UPDATE SKIP LOCKED);
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  IF cardinality(v_ids) > 1 THEN
    INSERT INTO public.notification_queue (user_id, notification_type, title, body, data, delivery_channels, digest_eligible)
    SELECT p_user_id, 'digest_summary', cardinality(v_ids) || ' notifications', string_agg(n.title, E'\n' ORDER BY u.place)
        FILTER (WHERE u.place <= 15), jsonb_build_object('period', p_digest_type, 'items', jsonb_agg(jsonb_build_object(
        'id', n.id, 'notification_type', n.notification_type, 'title', n.title) ORDER BY u.place)),
      (SELECT array_agg(DISTINCT c) FROM public.notification_queue AS m, unnest(m.delivery_channels) AS c WHERE m.id = ANY (v_ids)),
      false
    FROM unnest(v_ids) WITH ORDINALITY AS u (id, place) JOIN public.notification_queue AS n ON n.id = u.id
    RETURNING id INTO v_id;
  END IF;
  -- A single one is delivered as it is.
  UPDATE public.notification_queue AS n SET for_digest = false, digest_eligible = false, digest_id = v_id,
    next_attempt_at = NULL, status = CASE WHEN v_id IS NULL THEN 'queued' ELSE 'suppressed' END
  WHERE n.id = ANY (v_ids);
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'notification_queue', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.create_notification_digest(uuid, text) IS
  'One message that lists those of a user that wait for a digest, which are then suppressed: these and no others. NULL '
  'where fewer than two wait; a single one is delivered as it is. claim_notifications calls it when a digest is due.';
