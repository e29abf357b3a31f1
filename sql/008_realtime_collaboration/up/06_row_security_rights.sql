-- Row security, and the rights of API roles.

ALTER TABLE public.collaboration_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaboration_participants ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaborative_clinical_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaborative_note_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.collaboration_conflicts ENABLE ROW LEVEL SECURITY;
-- An array, and not IN: its sessions are asked for once, and found by an index, which IN of a policy never is.
CREATE POLICY collaboration_sessions_admitted ON public.collaboration_sessions FOR SELECT TO authenticated
  USING (id = ANY (ARRAY(SELECT public.my_collaboration_sessions())));
CREATE POLICY collaboration_participants_admitted ON public.collaboration_participants FOR SELECT TO authenticated
  USING (session_id = ANY (ARRAY(SELECT public.my_collaboration_sessions())));
CREATE POLICY collaborative_clinical_notes_admitted ON public.collaborative_clinical_notes FOR SELECT TO authenticated
  USING (session_id = ANY (ARRAY(SELECT public.my_collaboration_sessions())));
CREATE POLICY collaborative_note_versions_admitted ON public.collaborative_note_versions FOR SELECT TO authenticated
  USING (session_id = ANY (ARRAY(SELECT public.my_collaboration_sessions())));
CREATE POLICY collaboration_conflicts_admitted ON public.collaboration_conflicts FOR SELECT TO authenticated
  USING (session_id = ANY (ARRAY(SELECT public.my_collaboration_sessions())));
CREATE POLICY collaboration_sessions_service ON public.collaboration_sessions FOR SELECT TO service_role USING (true);
CREATE POLICY collaboration_participants_service ON public.collaboration_participants FOR SELECT TO service_role
  USING (true);

REVOKE ALL ON public.collaboration_sessions, public.collaboration_participants, public.collaborative_clinical_notes,
  public.collaborative_note_versions, public.collaboration_conflicts FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.collaboration_sessions, public.collaborative_clinical_notes,
  public.collaborative_note_versions, public.collaboration_conflicts TO authenticated;
-- Not whether who was invited is an account.
GRANT SELECT (session_id, user_id, role, admitted_by, state, invited_by, last_seen_at, created_at, updated_at)
  ON public.collaboration_participants TO authenticated;
-- The server side runs sessions; what is written in them is not its business.
GRANT SELECT ON public.collaboration_sessions, public.collaboration_participants TO service_role;
REVOKE ALL ON FUNCTION public.collaboration_limit(text, integer), public.collaboration_present_since(),
  public.collaboration_caller(), public.patient_consents_to(uuid, uuid), public.my_collaboration_sessions(),
  public.create_collaboration_session(uuid, text, text, timestamptz, timestamptz),
  public.hold_collaboration_session(uuid), public.lock_collaboration_session(uuid),
  public.invite_to_collaboration(uuid, uuid, text),
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
