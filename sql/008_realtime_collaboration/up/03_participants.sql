-- Who takes part and is present.

CREATE FUNCTION public.invite_to_collaboration(p_session_id uuid, p_user_id uuid, p_role text DEFAULT 'viewer')
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_session public.collaboration_sessions;
  v_by_patient boolean;
BEGIN
  PERFORM public.lock_collaboration_session(p_session_id);
  SELECT * INTO v_session FROM public.collaboration_sessions AS s WHERE s.id = p_session_id;
  v_by_patient := v_user = v_session.patient_id;
  IF coalesce(p_role, '') NOT IN ('editor', 'viewer') OR p_user_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_role is editor or viewer, p_user_id is a person';
  ELSIF NOT v_by_patient AND (v_user = v_session.session_owner
    AND (p_user_id = v_session.patient_id OR public.patient_consents_to(v_session.patient_id, p_user_id))) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = 'the patient invites whom he likes, the owner only those with whom the patient shares his record';
  END IF;
  INSERT INTO public.collaboration_participants AS p (session_id, user_id, is_account, role, admitted_by, invited_by)
  VALUES (p_session_id, p_user_id, EXISTS (SELECT FROM auth.users AS u WHERE u.id = p_user_id), p_role,
    CASE WHEN v_by_patient OR p_user_id = v_session.patient_id THEN 'patient' ELSE 'consent' END, v_user)
  ON CONFLICT (session_id, user_id) DO UPDATE SET invited_by = excluded.invited_by, is_account = excluded.is_account,
    role = CASE p.role WHEN 'owner' THEN 'owner' ELSE excluded.role END,
    admitted_by = CASE WHEN p.state <> 'removed' AND p.admitted_by = 'patient' THEN 'patient' ELSE excluded.admitted_by END,
    state = CASE WHEN p.state = 'joined' THEN 'joined' ELSE 'invited' END
  WHERE (p.role <> 'owner' OR p.state IN ('left', 'removed')) AND (p.state <> 'removed' OR v_by_patient);
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.invite_to_collaboration(uuid, uuid, text) IS
  'The patient or the owner invites a person or changes his role; false for the owner himself, who stays it, and for the '
  'owner''s try to bring back whom was removed. The same is told, and shown, of an id that is no account.';

CREATE FUNCTION public.remove_from_collaboration(p_session_id uuid, p_user_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_held boolean := public.hold_collaboration_session(p_session_id);
  v_session public.collaboration_sessions;
BEGIN
  IF NOT v_held AND auth.uid() = p_user_id THEN
    RETURN false;
  END IF;
  SELECT * INTO v_session FROM public.collaboration_sessions AS s WHERE s.id = p_session_id AND v_held;
  -- Leaving and putting out need no flag: they only ever take rights away.
  IF (auth.uid() IN (p_user_id, v_session.patient_id)) IS NOT TRUE AND (auth.uid() = v_session.session_owner
    AND p_user_id <> v_session.patient_id AND p_session_id IN (SELECT public.my_collaboration_sessions())) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient or the owner removes another';
  END IF;
  UPDATE public.collaboration_participants AS p
  SET state = CASE WHEN auth.uid() = p_user_id THEN 'left' ELSE 'removed' END
  WHERE p.session_id = p_session_id AND p.user_id = p_user_id AND p.state IN ('invited', 'joined');
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.remove_from_collaboration(uuid, uuid) IS
  'The patient removes anybody, the owner anybody but the patient, everybody himself; false if he does not take part.';

CREATE FUNCTION public.join_collaboration(p_session_id uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_present integer;
  v_inside boolean;
BEGIN
  PERFORM public.lock_collaboration_session(p_session_id);
  SELECT count(*) FILTER (WHERE p.user_id <> v_user), coalesce(bool_or(p.user_id = v_user), false) INTO v_present, v_inside
  FROM public.collaboration_participants AS p
  WHERE p.session_id = p_session_id AND p.state = 'joined' AND p.last_seen_at > public.collaboration_present_since();
  -- The patient is never kept out of what is said about him; he counts for those who come after, not for who is in.
  IF v_present >= public.collaboration_limit('max_concurrent_users', 10) AND NOT v_inside
    AND v_user <> (SELECT s.patient_id FROM public.collaboration_sessions AS s WHERE s.id = p_session_id) THEN
    RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'the session is full (max_concurrent_users of the feature flag)';
  END IF;
  INSERT INTO public.collaboration_participants AS p (session_id, user_id, role, admitted_by, state, last_seen_at)
  VALUES (p_session_id, v_user, 'viewer', 'patient', 'joined', clock_timestamp()) -- the patient: all others have a row
  ON CONFLICT (session_id, user_id) DO UPDATE SET state = 'joined', is_account = true, last_seen_at = excluded.last_seen_at;
  UPDATE public.collaboration_sessions AS s SET status = 'active', last_activity = clock_timestamp(),
    actual_start = coalesce(s.actual_start, clock_timestamp()) WHERE s.id = p_session_id;
  RETURN v_present + 1;
END
$$;
COMMENT ON FUNCTION public.join_collaboration(uuid) IS
  'The caller enters a session that admits him; how many are present now. Refused (54000) when max_concurrent_users others '
  'are, but never to the patient or to who is in; who timed out does not count and has to join again.';

CREATE FUNCTION public.touch_collaboration(p_session_id uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_role text;
BEGIN
  PERFORM public.lock_collaboration_session(p_session_id);
  UPDATE public.collaboration_participants AS p SET last_seen_at = clock_timestamp()
  WHERE p.session_id = p_session_id AND p.user_id = v_user AND p.state = 'joined'
    AND p.last_seen_at > public.collaboration_present_since() RETURNING p.role INTO v_role;
  IF v_role IS NULL OR NOT EXISTS (SELECT FROM public.collaboration_sessions AS s WHERE s.id = p_session_id
    AND s.status = 'active' AND s.last_activity > public.collaboration_present_since()) THEN
    RAISE EXCEPTION USING ERRCODE = '55000',
      MESSAGE = 'not in the session, or timed out (session_timeout_minutes of the feature flag): join again';
  END IF;
  UPDATE public.collaboration_sessions AS s SET last_activity = clock_timestamp() WHERE s.id = p_session_id;
  RETURN v_role;
END
$$;
COMMENT ON FUNCTION public.touch_collaboration(uuid) IS
  'The caller is still there; his role. Refused (55000) once he or the session timed out. Holds the session to the '
  'transaction''s end.';
