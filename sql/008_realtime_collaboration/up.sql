-- Collaboration: people work on notes about a patient together. All writing is done by functions, so that nobody takes a
-- session over; v6's auth.users is touched at the end only.

CREATE TABLE public.collaboration_sessions (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT collaboration_sessions_pkey PRIMARY KEY,
  patient_id uuid NOT NULL,
  session_name text NOT NULL
    CONSTRAINT collaboration_sessions_name_check CHECK (length(session_name) BETWEEN 1 AND 200),
  session_type text NOT NULL CONSTRAINT collaboration_sessions_type_check CHECK (session_type IN (
    'care_team_meeting', 'emergency_consult', 'treatment_planning', 'discharge_planning', 'family_conference',
    'multidisciplinary_review')),
  session_owner uuid,
  status text NOT NULL DEFAULT 'scheduled' CONSTRAINT collaboration_sessions_status_check
    CHECK (status IN ('scheduled', 'active', 'paused', 'completed', 'cancelled')),
  scheduled_start timestamptz,
  scheduled_end timestamptz,
  actual_start timestamptz,
  actual_end timestamptz,
  last_activity timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT collaboration_sessions_period_check CHECK (scheduled_end > scheduled_start)
);
COMMENT ON TABLE public.collaboration_sessions IS 'A meeting about one patient. Its notes are read by those whom it admits.';
COMMENT ON COLUMN public.collaboration_sessions.session_owner IS
  'Who called it; NULL once that account is deleted. It never passes to another.';
COMMENT ON COLUMN public.collaboration_sessions.status IS
  'paused: nobody did anything for session_timeout_minutes; the next to join makes it active again.';
COMMENT ON COLUMN public.collaboration_sessions.last_activity IS 'Last time that a participant joined, wrote or showed up.';

CREATE TABLE public.collaboration_participants (
  session_id uuid NOT NULL CONSTRAINT collaboration_participants_session_id_fkey
    REFERENCES public.collaboration_sessions (id) ON DELETE CASCADE,
  user_id uuid NOT NULL,
  role text NOT NULL DEFAULT 'viewer'
    CONSTRAINT collaboration_participants_role_check CHECK (role IN ('owner', 'editor', 'viewer')),
  admitted_by text NOT NULL
    CONSTRAINT collaboration_participants_admitted_check CHECK (admitted_by IN ('patient', 'consent')),
  state text NOT NULL DEFAULT 'invited'
    CONSTRAINT collaboration_participants_state_check CHECK (state IN ('invited', 'joined', 'left', 'removed')),
  invited_by uuid,
  last_seen_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT collaboration_participants_pkey PRIMARY KEY (session_id, user_id)
);
COMMENT ON TABLE public.collaboration_participants IS 'Who takes part in a session. The patient is admitted without a row.';
COMMENT ON COLUMN public.collaboration_participants.role IS 'owner and editor write notes, viewer reads them.';
COMMENT ON COLUMN public.collaboration_participants.admitted_by IS
  'patient: he invited himself; consent: only while the patient''s consent to this person stands.';
COMMENT ON COLUMN public.collaboration_participants.state IS 'left: of his own will; removed: only the patient invites again.';
COMMENT ON COLUMN public.collaboration_participants.last_seen_at IS
  'A joined participant counts as present until session_timeout_minutes after this.';

