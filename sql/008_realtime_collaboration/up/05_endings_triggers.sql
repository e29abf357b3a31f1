-- How sessions end or pause, and triggers: what stays as it is, what is audited, what is told.

CREATE FUNCTION public.end_collaboration_session(p_session_id uuid, p_status text DEFAULT 'completed') RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_held boolean := public.hold_collaboration_session(p_session_id);
BEGIN
  IF coalesce(p_status, '') NOT IN ('completed', 'cancelled') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_status is completed or cancelled';
  ELSIF (SELECT auth.uid() IN (s.patient_id, s.session_owner) FROM public.collaboration_sessions AS s
    WHERE s.id = p_session_id AND v_held AND s.id IN (SELECT public.my_collaboration_sessions())) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient or the owner ends a session';
  END IF;
  UPDATE public.collaboration_sessions AS s SET status = p_status, actual_end = clock_timestamp()
  WHERE s.id = p_session_id AND s.status NOT IN ('completed', 'cancelled');
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.end_collaboration_session(uuid, text) IS
  'The patient or the owner ends a session, the feature on or off; false if it has ended. Its notes stay readable.';

CREATE FUNCTION public.pause_idle_collaborations() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_since timestamptz := public.collaboration_present_since();
  v_count bigint := 0;
  v_passed bigint := 0;
  v_id uuid;
BEGIN
  -- One that somebody holds is not idle.
  UPDATE public.collaboration_sessions AS s SET status = 'paused'
  WHERE s.id IN (SELECT i.id FROM public.collaboration_sessions AS i
    WHERE i.status = 'active' AND i.last_activity <= v_since FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
  -- A session is at fault: one by one, so that the others pause.
  FOR v_id IN SELECT s.id FROM public.collaboration_sessions AS s
    WHERE s.status = 'active' AND s.last_activity <= v_since FOR UPDATE SKIP LOCKED
  LOOP
    BEGIN
      UPDATE public.collaboration_sessions AS s SET status = 'paused'
      WHERE s.id = v_id AND s.status = 'active' AND s.last_activity <= v_since;
      v_count := v_count + CASE WHEN FOUND THEN 1 ELSE 0 END;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
      PERFORM public.pass_over('public.collaboration_sessions', v_id::text);
      v_passed := v_passed + 1;
    END;
  END LOOP;
  IF v_passed > 0 THEN
    RAISE WARNING '% sessions could not be paused and were passed over: audit_log has their ids (PASSED_OVER)', v_passed;
  END IF;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.pause_idle_collaborations() IS
  'Pauses sessions that timed out; how many. For a clock job; nothing can be written in them meanwhile anyway.';

-- Everybody who is connected may LISTEN, anon too, and NOTIFY: PostgreSQL has no right to a channel. So it is told that
-- something changed and nothing else, not even keys: whoever was removed from a session still knows its id.
CREATE FUNCTION public.notify_collaboration() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('guardian_collaboration', '');
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_collaboration() IS
  'Trigger: NOTIFY guardian_collaboration, once a transaction and without a payload; who listens looks, under row security, '
  'for what changed. Anybody can forge it: it is a hint.';

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
-- Whatever changes: WHEN may not ask a row that has a generated column.
CREATE TRIGGER collaboration_participants_updated_at BEFORE UPDATE ON public.collaboration_participants
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
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
