-- The flag's limits, whom a session admits, and how one begins.

CREATE FUNCTION public.collaboration_limit(p_key text, p_otherwise integer) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((
    SELECT (f.configuration ->> p_key)::integer FROM public.feature_flags AS f
    WHERE f.feature_name = 'real_time_collaboration' AND f.configuration ->> p_key ~ '^[1-9][0-9]{0,5}$'
  ), p_otherwise)
$$;
COMMENT ON FUNCTION public.collaboration_limit(text, integer) IS
  'A whole number above 0 of the flag''s configuration, or p_otherwise if there is none.';

CREATE FUNCTION public.collaboration_present_since() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT clock_timestamp() - interval '1 minute' * public.collaboration_limit('session_timeout_minutes', 30)
$$;
COMMENT ON FUNCTION public.collaboration_present_since() IS 'Who, or what session, was seen before this has timed out.';

CREATE FUNCTION public.collaboration_caller() RETURNS uuid LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF auth.uid() IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'collaboration needs a user';
  ELSIF NOT public.feature_is_on('real_time_collaboration', auth.uid()) THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'feature real_time_collaboration is off for this user';
  END IF;
  RETURN auth.uid();
END
$$;
COMMENT ON FUNCTION public.collaboration_caller() IS 'The user of the request, refused where the feature is off for him.';

CREATE FUNCTION public.patient_consents_to(p_patient_id uuid, p_user_id uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.granted_to = p_user_id AND c.consent_type = 'data_sharing'
      AND c.purpose = 'healthcare_services' AND c.resource_type IS NULL AND c.granted
      AND c.valid_from <= clock_timestamp() AND (c.valid_until IS NULL OR c.valid_until > clock_timestamp()))
$$;
COMMENT ON FUNCTION public.patient_consents_to(uuid, uuid) IS
  'Whether a patient shares the whole record with a person, now; as check_consent_access, for functions of the owner. By '
  'the clock: the caller may have waited for a lock since its statement began.';

CREATE FUNCTION public.my_collaboration_sessions() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.id FROM public.collaboration_sessions AS s WHERE s.patient_id = auth.uid()
  UNION
  SELECT p.session_id FROM public.collaboration_participants AS p
    JOIN public.collaboration_sessions AS s ON s.id = p.session_id
  WHERE p.user_id = auth.uid() AND p.state IN ('invited', 'joined')
    AND (p.admitted_by = 'patient' OR public.patient_consents_to(s.patient_id, p.user_id))
$$;
COMMENT ON FUNCTION public.my_collaboration_sessions() IS
  'Sessions that admit the caller. With the owner''s rights, so that the policy of participants does not ask itself.';

CREATE FUNCTION public.create_collaboration_session(p_patient_id uuid, p_session_name text, p_session_type text,
  p_scheduled_start timestamptz DEFAULT NULL, p_scheduled_end timestamptz DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  IF (p_patient_id = v_user OR public.patient_consents_to(p_patient_id, v_user)) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient, or whom he shares his record with, may do this';
  ELSIF NOT isfinite(p_scheduled_start) OR NOT isfinite(p_scheduled_end) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a session is scheduled for a time, and not for infinity';
  ELSIF concat(p_session_name, p_session_type) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    -- The CHECK's own error would quote the row.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_session_name and p_session_type are a line each, without control characters';
  END IF;
  INSERT INTO public.collaboration_sessions (patient_id, session_name, session_type, session_owner, scheduled_start, scheduled_end)
  VALUES (p_patient_id, p_session_name, p_session_type, v_user, p_scheduled_start, p_scheduled_end) RETURNING id INTO v_id;
  INSERT INTO public.collaboration_participants (session_id, user_id, role, admitted_by, invited_by)
  VALUES (v_id, v_user, 'owner', CASE WHEN v_user = p_patient_id THEN 'patient' ELSE 'consent' END, v_user);
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'collaboration_sessions', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.create_collaboration_session(uuid, text, text, timestamptz, timestamptz) IS
  'The patient, or a person he shares the whole record with, calls a session and owns it; its id.';

-- Only for whom it concerns, so that a stranger makes nobody wait. Who was invited while he waited asks again.
CREATE FUNCTION public.hold_collaboration_session(p_session_id uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.require_read_committed();
  PERFORM FROM public.collaboration_sessions AS s
  WHERE s.id = p_session_id AND (auth.uid() IN (s.patient_id, s.session_owner) OR EXISTS (
    SELECT FROM public.collaboration_participants AS p WHERE p.session_id = s.id AND p.user_id = auth.uid()))
  FOR UPDATE OF s;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.hold_collaboration_session(uuid) IS
  'Locks a session to the transaction''s end: one change of it, its participants and its notes at a time. False for whom it '
  'does not concern. It decides nothing: the caller does, in a statement that begins once the lock is held.';

CREATE FUNCTION public.lock_collaboration_session(p_session_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_held boolean := public.hold_collaboration_session(p_session_id);
  v_status text;
BEGIN
  -- Only now, in statements of their own: the feature, the consent and the participation may have ended meanwhile.
  PERFORM public.collaboration_caller();
  SELECT s.status INTO v_status FROM public.collaboration_sessions AS s
  WHERE s.id = p_session_id AND s.id IN (SELECT public.my_collaboration_sessions());
  IF v_status IS NULL OR NOT v_held THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'there is no such session, or it does not admit this user';
  ELSIF v_status IN ('completed', 'cancelled') THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the session has ended';
  END IF;
END
$$;
COMMENT ON FUNCTION public.lock_collaboration_session(uuid) IS
  'Holds a session. Refused, by what is true once it is held, for whom it does not admit, and where it has ended.';
