-- The engine has archived the five tables by now, with their policies and triggers.
DROP FUNCTION public.notify_collaboration();
DROP FUNCTION public.pause_idle_collaborations();
DROP FUNCTION public.end_collaboration_session(uuid, text);
DROP FUNCTION public.set_note_status(uuid, text, integer);
DROP FUNCTION public.resolve_collaboration_conflict(uuid, text, integer, text, text);
DROP FUNCTION public.save_collaborative_note(uuid, text, text, uuid, integer, text, text);
DROP FUNCTION public.touch_collaboration(uuid);
DROP FUNCTION public.join_collaboration(uuid);
DROP FUNCTION public.remove_from_collaboration(uuid, uuid);
DROP FUNCTION public.invite_to_collaboration(uuid, uuid, text);
DROP FUNCTION public.lock_collaboration_session(uuid);
DROP FUNCTION public.hold_collaboration_session(uuid);
DROP FUNCTION public.create_collaboration_session(uuid, text, text, timestamptz, timestamptz);
DROP FUNCTION public.my_collaboration_sessions();
DROP FUNCTION public.patient_consents_to(uuid, uuid);
DROP FUNCTION public.collaboration_caller();
DROP FUNCTION public.collaboration_present_since();
DROP FUNCTION public.collaboration_limit(text, integer);
