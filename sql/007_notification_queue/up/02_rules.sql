-- When and by which channel a user may be told.

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

-- Where v6 has no column deleted_at, the name is found one level further out.
CREATE FUNCTION public.account_is_deleted(p_user_id uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM auth.users AS u, (SELECT NULL::timestamptz AS deleted_at) AS otherwise
    WHERE u.id = p_user_id AND (SELECT deleted_at FROM (SELECT u.*) AS account) IS NOT NULL);
END
$$;
COMMENT ON FUNCTION public.account_is_deleted(uuid) IS
  'Whether an account is marked as deleted, in a v6 that marks it (auth.users.deleted_at).';

CREATE FUNCTION public.pass_over_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE WHEN public.account_is_deleted(NEW.user_id) THEN NULL ELSE NEW END;
END
$$;
COMMENT ON FUNCTION public.pass_over_deleted() IS
  'Trigger: whoever sends it, by a function, a trigger or an INSERT, a deleted account gets no message.';

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
      AND c.valid_from <= clock_timestamp() AND (c.valid_until IS NULL OR c.valid_until > clock_timestamp()))
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
