import type { Group } from "./locking";

const [session, note, conflict] = [1, 2, 3].map((n) => `00000000-0000-0000-0000-00000000000${n}`);

/** Module 008: whoever takes part in a session, and what is written there. The doctor owns it, the nurse is in, the third is invited. */
export function sessionGroup([patient, doctor, nurse, third]: readonly string[]): Group {
  const participant = (user: string | undefined, role: string, state: string, by = "consent") =>
    `('${session}', '${user}', '${role}', '${by}', '${state}', clock_timestamp())`;
  const by = (user: string | undefined, of: string, call: string) => ({
    of: `public.${of}`,
    by: user!,
    sql: `SELECT public.${call}`,
  });
  return {
    name: "a collaboration session",
    worlds: {
      meeting: `
        DELETE FROM public.collaboration_conflicts; DELETE FROM public.collaborative_note_versions;
        DELETE FROM public.collaborative_clinical_notes; DELETE FROM public.collaboration_participants;
        DELETE FROM public.collaboration_sessions; DELETE FROM public.patient_consents;
        UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100,
          configuration = '{"max_concurrent_users": 2, "session_timeout_minutes": 30}' WHERE feature_name = 'real_time_collaboration';
        INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, granted, legal_basis, valid_from, valid_until)
        SELECT '${patient}', 'data_sharing', 'healthcare_services', u, true, 'consent', now() - interval '1 day', now() + interval '1 day'
        FROM unnest('{${doctor},${nurse},${third}}'::uuid[]) AS u;
        INSERT INTO public.collaboration_sessions (id, patient_id, session_name, session_type, session_owner, status)
        VALUES ('${session}', '${patient}', 'Round', 'care_team_meeting', '${doctor}', 'active');
        INSERT INTO public.collaboration_participants (session_id, user_id, role, admitted_by, state, last_seen_at)
        VALUES ${participant(doctor, "owner", "joined")}, ${participant(nurse, "editor", "joined")}, ${participant(third, "viewer", "invited")};
        INSERT INTO public.collaborative_clinical_notes (id, session_id, patient_id, note_type, title, content, version_number, primary_author, last_editor)
        VALUES ('${note}', '${session}', '${patient}', 'progress_note', 'Title', 'Text', 1, '${nurse}', '${nurse}');
        INSERT INTO public.collaborative_note_versions (note_id, version_number, session_id, patient_id, title, content, editor)
        VALUES ('${note}', 1, '${session}', '${patient}', 'Title', 'Text', '${nurse}');
        INSERT INTO public.collaboration_conflicts (id, note_id, session_id, patient_id, user_id, conflict_type, expected_version, current_version, attempted_title, attempted_content)
        VALUES ('${conflict}', '${note}', '${session}', '${patient}', '${nurse}', 'concurrent_edit', 1, 1, 'Other', 'Other')`,
    },
    calls: {
      "the owner invites": by(
        doctor,
        "invite_to_collaboration(uuid, uuid, text)",
        `invite_to_collaboration('${session}', '${third}', 'editor')`,
      ),
      "the patient invites": by(
        patient,
        "invite_to_collaboration(uuid, uuid, text)",
        `invite_to_collaboration('${session}', '${nurse}', 'viewer')`,
      ),
      "the owner is removed": by(
        patient,
        "remove_from_collaboration(uuid, uuid)",
        `remove_from_collaboration('${session}', '${doctor}')`,
      ),
      "the nurse is removed": by(
        doctor,
        "remove_from_collaboration(uuid, uuid)",
        `remove_from_collaboration('${session}', '${nurse}')`,
      ),
      "the nurse joins": by(nurse, "join_collaboration(uuid)", `join_collaboration('${session}')`),
      "the third joins": by(third, "join_collaboration(uuid)", `join_collaboration('${session}')`),
      "the nurse shows up": by(nurse, "touch_collaboration(uuid)", `touch_collaboration('${session}')`),
      "the nurse writes": by(
        nurse,
        "save_collaborative_note(uuid, text, text, uuid, integer, text, text)",
        `save_collaborative_note('${session}', 'Title', 'New', '${note}', 1)`,
      ),
      "the owner resolves": by(
        doctor,
        "resolve_collaboration_conflict(uuid, text, integer, text, text)",
        `resolve_collaboration_conflict('${conflict}', 'overwrite', 1)`,
      ),
      "the nurse finalizes": by(
        nurse,
        "set_note_status(uuid, text, integer)",
        `set_note_status('${note}', 'finalized', 1)`,
      ),
      "the owner finalizes": by(
        doctor,
        "set_note_status(uuid, text, integer)",
        `set_note_status('${note}', 'finalized', 1)`,
      ),
      "the owner ends it": by(
        doctor,
        "end_collaboration_session(uuid, text)",
        `end_collaboration_session('${session}')`,
      ),
      "it is paused": {
        of: "public.pause_idle_collaborations()",
        by: "service_role",
        sql: "SELECT public.pause_idle_collaborations()",
      },
    },
    state: `SELECT jsonb_build_array(
      (SELECT s.status FROM public.collaboration_sessions AS s),
      (SELECT jsonb_agg(p.role || ' ' || p.state || ' ' || p.admitted_by ORDER BY p.user_id) FROM public.collaboration_participants AS p),
      (SELECT n.version_number || ' ' || n.editorial_status || ' ' || n.content FROM public.collaborative_clinical_notes AS n),
      (SELECT jsonb_agg(v.content ORDER BY v.version_number) FROM public.collaborative_note_versions AS v),
      (SELECT jsonb_agg(c.status ORDER BY c.created_at) FROM public.collaboration_conflicts AS c))`,
    hold: "SELECT FROM public.collaboration_sessions FOR UPDATE",
    changes: {
      "the feature is switched off":
        "UPDATE public.feature_flags SET enabled = false WHERE feature_name = 'real_time_collaboration'",
      "the patient takes his consents back":
        "UPDATE public.patient_consents SET granted = false, revoked_at = clock_timestamp()",
      "the consents' time is over": "UPDATE public.patient_consents SET valid_until = clock_timestamp()",
      "everybody is removed": "UPDATE public.collaboration_participants SET state = 'removed'",
      "all are made viewers":
        "UPDATE public.collaboration_participants SET role = 'viewer' WHERE role <> 'owner'; UPDATE public.collaboration_participants SET state = 'left' WHERE role = 'owner'",
      "the session times out":
        "UPDATE public.collaboration_sessions SET last_activity = now() - interval '1 day'; UPDATE public.collaboration_participants SET last_seen_at = now() - interval '1 day'",
      "the author is forgotten": "UPDATE public.collaborative_clinical_notes SET primary_author = NULL",
      "the session is deleted": "DELETE FROM public.collaboration_sessions",
    },
  };
}
