-- Notifications: what users are told, when and by which channel. Workers take them by lease. The triggers on consents and
-- on the document queue, both ours, are made before v6 is touched.

CREATE TABLE public.notification_queue (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT notification_queue_pkey PRIMARY KEY,
  user_id uuid NOT NULL,
  notification_type text NOT NULL CONSTRAINT notification_queue_type_check CHECK (notification_type IN (
    'document_processed', 'new_clinical_finding', 'medication_reminder', 'appointment_reminder', 'care_team_message',
    'consent_expiring', 'consent_updated', 'data_sharing_request', 'system_maintenance', 'system_upgrade',
    'feature_introduction', 'security_alert', 'health_insight', 'emergency_alert', 'digest_summary')),
  priority text NOT NULL DEFAULT 'normal'
    CONSTRAINT notification_queue_priority_check CHECK (priority IN ('urgent', 'high', 'normal', 'low')),
  category text NOT NULL DEFAULT 'administrative' CONSTRAINT notification_queue_category_check
    CHECK (category IN ('clinical', 'administrative', 'social', 'technical', 'marketing')),
  title text NOT NULL CONSTRAINT notification_queue_title_check CHECK (length(title) BETWEEN 1 AND 200),
  body text NOT NULL CONSTRAINT notification_queue_body_check CHECK (length(body) BETWEEN 1 AND 4000),
  data jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT notification_queue_data_check CHECK (jsonb_typeof(data) = 'object'),
  delivery_channels text[] NOT NULL DEFAULT '{in_app}'
    CONSTRAINT notification_queue_channels_check CHECK (delivery_channels <> '{}'
      AND delivery_channels <@ '{email,sms,push,in_app}'::text[]),
  scheduled_for timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  respect_quiet_hours boolean NOT NULL DEFAULT true,
  digest_eligible boolean NOT NULL DEFAULT true,
  dedup_key text CONSTRAINT notification_queue_dedup_key_check CHECK (length(dedup_key) BETWEEN 1 AND 200),
  status text NOT NULL DEFAULT 'queued' CONSTRAINT notification_queue_status_check CHECK (status IN (
    'queued', 'scheduled', 'processing', 'delivered', 'failed', 'expired', 'cancelled', 'suppressed')),
  next_attempt_at timestamptz,
  for_digest boolean NOT NULL DEFAULT false,
  digest_id uuid,
  attempts integer NOT NULL DEFAULT 0 CONSTRAINT notification_queue_attempts_check CHECK (attempts >= 0),
  lease_token uuid,
  leased_by text,
  error_code text CONSTRAINT notification_queue_error_code_check CHECK (error_code ~ '^[A-Za-z0-9_.:-]{1,64}$'),
  delivered_channels text[] NOT NULL DEFAULT '{}',
  failed_channels text[] NOT NULL DEFAULT '{}',
  delivered_at timestamptz,
  read_at timestamptz,
  clicked_at timestamptz,
  dismissed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT notification_queue_lease_check CHECK ((status = 'processing') = (lease_token IS NOT NULL)),
  CONSTRAINT notification_queue_digest_check CHECK (NOT for_digest OR status = 'scheduled')
);
COMMENT ON TABLE public.notification_queue IS
  'One row a message to a user, from its order to its delivery. Written by functions, and by the owner''s INSERTs.';
COMMENT ON COLUMN public.notification_queue.priority IS 'urgent before high before normal before low: by rank, not by letter.';
COMMENT ON COLUMN public.notification_queue.category IS 'marketing is delivered only under a consent to it.';
COMMENT ON COLUMN public.notification_queue.data IS 'Keys and links for the application; no clinical values.';
COMMENT ON COLUMN public.notification_queue.delivery_channels IS
  'What the sender asks for; used is what the user has enabled and verified when it is delivered.';
COMMENT ON COLUMN public.notification_queue.scheduled_for IS 'Not before.';
COMMENT ON COLUMN public.notification_queue.expires_at IS 'Not after; NULL: 30 days after scheduled_for.';
COMMENT ON COLUMN public.notification_queue.digest_eligible IS
  'May wait for the digest of a user who wants hourly, daily or weekly messages; urgent and high never wait.';
COMMENT ON COLUMN public.notification_queue.dedup_key IS
  'A user gets one message of a key. Without a key: one system message of the same words a day (UTC).';
