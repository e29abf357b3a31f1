-- Addresses of users, and the proof that they are theirs.

CREATE FUNCTION public.add_notification_channel(p_channel_type text, p_channel_identifier text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  IF auth.uid() IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only a user may add an address of his own';
  -- The CHECKs' own errors would quote the address.
  ELSIF coalesce(p_channel_type, '') NOT IN ('email', 'sms', 'push') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_channel_type is email, sms or push';
  ELSIF p_channel_identifier ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_channel_identifier is one line, without control characters';
  ELSIF p_channel_type = 'email' AND p_channel_identifier !~ '^[^\s@,;:<>()"\\]+@[^\s@,;:<>()"\\]+$'
    OR p_channel_type = 'sms' AND p_channel_identifier !~ '^[+]?[0-9 ().-]+$' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE =
      'p_channel_identifier is one e-mail address, without a name and quotes, or one telephone number';
  END IF;
  PERFORM public.require_read_committed();
  -- Two requests at once: the second counts what the first added.
  PERFORM pg_advisory_xact_lock(hashtextextended('notification_delivery_channels ' || auth.uid(), 0));
  UPDATE public.notification_delivery_channels AS c SET is_active = true
  WHERE c.user_id = auth.uid() AND c.channel_type = p_channel_type AND c.channel_identifier = p_channel_identifier
  RETURNING c.id INTO v_id;
  IF v_id IS NOT NULL THEN
    RETURN v_id;
  ELSIF (SELECT count(*) >= 20 FROM public.notification_delivery_channels AS c WHERE c.user_id = auth.uid()) THEN
    RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'a user has at most 20 addresses, active or not: remove one first';
  END IF;
  INSERT INTO public.notification_delivery_channels AS c (user_id, channel_type, channel_identifier)
  VALUES (auth.uid(), p_channel_type, p_channel_identifier) RETURNING c.id INTO v_id;
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'notification_delivery_channels', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.add_notification_channel(text, text) IS
  'An address of the caller''s, not verified yet, or the one that is there, active again; its id. Refused (54000) for the '
  'twenty-first.';

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