CREATE TABLE public.collaborative_clinical_notes (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT collaborative_clinical_notes_pkey PRIMARY KEY,
  session_id uuid NOT NULL CONSTRAINT collaborative_clinical_notes_session_id_fkey
    REFERENCES public.collaboration_sessions (id) ON DELETE CASCADE,
  patient_id uuid NOT NULL,
  note_type text NOT NULL CONSTRAINT collaborative_clinical_notes_type_check CHECK (note_type IN (
    'progress_note', 'assessment_plan', 'consultation_note', 'discharge_summary', 'care_plan_update',
    'family_discussion', 'treatment_decision')),
  title text NOT NULL CONSTRAINT collaborative_clinical_notes_title_check CHECK (length(title) BETWEEN 1 AND 500),
  content text NOT NULL CONSTRAINT collaborative_clinical_notes_content_check CHECK (length(content) <= 200000),
  content_format text NOT NULL DEFAULT 'markdown' CONSTRAINT collaborative_clinical_notes_format_check
    CHECK (content_format IN ('plain_text', 'markdown', 'structured')),
  version_number integer NOT NULL DEFAULT 1
    CONSTRAINT collaborative_clinical_notes_version_check CHECK (version_number > 0),
  editorial_status text NOT NULL DEFAULT 'draft' CONSTRAINT collaborative_clinical_notes_status_check
    CHECK (editorial_status IN ('draft', 'review', 'approved', 'finalized')),
  primary_author uuid,
  last_editor uuid,
  finalized_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.collaborative_clinical_notes IS 'A note as it stands now; every version is in collaborative_note_versions.';
COMMENT ON COLUMN public.collaborative_clinical_notes.patient_id IS 'Patient of the session.';
COMMENT ON COLUMN public.collaborative_clinical_notes.version_number IS
  'Rises with every change. Who saves says which version he read: optimistic locking.';
COMMENT ON COLUMN public.collaborative_clinical_notes.editorial_status IS 'finalized: no change any more.';

CREATE TABLE public.collaborative_note_versions (
  note_id uuid NOT NULL CONSTRAINT collaborative_note_versions_note_id_fkey
    REFERENCES public.collaborative_clinical_notes (id) ON DELETE CASCADE,
  version_number integer NOT NULL,
  session_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  title text NOT NULL,
  content text NOT NULL,
  editor uuid,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT collaborative_note_versions_pkey PRIMARY KEY (note_id, version_number)
);
COMMENT ON TABLE public.collaborative_note_versions IS
  'Every version of every note, the present one included. A version''s parent is the number before it.';
COMMENT ON COLUMN public.collaborative_note_versions.session_id IS 'The note''s session; the note''s key removes both.';

CREATE TABLE public.collaboration_conflicts (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT collaboration_conflicts_pkey PRIMARY KEY,
  note_id uuid NOT NULL CONSTRAINT collaboration_conflicts_note_id_fkey
    REFERENCES public.collaborative_clinical_notes (id) ON DELETE CASCADE,
  session_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  user_id uuid,
  conflict_type text NOT NULL CONSTRAINT collaboration_conflicts_type_check
    CHECK (conflict_type IN ('concurrent_edit', 'version_mismatch')),
  expected_version integer,
  current_version integer NOT NULL,
  attempted_title text NOT NULL,
  attempted_content text NOT NULL,
  status text NOT NULL DEFAULT 'detected'
    CONSTRAINT collaboration_conflicts_status_check CHECK (status IN ('detected', 'resolved')),
  resolution_strategy text CONSTRAINT collaboration_conflicts_strategy_check
    CHECK (resolution_strategy IN ('merge', 'overwrite', 'discard')),
  resolved_by uuid,
  resolved_version integer,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at timestamptz,
  CONSTRAINT collaboration_conflicts_resolved_check
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL AND resolution_strategy IS NOT NULL))
);
COMMENT ON TABLE public.collaboration_conflicts IS
  'A change of a note that was not saved because the note had changed meanwhile; what was written is kept.';
COMMENT ON COLUMN public.collaboration_conflicts.user_id IS 'Who wrote it.';
COMMENT ON COLUMN public.collaboration_conflicts.conflict_type IS
  'concurrent_edit: the version read is an older one; version_mismatch: there was no such version, or none was named.';
COMMENT ON COLUMN public.collaboration_conflicts.resolved_version IS 'Version that the resolution made; NULL when discarded.';