COMMENT ON COLUMN public.notification_queue.status IS
  'queued, scheduled (put off: quiet hours, digest, another attempt), processing, delivered, failed, expired, '
  'cancelled, suppressed (in a digest, or no channel is left).';
COMMENT ON COLUMN public.notification_queue.next_attempt_at IS
  'When it is due if not at scheduled_for: end of quiet hours, digest, retry, or while processing the end of the lease.';
COMMENT ON COLUMN public.notification_queue.for_digest IS 'Waits for a digest.';
COMMENT ON COLUMN public.notification_queue.digest_id IS
  'The digest that lists it. No foreign key: rows come back from an archive in any order.';
COMMENT ON COLUMN public.notification_queue.lease_token IS 'Proof of the lease; without it nobody ends the delivery.';
COMMENT ON COLUMN public.notification_queue.leased_by IS 'Name of the worker that took it last.';

CREATE TABLE public.notification_delivery_channels (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT notification_delivery_channels_pkey PRIMARY KEY,
  user_id uuid NOT NULL,
  channel_type text NOT NULL
    CONSTRAINT notification_delivery_channels_type_check CHECK (channel_type IN ('email', 'sms', 'push')),
  channel_identifier text NOT NULL CONSTRAINT notification_delivery_channels_identifier_check
    CHECK (length(channel_identifier) BETWEEN 3 AND 500),
  is_active boolean NOT NULL DEFAULT true,
  verified_at timestamptz,
  verification_hash bytea,
  verification_expires_at timestamptz,
  verification_tries integer NOT NULL DEFAULT 0,
  notification_types_enabled text[],
  priority_threshold text NOT NULL DEFAULT 'low' CONSTRAINT notification_delivery_channels_threshold_check
    CHECK (priority_threshold IN ('urgent', 'high', 'normal', 'low')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT notification_delivery_channels_key UNIQUE (user_id, channel_type, channel_identifier)
);
COMMENT ON TABLE public.notification_delivery_channels IS
  'Addresses a user wants messages at. Used once verified; without one of type email the account''s own address is.';
COMMENT ON COLUMN public.notification_delivery_channels.channel_identifier IS 'E-mail address, telephone number or device token.';
COMMENT ON COLUMN public.notification_delivery_channels.verification_hash IS
  'SHA-256 of the token that was sent; the token itself is stored nowhere. Readable by no API role.';
COMMENT ON COLUMN public.notification_delivery_channels.verification_tries IS 'Wrong tokens since the last one was sent.';
COMMENT ON COLUMN public.notification_delivery_channels.notification_types_enabled IS 'Types it takes; NULL: all.';
COMMENT ON COLUMN public.notification_delivery_channels.priority_threshold IS 'The least priority it takes; low: everything.';

-- A campaign reaches a user once. The guide's INSERTs bring no key: for system messages their words and the day are one.
CREATE UNIQUE INDEX notification_queue_once_key ON public.notification_queue (user_id,
  (coalesce(dedup_key, CASE WHEN notification_type IN ('system_maintenance', 'system_upgrade', 'feature_introduction')
    THEN md5(title || ' ' || body) END)),
  (CASE WHEN dedup_key IS NULL THEN (created_at AT TIME ZONE 'UTC')::date ELSE '-infinity'::date END));
CREATE INDEX notification_queue_claim_idx ON public.notification_queue
  ((array_position('{urgent,high,normal,low}'::text[], priority)), (coalesce(next_attempt_at, scheduled_for)))
  WHERE status IN ('queued', 'scheduled', 'processing');

CREATE FUNCTION public.tidy_notification() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.body := regexp_replace(NEW.body, ' {2,}', ' ', 'g');
  IF jsonb_typeof(NEW.data -> 'new_features') = 'string' THEN
    BEGIN
      NEW.data := jsonb_set(NEW.data, '{new_features}', (NEW.data ->> 'new_features')::jsonb);
    EXCEPTION WHEN invalid_text_representation THEN
      NULL; -- It is a sentence and not an array written as text.
    END;
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.tidy_notification() IS
  'Trigger: to_char pads the month''s name with blanks, and jsonb_build_object makes text of an array; both are undone.';

CREATE FUNCTION public.notification_rank(p_priority text) RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT array_position('{urgent,high,normal,low}'::text[], p_priority)
$$;
COMMENT ON FUNCTION public.notification_rank(text) IS '1 urgent, 2 high, 3 normal, 4 low.';

CREATE FUNCTION public.quiet_hours_end(p_quiet_hours jsonb, p_timezone text, p_at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_zone text := coalesce(nullif(p_quiet_hours ->> 'timezone', 'user'), p_timezone, 'UTC');
  v_start time := p_quiet_hours ->> 'start';
  v_end time := p_quiet_hours ->> 'end';
  v_local timestamp;
  v_until timestamptz;
BEGIN
  IF (p_quiet_hours -> 'enabled' = 'true') IS NOT TRUE OR v_start = v_end THEN
    RETURN NULL;
  END IF;
  BEGIN
    v_local := p_at AT TIME ZONE v_zone;
  EXCEPTION WHEN invalid_parameter_value THEN
    v_zone := coalesce(p_timezone, 'UTC');
    v_local := p_at AT TIME ZONE v_zone;
  END;
  v_until := (CASE
    WHEN v_start < v_end AND v_local::time >= v_start AND v_local::time < v_end THEN v_local::date + v_end
    WHEN v_start > v_end AND v_local::time >= v_start THEN v_local::date + 1 + v_end
    WHEN v_start > v_end AND v_local::time < v_end THEN v_local::date + v_end END) AT TIME ZONE v_zone;
  RETURN CASE WHEN v_until > p_at THEN v_until END;
END
$$;
COMMENT ON FUNCTION public.quiet_hours_end(jsonb, text, timestamptz) IS
  'End of the quiet hours (user_preferences.quiet_hours) that a time falls into, by the user''s clock and past midnight '
  'where the end is before the start; NULL outside them. An unknown zone in quiet_hours counts as the user''s own.';

CREATE FUNCTION public.next_digest_at(p_frequency text, p_timezone text, p_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE p_frequency
    WHEN 'hourly' THEN date_trunc('hour', p_at) + interval '1 hour'
    WHEN 'daily' THEN (date_trunc('day', l - interval '8 hours') + interval '1 day 8 hours') AT TIME ZONE z
    WHEN 'weekly' THEN (date_trunc('week', l - interval '8 hours') + interval '7 days 8 hours') AT TIME ZONE z END
  FROM (SELECT coalesce(p_timezone, 'UTC'), p_at AT TIME ZONE coalesce(p_timezone, 'UTC')) AS s (z, l)
$$;
COMMENT ON FUNCTION public.next_digest_at(text, text, timestamptz) IS
  'When the next digest is due: on the hour, at 8 in the morning, or on Monday at 8, by the user''s clock.';

CREATE FUNCTION public.marketing_allowed(p_user_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM public.patient_consents AS c
    WHERE c.patient_id = p_user_id AND c.consent_type = 'marketing_communication' AND c.granted_to IS NULL AND c.granted
      AND c.valid_from <= now() AND (c.valid_until IS NULL OR c.valid_until > now()))
$$;
COMMENT ON FUNCTION public.marketing_allowed(uuid) IS 'Whether a user consented to marketing, now.';

CREATE FUNCTION public.usable_channels(p_user_id uuid, p_wanted text[], p_type text, p_priority text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH prefs AS (
    SELECT coalesce((SELECT p.notification_channels FROM public.user_preferences AS p WHERE p.user_id = p_user_id),
      '{"email": true, "sms": false, "push": true, "in_app": true}') AS enabled
  )
  SELECT coalesce(array_agg(w.channel ORDER BY w.channel), '{}')
  FROM (SELECT DISTINCT c FROM unnest(p_wanted) AS c) AS w (channel), prefs
  WHERE prefs.enabled -> w.channel = 'true' AND (w.channel = 'in_app'
    OR EXISTS (SELECT FROM public.notification_delivery_channels AS d
      WHERE d.user_id = p_user_id AND d.channel_type = w.channel AND d.is_active AND d.verified_at IS NOT NULL
        AND (d.notification_types_enabled IS NULL OR p_type = ANY (d.notification_types_enabled))
        AND public.notification_rank(p_priority) <= public.notification_rank(d.priority_threshold))
    OR w.channel = 'email'
      AND NOT EXISTS (SELECT FROM public.notification_delivery_channels AS d
        WHERE d.user_id = p_user_id AND d.channel_type = 'email' AND d.verified_at IS NOT NULL)
      AND EXISTS (SELECT FROM auth.users AS u WHERE u.id = p_user_id AND u.email_confirmed_at IS NOT NULL))
$$;
COMMENT ON FUNCTION public.usable_channels(uuid, text[], text, text) IS
  'Of the channels a sender wants those that the user enabled and whose address is verified and takes the message.';

CREATE FUNCTION public.enqueue_notification(p_user_id uuid, p_type text, p_title text, p_body text,
  p_data jsonb DEFAULT '{}', p_priority text DEFAULT 'normal', p_category text DEFAULT 'administrative',
  p_channels text[] DEFAULT '{in_app}', p_dedup_key text DEFAULT NULL, p_scheduled_for timestamptz DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
BEGIN
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
END
$$;
COMMENT ON FUNCTION public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamptz) IS
  'A message to one user; its id, or that of the one that is there with the same key.';

CREATE FUNCTION public.enqueue_notification_campaign(p_campaign text, p_type text, p_title text, p_body text,
  p_data jsonb DEFAULT '{}', p_priority text DEFAULT 'normal', p_category text DEFAULT 'administrative',
  p_channels text[] DEFAULT '{in_app,email}', p_scheduled_for timestamptz DEFAULT NULL, p_audience text DEFAULT 'all')
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_count bigint;
BEGIN
  IF coalesce(p_campaign, '') !~ '^[a-z0-9][a-z0-9_.-]{0,99}$'
    OR coalesce(p_audience, '') NOT IN ('all', 'existing', 'confirmed') THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = 'p_campaign is a name of a-z, 0-9, _ . -, p_audience is all, existing or confirmed';
  END IF;
  INSERT INTO public.notification_queue (user_id, notification_type, title, body, data, priority, category,
    delivery_channels, dedup_key, scheduled_for)
  SELECT u.id, p_type, p_title, p_body, coalesce(p_data, '{}'), p_priority, p_category, w.channels,
    'campaign:' || p_campaign, coalesce(p_scheduled_for, now())
  FROM auth.users AS u LEFT JOIN public.user_preferences AS p ON p.user_id = u.id,
    LATERAL (SELECT ARRAY(SELECT c FROM unnest(p_channels) AS c WHERE coalesce(p.notification_channels,
      '{"email": true, "sms": false, "push": true, "in_app": true}') -> c = 'true')) AS w (channels)
  WHERE u.deleted_at IS NULL AND w.channels <> '{}'
    AND (p_audience <> 'existing' OR u.created_at < now() - interval '1 day')
    AND (p_audience <> 'confirmed' AND p_category <> 'marketing' OR u.email_confirmed_at IS NOT NULL)
    AND (p_category <> 'marketing' OR public.marketing_allowed(u.id))
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  PERFORM public.write_audit_log('public.notification_queue', p_campaign, 'CAMPAIGN', NULL);
  RETURN v_count;
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
END
$$;
COMMENT ON FUNCTION public.create_notification_digest(uuid, text) IS
  'One message that lists those of a user that wait for a digest, which are then suppressed: these and no others. NULL '
  'where fewer than two wait; a single one is delivered as it is. claim_notifications calls it when a digest is due.';

CREATE FUNCTION public.claim_notifications(p_worker text, p_limit integer DEFAULT 100,
  p_lease interval DEFAULT '5 minutes')
RETURNS TABLE (id uuid, lease_token uuid, user_id uuid, notification_type text, priority text, title text, body text,
  data jsonb, channels text[], attempt integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_left integer := p_limit;
  v_seen integer;
  v_digests uuid[];
  v_row record;
BEGIN
  IF p_limit NOT BETWEEN 1 AND 1000 OR p_lease NOT BETWEEN interval '1 second' AND interval '1 day'
    OR coalesce(p_worker, '') = '' OR p_limit IS NULL OR p_lease IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a worker has a name and takes 1 to 1000 messages for 1 s to 1 day';
  END IF;
  LOOP
    v_seen := 0;
    v_digests := '{}';
    FOR v_row IN
      WITH due AS MATERIALIZED (
        SELECT n.* FROM public.notification_queue AS n
        WHERE n.status IN ('queued', 'scheduled', 'processing') AND coalesce(n.next_attempt_at, n.scheduled_for) <= v_now
        ORDER BY array_position('{urgent,high,normal,low}'::text[], n.priority), coalesce(n.next_attempt_at, n.scheduled_for)
        LIMIT v_left FOR UPDATE SKIP LOCKED
      ), plan AS MATERIALIZED (
        SELECT d.id, u.usable, q.until, g.digest_at, CASE
            WHEN coalesce(d.expires_at, d.scheduled_for + interval '30 days') <= v_now THEN 'expired'
            WHEN d.attempts >= 5 THEN 'failed'
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
        lease_token = CASE plan.act WHEN 'processing' THEN gen_random_uuid() END,
        leased_by = CASE plan.act WHEN 'processing' THEN p_worker ELSE n.leased_by END,
        attempts = n.attempts + CASE plan.act WHEN 'processing' THEN 1 ELSE 0 END
      FROM plan WHERE n.id = plan.id
      RETURNING n.*, plan.act, CASE WHEN plan.usable = '{}' THEN '{in_app}' ELSE plan.usable END AS usable
    LOOP
      v_seen := v_seen + 1;
      IF v_row.act = 'processing' THEN
        v_left := v_left - 1;
        SELECT v_row.id, v_row.lease_token, v_row.user_id, v_row.notification_type, v_row.priority, v_row.title,
          v_row.body, v_row.data, v_row.usable, v_row.attempts
        INTO id, lease_token, user_id, notification_type, priority, title, body, data, channels, attempt;
        RETURN NEXT;
      ELSIF v_row.act = 'digest' AND v_row.user_id <> ALL (v_digests) THEN
        v_digests := v_digests || v_row.user_id::uuid;
      END IF;
    END LOOP;
    PERFORM public.create_notification_digest(d.user_id, coalesce(p.notification_frequency, 'daily'))
    FROM unnest(v_digests) AS d (user_id) LEFT JOIN public.user_preferences AS p ON p.user_id = d.user_id;
    v_now := clock_timestamp();
    EXIT WHEN v_seen = 0 OR v_left = 0;
  END LOOP;
END
$$;
COMMENT ON FUNCTION public.claim_notifications(text, integer, interval) IS
  'Gives a worker the most important messages that are due, in no order, with a lease and the channels to use. What '
  'falls into quiet hours is put off to their end, what belongs into a digest waits for it; expired or undeliverable ones are ended.';

CREATE FUNCTION public.fail_notification(p_id uuid, p_lease_token uuid, p_error_code text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_status text;
BEGIN
  UPDATE public.notification_queue AS n SET lease_token = NULL, error_code = p_error_code,
    status = CASE WHEN n.attempts >= 5 THEN 'failed' ELSE 'scheduled' END,
    next_attempt_at = clock_timestamp() + interval '1 minute' * (0.5 + random() / 2) * 4 ^ least(n.attempts - 1, 5)
  WHERE n.id = p_id AND n.lease_token = p_lease_token RETURNING n.status INTO v_status;
  RETURN v_status;
END
$$;
COMMENT ON FUNCTION public.fail_notification(uuid, uuid, text) IS
  'No channel worked: "scheduled" for another attempt (1 min, times four each, a random half taken off), "failed" after '
  'the fifth, NULL if the lease is lost.';

CREATE FUNCTION public.complete_notification(p_id uuid, p_lease_token uuid, p_delivered text[],
  p_failed text[] DEFAULT '{}') RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(p_delivered, '{}') = '{}' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'delivered by no channel: call fail_notification';
  END IF;
  UPDATE public.notification_queue AS n SET status = 'delivered', delivered_at = clock_timestamp(), lease_token = NULL,
    delivered_channels = p_delivered, failed_channels = coalesce(p_failed, '{}'), error_code = NULL
  WHERE n.id = p_id AND n.lease_token = p_lease_token;
  RETURN FOUND;
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

CREATE FUNCTION public.add_notification_channel(p_channel_type text, p_channel_identifier text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
BEGIN
  IF auth.uid() IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only a user may add an address of his own';
  ELSIF (SELECT count(*) >= 20 FROM public.notification_delivery_channels AS c WHERE c.user_id = auth.uid()) THEN
    RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'a user has at most 20 addresses';
  END IF;
  INSERT INTO public.notification_delivery_channels AS c (user_id, channel_type, channel_identifier)
  VALUES (auth.uid(), p_channel_type, p_channel_identifier)
  ON CONFLICT ON CONSTRAINT notification_delivery_channels_key DO UPDATE SET is_active = true RETURNING c.id INTO v_id;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.add_notification_channel(text, text) IS
  'An address of the caller''s, not verified yet, or the one that is there; its id.';

CREATE FUNCTION public.remove_notification_channel(p_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM public.notification_delivery_channels AS c WHERE c.id = p_id AND c.user_id = auth.uid();
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.remove_notification_channel(uuid) IS 'Deletes an address of the caller''s; false if it is not his.';

CREATE FUNCTION public.start_channel_verification(p_id uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_token text := replace(gen_random_uuid()::text, '-', '');
BEGIN
  UPDATE public.notification_delivery_channels AS c SET verification_tries = 0,
    verification_hash = sha256(convert_to(v_token, 'UTF8')),
    verification_expires_at = clock_timestamp() + interval '30 minutes'
  WHERE c.id = p_id;
  RETURN CASE WHEN FOUND THEN v_token END;
END
$$;
COMMENT ON FUNCTION public.start_channel_verification(uuid) IS
  'A token (122 random bits, good for 30 minutes and five tries) for the server side to send to that address; NULL '
  'without such an address.';

CREATE FUNCTION public.verify_notification_channel(p_id uuid, p_token text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_right boolean;
BEGIN
  UPDATE public.notification_delivery_channels AS c SET verification_tries = c.verification_tries + 1
  WHERE c.id = p_id AND c.user_id = auth.uid() AND c.verification_tries < 5 AND c.verification_expires_at > clock_timestamp()
  RETURNING c.verification_hash = sha256(convert_to(coalesce(p_token, ''), 'UTF8')) INTO v_right;
  IF v_right IS NOT TRUE THEN
    RETURN false;
  END IF;
  UPDATE public.notification_delivery_channels AS c SET verified_at = now(), verification_hash = NULL,
    verification_expires_at = NULL, verification_tries = 0 WHERE c.id = p_id;
  RETURN true;
END
$$;
COMMENT ON FUNCTION public.verify_notification_channel(uuid, text) IS
  'The user proves by the token that an address is his; false for a wrong, an old or a used one.';

CREATE FUNCTION public.notify_document_outcome() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.status = 'completed' AND EXISTS (
    SELECT FROM public.document_processing_queue AS q
    WHERE q.document_id = NEW.document_id AND q.pipeline_run_id = NEW.pipeline_run_id AND q.status <> 'completed') THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.notification_queue (user_id, notification_type, category, title, body, data, dedup_key)
  SELECT NEW.patient_id, 'document_processed', 'clinical', CASE NEW.status WHEN 'completed'
      THEN 'A document has been processed' ELSE 'A document could not be processed' END,
    'See your documents for the result.', jsonb_build_object('document_id', NEW.document_id, 'status', NEW.status),
    'document:' || NEW.pipeline_run_id || ':' || NEW.status
  ON CONFLICT DO NOTHING;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- Being told must never keep the work from being recorded. The message may quote values: the code does not.
  RAISE WARNING 'the notification of a document''s outcome was not queued: SQLSTATE %', SQLSTATE;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_document_outcome() IS
  'Trigger: tells the patient that a run is completed or given up, once. Its own failure is a warning.';

CREATE FUNCTION public.notify_consent_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO public.notification_queue (user_id, notification_type, title, body, data)
    SELECT n.patient_id, 'data_sharing_request', 'You are asked for a consent', 'See your consents to answer.',
      jsonb_build_object('consent_id', n.id)
    FROM new_rows AS n WHERE NOT n.granted AND n.consent_metadata ->> 'state' = 'pending';
  ELSE
    INSERT INTO public.notification_queue (user_id, notification_type, title, body, data)
    SELECT NEW.patient_id, 'consent_updated', CASE s.now WHEN 'granted' THEN 'A consent was given'
        WHEN 'revoked' THEN 'A consent was revoked' WHEN 'expired' THEN 'A consent has ended'
        ELSE 'A consent was refused' END, 'See your consents for the details.',
      jsonb_build_object('consent_id', NEW.id, 'state', s.now)
    FROM (SELECT public.consent_state(NEW.granted, NEW.revoked_at, NEW.valid_until, NEW.consent_metadata, NULL)) AS s (now)
    WHERE s.now <> 'pending';
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- A patient must always be able to withdraw.
  RAISE WARNING 'the notification of a consent''s change was not queued: SQLSTATE %', SQLSTATE;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_consent_change() IS
  'Trigger: tells the patient of a request, and of a consent given, refused, revoked or ended. Its own failure is a warning.';

CREATE TRIGGER notification_queue_tidy BEFORE INSERT ON public.notification_queue
  FOR EACH ROW WHEN (NEW.body LIKE '%  %' OR jsonb_typeof(NEW.data -> 'new_features') = 'string')
  EXECUTE FUNCTION public.tidy_notification();
CREATE TRIGGER notification_queue_updated_at BEFORE UPDATE ON public.notification_queue
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER notification_delivery_channels_updated_at BEFORE UPDATE ON public.notification_delivery_channels
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER notification_delivery_channels_audit AFTER INSERT OR UPDATE OR DELETE
  ON public.notification_delivery_channels FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER document_processing_queue_notify AFTER UPDATE ON public.document_processing_queue
  FOR EACH ROW WHEN (OLD.status <> NEW.status AND NEW.status IN ('completed', 'dead_letter'))
  EXECUTE FUNCTION public.notify_document_outcome();
-- Once a statement, so that a million requests of the migration pay one call; they are not told one by one.
CREATE TRIGGER patient_consents_notify_request AFTER INSERT ON public.patient_consents REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.notify_consent_change();
CREATE TRIGGER patient_consents_notify_change AFTER UPDATE ON public.patient_consents
  FOR EACH ROW WHEN (OLD.granted <> NEW.granted
    OR OLD.consent_metadata ->> 'state' IS DISTINCT FROM NEW.consent_metadata ->> 'state')
  EXECUTE FUNCTION public.notify_consent_change();

ALTER TABLE public.notification_queue ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.notification_delivery_channels ENABLE ROW LEVEL SECURITY;
CREATE POLICY notification_queue_own ON public.notification_queue FOR SELECT TO authenticated
  USING (user_id = (SELECT auth.uid()));
CREATE POLICY notification_queue_service ON public.notification_queue FOR SELECT TO service_role USING (true);
CREATE POLICY notification_delivery_channels_own_read ON public.notification_delivery_channels FOR SELECT
  TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY notification_delivery_channels_own_update ON public.notification_delivery_channels FOR UPDATE
  TO authenticated USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY notification_delivery_channels_service ON public.notification_delivery_channels FOR SELECT
  TO service_role USING (true);

REVOKE ALL ON public.notification_queue, public.notification_delivery_channels
  FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.notification_queue TO service_role;
GRANT SELECT (id, user_id, notification_type, priority, category, title, body, data, delivery_channels, scheduled_for,
    expires_at, status, digest_id, delivered_channels, delivered_at, read_at, clicked_at, dismissed_at, created_at,
    updated_at)
  ON public.notification_queue TO authenticated;
-- Not the hash of the token, for nobody.
GRANT SELECT (id, user_id, channel_type, channel_identifier, is_active, verified_at, notification_types_enabled,
    priority_threshold, created_at, updated_at)
  ON public.notification_delivery_channels TO authenticated, service_role;
GRANT UPDATE (is_active, notification_types_enabled, priority_threshold)
  ON public.notification_delivery_channels TO authenticated;
REVOKE ALL ON FUNCTION public.tidy_notification(), public.notification_rank(text),
  public.quiet_hours_end(jsonb, text, timestamptz), public.next_digest_at(text, text, timestamptz),
  public.marketing_allowed(uuid), public.usable_channels(uuid, text[], text, text),
  public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamptz),
  public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text),
  public.create_notification_digest(uuid, text), public.claim_notifications(text, integer, interval),
  public.fail_notification(uuid, uuid, text), public.complete_notification(uuid, uuid, text[], text[]),
  public.mark_notification(uuid, text), public.add_notification_channel(text, text),
  public.remove_notification_channel(uuid), public.start_channel_verification(uuid),
  public.verify_notification_channel(uuid, text), public.notify_document_outcome(), public.notify_consent_change()
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.mark_notification(uuid, text), public.add_notification_channel(text, text),
  public.remove_notification_channel(uuid), public.verify_notification_channel(uuid, text) TO authenticated;
GRANT EXECUTE ON FUNCTION
  public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamptz),
  public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text),
  public.create_notification_digest(uuid, text), public.claim_notifications(text, integer, interval),
  public.fail_notification(uuid, uuid, text), public.complete_notification(uuid, uuid, text[], text[]),
  public.start_channel_verification(uuid) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION
      public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text)
      TO guardian_operator;
  END IF;
END
$$;

-- From here on auth.users is locked. Deleting an account deletes its messages and addresses.
ALTER TABLE public.notification_queue
  ADD CONSTRAINT notification_queue_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.notification_delivery_channels
  ADD CONSTRAINT notification_delivery_channels_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