CREATE INDEX collaboration_sessions_patient_idx ON public.collaboration_sessions (patient_id);
CREATE INDEX collaboration_sessions_owner_idx ON public.collaboration_sessions (session_owner);
CREATE INDEX collaboration_sessions_active_idx ON public.collaboration_sessions (last_activity) WHERE status = 'active';
CREATE INDEX collaboration_participants_user_idx ON public.collaboration_participants (user_id);
CREATE INDEX collaboration_participants_invited_by_idx ON public.collaboration_participants (invited_by);
CREATE INDEX collaborative_clinical_notes_session_idx ON public.collaborative_clinical_notes (session_id);
CREATE INDEX collaborative_clinical_notes_patient_idx ON public.collaborative_clinical_notes (patient_id);
CREATE INDEX collaborative_clinical_notes_author_idx ON public.collaborative_clinical_notes (primary_author);
CREATE INDEX collaborative_clinical_notes_editor_idx ON public.collaborative_clinical_notes (last_editor);
CREATE INDEX collaborative_note_versions_patient_idx ON public.collaborative_note_versions (patient_id);
CREATE INDEX collaborative_note_versions_editor_idx ON public.collaborative_note_versions (editor);
CREATE INDEX collaboration_conflicts_note_idx ON public.collaboration_conflicts (note_id);
CREATE INDEX collaboration_conflicts_patient_idx ON public.collaboration_conflicts (patient_id);
CREATE INDEX collaboration_conflicts_user_idx ON public.collaboration_conflicts (user_id);
CREATE INDEX collaboration_conflicts_resolved_by_idx ON public.collaboration_conflicts (resolved_by);

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
  SELECT statement_timestamp() - interval '1 minute' * public.collaboration_limit('session_timeout_minutes', 30)
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
      AND c.valid_from <= now() AND (c.valid_until IS NULL OR c.valid_until > now()))
$$;
COMMENT ON FUNCTION public.patient_consents_to(uuid, uuid) IS
  'Whether a patient shares the whole record with a person, now; as check_consent_access, for functions of the owner.';

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
BEGIN
  IF (p_patient_id = v_user OR public.patient_consents_to(p_patient_id, v_user)) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient, or whom he shares his record with, may do this';
  END IF;
  INSERT INTO public.collaboration_sessions (patient_id, session_name, session_type, session_owner, scheduled_start, scheduled_end)
  VALUES (p_patient_id, p_session_name, p_session_type, v_user, p_scheduled_start, p_scheduled_end) RETURNING id INTO v_id;
  INSERT INTO public.collaboration_participants (session_id, user_id, role, admitted_by, invited_by)
  VALUES (v_id, v_user, 'owner', CASE WHEN v_user = p_patient_id THEN 'patient' ELSE 'consent' END, v_user);
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.create_collaboration_session(uuid, text, text, timestamptz, timestamptz) IS
  'The patient, or a person he shares the whole record with, calls a session and owns it; its id.';

CREATE FUNCTION public.lock_collaboration_session(p_session_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_status text;
BEGIN
  SELECT s.status INTO v_status FROM public.collaboration_sessions AS s
  WHERE s.id = p_session_id AND s.id IN (SELECT public.my_collaboration_sessions()) FOR UPDATE;
  IF v_status IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'there is no such session, or it does not admit this user';
  ELSIF v_status IN ('completed', 'cancelled') THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the session has ended';
  END IF;
END
$$;
COMMENT ON FUNCTION public.lock_collaboration_session(uuid) IS
  'Locks a session: one change of it at a time. Refused for whom it does not admit, and once it has ended.';

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
  IF coalesce(p_role, '') NOT IN ('editor', 'viewer') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_role is editor or viewer';
  ELSIF NOT v_by_patient AND (v_user = v_session.session_owner
    AND (p_user_id = v_session.patient_id OR public.patient_consents_to(v_session.patient_id, p_user_id))) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = 'the patient invites whom he likes, the owner only those with whom the patient shares his record';
  END IF;
  INSERT INTO public.collaboration_participants AS p (session_id, user_id, role, admitted_by, invited_by)
  VALUES (p_session_id, p_user_id, p_role,
    CASE WHEN v_by_patient OR p_user_id = v_session.patient_id THEN 'patient' ELSE 'consent' END, v_user)
  ON CONFLICT (session_id, user_id) DO UPDATE SET invited_by = excluded.invited_by,
    role = CASE p.role WHEN 'owner' THEN 'owner' ELSE excluded.role END,
    admitted_by = CASE WHEN p.state <> 'removed' AND p.admitted_by = 'patient' THEN 'patient' ELSE excluded.admitted_by END,
    state = CASE WHEN p.state = 'joined' THEN 'joined' ELSE 'invited' END
  WHERE (p.role <> 'owner' OR p.state IN ('left', 'removed')) AND (p.state <> 'removed' OR v_by_patient);
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.invite_to_collaboration(uuid, uuid, text) IS
  'The patient or the owner invites a person or changes his role; false for the owner himself, who stays it, and for the '
  'owner''s try to bring back whom was removed.';

CREATE FUNCTION public.remove_from_collaboration(p_session_id uuid, p_user_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_session public.collaboration_sessions;
BEGIN
  SELECT * INTO v_session FROM public.collaboration_sessions AS s WHERE s.id = p_session_id;
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
BEGIN
  PERFORM public.lock_collaboration_session(p_session_id);
  SELECT count(*) INTO v_present FROM public.collaboration_participants AS p
  WHERE p.session_id = p_session_id AND p.user_id <> v_user AND p.state = 'joined'
    AND p.last_seen_at > public.collaboration_present_since();
  IF v_present >= public.collaboration_limit('max_concurrent_users', 10) THEN
    RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'the session is full (max_concurrent_users of the feature flag)';
  END IF;
  INSERT INTO public.collaboration_participants AS p (session_id, user_id, role, admitted_by, state, last_seen_at)
  VALUES (p_session_id, v_user, 'viewer', 'patient', 'joined', statement_timestamp()) -- the patient: all others have a row
  ON CONFLICT (session_id, user_id) DO UPDATE SET state = 'joined', last_seen_at = excluded.last_seen_at;
  UPDATE public.collaboration_sessions AS s SET status = 'active', last_activity = statement_timestamp(),
    actual_start = coalesce(s.actual_start, statement_timestamp()) WHERE s.id = p_session_id;
  RETURN v_present + 1;
END
$$;
COMMENT ON FUNCTION public.join_collaboration(uuid) IS
  'The caller enters a session that admits him; how many are present now. Refused (54000) when max_concurrent_users others '
  'are; who timed out does not count and has to join again.';

CREATE FUNCTION public.touch_collaboration(p_session_id uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_role text;
BEGIN
  PERFORM public.lock_collaboration_session(p_session_id);
  UPDATE public.collaboration_participants AS p SET last_seen_at = statement_timestamp()
  WHERE p.session_id = p_session_id AND p.user_id = v_user AND p.state = 'joined'
    AND p.last_seen_at > public.collaboration_present_since() RETURNING p.role INTO v_role;
  IF v_role IS NULL OR NOT EXISTS (SELECT FROM public.collaboration_sessions AS s WHERE s.id = p_session_id
    AND s.status = 'active' AND s.last_activity > public.collaboration_present_since()) THEN
    RAISE EXCEPTION USING ERRCODE = '55000',
      MESSAGE = 'not in the session, or timed out (session_timeout_minutes of the feature flag): join again';
  END IF;
  UPDATE public.collaboration_sessions AS s SET last_activity = statement_timestamp() WHERE s.id = p_session_id;
  RETURN v_role;
END
$$;
COMMENT ON FUNCTION public.touch_collaboration(uuid) IS
  'The caller is still there; his role. Refused (55000) once he or the session timed out. Holds the session to the '
  'transaction''s end.';

CREATE FUNCTION public.save_collaborative_note(p_session_id uuid, p_title text, p_content text,
  p_note_id uuid DEFAULT NULL, p_expected_version integer DEFAULT NULL, p_note_type text DEFAULT 'progress_note',
  p_content_format text DEFAULT 'markdown')
RETURNS TABLE (result text, note_id uuid, version_number integer, conflict_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_role text := public.touch_collaboration(p_session_id);
  v_note public.collaborative_clinical_notes;
  v_conflict uuid;
BEGIN
  IF v_role = 'viewer' THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a viewer writes no notes';
  END IF;
  IF p_note_id IS NULL THEN
    INSERT INTO public.collaborative_clinical_notes AS n
      (session_id, patient_id, note_type, title, content, content_format, primary_author, last_editor)
    SELECT s.id, s.patient_id, p_note_type, p_title, p_content, p_content_format, v_user, v_user
    FROM public.collaboration_sessions AS s WHERE s.id = p_session_id RETURNING n.* INTO v_note;
  ELSE
    SELECT n.* INTO v_note FROM public.collaborative_clinical_notes AS n
    WHERE n.id = p_note_id AND n.session_id = p_session_id FOR UPDATE;
    IF v_note.id IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'there is no such note in this session';
    ELSIF v_note.editorial_status = 'finalized' THEN
      RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the note is finalized';
    ELSIF v_note.version_number IS DISTINCT FROM p_expected_version THEN
      INSERT INTO public.collaboration_conflicts AS c (note_id, session_id, patient_id, user_id, conflict_type,
        expected_version, current_version, attempted_title, attempted_content)
      VALUES (v_note.id, p_session_id, v_note.patient_id, v_user, CASE WHEN p_expected_version BETWEEN 1 AND
        v_note.version_number THEN 'concurrent_edit' ELSE 'version_mismatch' END, p_expected_version,
        v_note.version_number, p_title, p_content) RETURNING c.id INTO v_conflict;
      RETURN QUERY SELECT 'conflict', v_note.id, v_note.version_number, v_conflict;
      RETURN;
    END IF;
    UPDATE public.collaborative_clinical_notes AS n SET title = p_title, content = p_content, last_editor = v_user,
      version_number = n.version_number + 1 WHERE n.id = p_note_id RETURNING n.* INTO v_note;
  END IF;
  INSERT INTO public.collaborative_note_versions (note_id, version_number, session_id, patient_id, title, content, editor)
  VALUES (v_note.id, v_note.version_number, p_session_id, v_note.patient_id, p_title, p_content, v_user);
  RETURN QUERY SELECT 'saved', v_note.id, v_note.version_number, NULL::uuid;
END
$$;
COMMENT ON FUNCTION public.save_collaborative_note(uuid, text, text, uuid, integer, text, text) IS
  'A new note, or with p_note_id the next version of one, if p_expected_version is still the present one: "saved". Else '
  '"conflict": the note stays, what was written is kept in collaboration_conflicts, version_number is the present one.';

CREATE FUNCTION public.resolve_collaboration_conflict(p_conflict_id uuid, p_strategy text,
  p_expected_version integer DEFAULT NULL, p_title text DEFAULT NULL, p_content text DEFAULT NULL)
RETURNS TABLE (result text, note_id uuid, version_number integer, conflict_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_conflict public.collaboration_conflicts;
  v_saved record;
  v_version integer;
BEGIN
  IF coalesce(p_strategy, '') NOT IN ('merge', 'overwrite', 'discard')
    OR p_strategy = 'merge' AND (p_title IS NULL OR p_content IS NULL) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_strategy is merge (with p_title, p_content), overwrite or discard';
  END IF;
  SELECT c.* INTO v_conflict FROM public.collaboration_conflicts AS c WHERE c.id = p_conflict_id;
  IF public.touch_collaboration(v_conflict.session_id) = 'viewer' THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a viewer resolves no conflicts';
  END IF;
  PERFORM FROM public.collaboration_conflicts AS c WHERE c.id = p_conflict_id AND c.status = 'detected' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the conflict is resolved already';
  END IF;
  IF p_strategy <> 'discard' THEN
    SELECT * INTO v_saved FROM public.save_collaborative_note(v_conflict.session_id,
      CASE p_strategy WHEN 'merge' THEN p_title ELSE v_conflict.attempted_title END,
      CASE p_strategy WHEN 'merge' THEN p_content ELSE v_conflict.attempted_content END,
      v_conflict.note_id, p_expected_version);
    IF v_saved.result = 'conflict' THEN
      RETURN QUERY SELECT 'conflict', v_conflict.note_id, v_saved.version_number, v_saved.conflict_id;
      RETURN;
    END IF;
    v_version := v_saved.version_number;
  END IF;
  UPDATE public.collaboration_conflicts AS c SET status = 'resolved', resolution_strategy = p_strategy,
    resolved_by = v_user, resolved_at = clock_timestamp(), resolved_version = v_version
  WHERE c.id = p_conflict_id;
  RETURN QUERY SELECT 'resolved', n.id, n.version_number, p_conflict_id
  FROM public.collaborative_clinical_notes AS n WHERE n.id = v_conflict.note_id;
END
$$;
COMMENT ON FUNCTION public.resolve_collaboration_conflict(uuid, text, integer, text, text) IS
  'merge saves a text that joins both, overwrite the one that was refused, discard neither. The first two name the '
  'present version like any save, and may meet the next conflict.';

CREATE FUNCTION public.set_note_status(p_note_id uuid, p_status text, p_expected_version integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_session uuid := (SELECT n.session_id FROM public.collaborative_clinical_notes AS n WHERE n.id = p_note_id);
BEGIN
  IF public.touch_collaboration(v_session) = 'viewer' THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a viewer writes no notes';
  END IF;
  UPDATE public.collaborative_clinical_notes AS n SET editorial_status = p_status, last_editor = auth.uid(),
    finalized_at = CASE WHEN p_status = 'finalized' THEN clock_timestamp() END
  WHERE n.id = p_note_id AND n.version_number = p_expected_version AND n.editorial_status <> 'finalized';
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.set_note_status(uuid, text, integer) IS
  'draft, review, approved or finalized, for exactly the version that was read; false if it is another, or finalized.';

CREATE FUNCTION public.end_collaboration_session(p_session_id uuid, p_status text DEFAULT 'completed') RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(p_status, '') NOT IN ('completed', 'cancelled') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_status is completed or cancelled';
  ELSIF (SELECT auth.uid() IN (s.patient_id, s.session_owner) FROM public.collaboration_sessions AS s
    WHERE s.id = p_session_id AND s.id IN (SELECT public.my_collaboration_sessions())) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient or the owner ends a session';
  END IF;
  UPDATE public.collaboration_sessions AS s SET status = p_status, actual_end = statement_timestamp()
  WHERE s.id = p_session_id AND s.status NOT IN ('completed', 'cancelled');
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.end_collaboration_session(uuid, text) IS
  'The patient or the owner ends a session, the feature on or off; false if it has ended. Its notes stay readable.';

CREATE FUNCTION public.pause_idle_collaborations() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_count bigint;
BEGIN
  UPDATE public.collaboration_sessions AS s SET status = 'paused'
  WHERE s.status = 'active' AND s.last_activity <= public.collaboration_present_since();
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.pause_idle_collaborations() IS
  'Pauses sessions that timed out; how many. For a clock job; nothing can be written in them meanwhile anyway.';

CREATE FUNCTION public.notify_collaboration() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
  PERFORM pg_notify('guardian_collaboration', jsonb_strip_nulls(jsonb_build_object('table', TG_TABLE_NAME, 'action', TG_OP,
    'session_id', coalesce(v_row -> 'session_id', v_row -> 'id'), 'id', v_row -> 'id',
    'version', v_row -> 'version_number'))::text);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_collaboration() IS
  'Trigger: NOTIFY guardian_collaboration with table, action, ids and version; who listens reads the rest under row security.';

CREATE TRIGGER collaboration_sessions_identity BEFORE UPDATE ON public.collaboration_sessions FOR EACH ROW
  WHEN (NEW.id <> OLD.id OR NEW.patient_id <> OLD.patient_id
    OR NEW.session_owner IS NOT NULL AND NEW.session_owner IS DISTINCT FROM OLD.session_owner)
  EXECUTE FUNCTION public.refuse_change('a session stays with its patient and its owner');
CREATE TRIGGER collaborative_note_versions_immutable
  BEFORE UPDATE OF note_id, version_number, session_id, patient_id, title, content, created_at
  ON public.collaborative_note_versions
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('a version is what was written');
CREATE TRIGGER collaboration_sessions_updated_at BEFORE UPDATE ON public.collaboration_sessions
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER collaboration_participants_updated_at BEFORE UPDATE ON public.collaboration_participants
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER collaborative_clinical_notes_updated_at BEFORE UPDATE ON public.collaborative_clinical_notes
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
-- Being seen is neither audited nor told.
CREATE TRIGGER collaboration_sessions_audit AFTER INSERT OR DELETE ON public.collaboration_sessions
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER collaboration_sessions_audit_update AFTER UPDATE ON public.collaboration_sessions FOR EACH ROW
  WHEN (OLD.status <> NEW.status OR OLD.session_owner IS DISTINCT FROM NEW.session_owner)
  EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER collaboration_participants_audit AFTER INSERT OR DELETE ON public.collaboration_participants
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('session_id', 'user_id');
CREATE TRIGGER collaboration_participants_audit_update AFTER UPDATE ON public.collaboration_participants FOR EACH ROW
  WHEN (OLD.state <> NEW.state OR OLD.role <> NEW.role OR OLD.admitted_by <> NEW.admitted_by)
  EXECUTE FUNCTION public.audit_row('session_id', 'user_id');
CREATE TRIGGER collaborative_clinical_notes_audit AFTER INSERT OR UPDATE OR DELETE
  ON public.collaborative_clinical_notes FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER collaboration_sessions_notify AFTER INSERT OR DELETE ON public.collaboration_sessions
  FOR EACH ROW EXECUTE FUNCTION public.notify_collaboration();
CREATE TRIGGER collaboration_sessions_notify_update AFTER UPDATE ON public.collaboration_sessions FOR EACH ROW
  WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION public.notify_collaboration();
CREATE TRIGGER collaboration_participants_notify AFTER INSERT OR DELETE ON public.collaboration_participants
  FOR EACH ROW EXECUTE FUNCTION public.notify_collaboration();
CREATE TRIGGER collaboration_participants_notify_update AFTER UPDATE ON public.collaboration_participants FOR EACH ROW
  WHEN (OLD.state <> NEW.state OR OLD.role <> NEW.role) EXECUTE FUNCTION public.notify_collaboration();
CREATE TRIGGER collaborative_clinical_notes_notify AFTER INSERT OR UPDATE OR DELETE
  ON public.collaborative_clinical_notes FOR EACH ROW EXECUTE FUNCTION public.notify_collaboration();
CREATE TRIGGER collaboration_conflicts_notify AFTER INSERT OR UPDATE ON public.collaboration_conflicts
  FOR EACH ROW EXECUTE FUNCTION public.notify_collaboration();

ALTER TABLE public.collaboration_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaboration_participants ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaborative_clinical_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaborative_note_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaboration_conflicts ENABLE ROW LEVEL SECURITY;
CREATE POLICY collaboration_sessions_admitted ON public.collaboration_sessions FOR SELECT TO authenticated
  USING (id IN (SELECT public.my_collaboration_sessions()));
CREATE POLICY collaboration_participants_admitted ON public.collaboration_participants FOR SELECT TO authenticated
  USING (session_id IN (SELECT public.my_collaboration_sessions()));
CREATE POLICY collaborative_clinical_notes_admitted ON public.collaborative_clinical_notes FOR SELECT TO authenticated
  USING (session_id IN (SELECT public.my_collaboration_sessions()));
CREATE POLICY collaborative_note_versions_admitted ON public.collaborative_note_versions FOR SELECT TO authenticated
  USING (session_id IN (SELECT public.my_collaboration_sessions()));
CREATE POLICY collaboration_conflicts_admitted ON public.collaboration_conflicts FOR SELECT TO authenticated
  USING (session_id IN (SELECT public.my_collaboration_sessions()));
CREATE POLICY collaboration_sessions_service ON public.collaboration_sessions FOR SELECT TO service_role USING (true);
CREATE POLICY collaboration_participants_service ON public.collaboration_participants FOR SELECT TO service_role
  USING (true);

REVOKE ALL ON public.collaboration_sessions, public.collaboration_participants, public.collaborative_clinical_notes,
  public.collaborative_note_versions, public.collaboration_conflicts FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.collaboration_sessions, public.collaboration_participants, public.collaborative_clinical_notes,
  public.collaborative_note_versions, public.collaboration_conflicts TO authenticated;
-- The server side runs sessions; what is written in them is not its business.
GRANT SELECT ON public.collaboration_sessions, public.collaboration_participants TO service_role;
REVOKE ALL ON FUNCTION public.collaboration_limit(text, integer), public.collaboration_present_since(),
  public.collaboration_caller(), public.patient_consents_to(uuid, uuid), public.my_collaboration_sessions(),
  public.create_collaboration_session(uuid, text, text, timestamptz, timestamptz),
  public.lock_collaboration_session(uuid), public.invite_to_collaboration(uuid, uuid, text),
  public.remove_from_collaboration(uuid, uuid), public.join_collaboration(uuid), public.touch_collaboration(uuid),
  public.save_collaborative_note(uuid, text, text, uuid, integer, text, text),
  public.resolve_collaboration_conflict(uuid, text, integer, text, text), public.set_note_status(uuid, text, integer),
  public.end_collaboration_session(uuid, text), public.pause_idle_collaborations(), public.notify_collaboration()
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.my_collaboration_sessions(),
  public.create_collaboration_session(uuid, text, text, timestamptz, timestamptz),
  public.invite_to_collaboration(uuid, uuid, text), public.remove_from_collaboration(uuid, uuid),
  public.join_collaboration(uuid), public.touch_collaboration(uuid),
  public.save_collaborative_note(uuid, text, text, uuid, integer, text, text),
  public.resolve_collaboration_conflict(uuid, text, integer, text, text), public.set_note_status(uuid, text, integer),
  public.end_collaboration_session(uuid, text) TO authenticated;
GRANT EXECUTE ON FUNCTION public.pause_idle_collaborations() TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION public.pause_idle_collaborations() TO guardian_operator;
  END IF;
END
$$;

-- From here on auth.users is locked. The patient's sessions go with him; of others who are deleted only the name goes.
ALTER TABLE public.collaboration_sessions
  ADD CONSTRAINT collaboration_sessions_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT collaboration_sessions_session_owner_fkey
    FOREIGN KEY (session_owner) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.collaboration_participants
  ADD CONSTRAINT collaboration_participants_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT collaboration_participants_invited_by_fkey
    FOREIGN KEY (invited_by) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.collaborative_clinical_notes
  ADD CONSTRAINT collaborative_clinical_notes_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT collaborative_clinical_notes_primary_author_fkey
    FOREIGN KEY (primary_author) REFERENCES auth.users (id) ON DELETE SET NULL,
  ADD CONSTRAINT collaborative_clinical_notes_last_editor_fkey
    FOREIGN KEY (last_editor) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.collaborative_note_versions
  ADD CONSTRAINT collaborative_note_versions_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT collaborative_note_versions_editor_fkey
    FOREIGN KEY (editor) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.collaboration_conflicts
  ADD CONSTRAINT collaboration_conflicts_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT collaboration_conflicts_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE SET NULL,
  ADD CONSTRAINT collaboration_conflicts_resolved_by_fkey
    FOREIGN KEY (resolved_by) REFERENCES auth.users (id) ON DELETE SET NULL;
