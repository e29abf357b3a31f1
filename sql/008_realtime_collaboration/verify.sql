-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  PERFORM public.assert_module('008_realtime_collaboration', ARRAY[
    'public.collaboration_sessions: row security',
    'public.collaboration_sessions: authenticated may SELECT',
    'public.collaboration_sessions: service_role may SELECT',
    'public.collaboration_sessions: policy collaboration_sessions_admitted for SELECT to authenticated using (id IN ( '
      'SELECT public.my_collaboration_sessions() AS my_collaboration_sessions))',
    'public.collaboration_sessions: policy collaboration_sessions_service for SELECT to service_role using true',
    'public.collaboration_sessions: trigger collaboration_sessions_identity calls public.refuse_change',
    'public.collaboration_sessions: trigger collaboration_sessions_updated_at calls public.set_updated_at',
    'public.collaboration_sessions: trigger collaboration_sessions_audit calls public.audit_row',
    'public.collaboration_sessions: trigger collaboration_sessions_audit_update calls public.audit_row',
    'public.collaboration_sessions: trigger collaboration_sessions_notify calls public.notify_collaboration',
    'public.collaboration_sessions: trigger collaboration_sessions_notify_update calls public.notify_collaboration',
    'public.collaboration_sessions: collaboration_sessions_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES '
      'auth.users(id) ON DELETE CASCADE',
    'public.collaboration_sessions: collaboration_sessions_session_owner_fkey FOREIGN KEY (session_owner) REFERENCES '
      'auth.users(id) ON DELETE SET NULL',
    'public.collaboration_sessions: constraint collaboration_sessions_name_check',
    'public.collaboration_sessions: constraint collaboration_sessions_type_check',
    'public.collaboration_sessions: constraint collaboration_sessions_status_check',
    'public.collaboration_sessions: constraint collaboration_sessions_period_check',
    'public.collaboration_sessions: constraint collaboration_sessions_pkey',
    'public.collaboration_sessions: index public.collaboration_sessions_patient_idx',
    'public.collaboration_sessions: index public.collaboration_sessions_owner_idx',
    'public.collaboration_sessions: index public.collaboration_sessions_active_idx',
    'public.collaboration_participants: row security',
    'public.collaboration_participants: authenticated may SELECT',
    'public.collaboration_participants: service_role may SELECT',
    'public.collaboration_participants: policy collaboration_participants_admitted for SELECT to authenticated using '
      '(session_id IN ( SELECT public.my_collaboration_sessions() AS my_collaboration_sessions))',
    'public.collaboration_participants: policy collaboration_participants_service for SELECT to service_role using '
      'true',
    'public.collaboration_participants: trigger collaboration_participants_updated_at calls public.set_updated_at',
    'public.collaboration_participants: trigger collaboration_participants_audit calls public.audit_row',
    'public.collaboration_participants: trigger collaboration_participants_audit_update calls public.audit_row',
    'public.collaboration_participants: trigger collaboration_participants_notify calls public.notify_collaboration',
    'public.collaboration_participants: trigger collaboration_participants_notify_update calls '
      'public.notify_collaboration',
    'public.collaboration_participants: collaboration_participants_user_id_fkey FOREIGN KEY (user_id) REFERENCES '
      'auth.users(id) ON DELETE CASCADE',
    'public.collaboration_participants: collaboration_participants_invited_by_fkey FOREIGN KEY (invited_by) '
      'REFERENCES auth.users(id) ON DELETE SET NULL',
    'public.collaboration_participants: constraint collaboration_participants_role_check',
    'public.collaboration_participants: constraint collaboration_participants_admitted_check',
    'public.collaboration_participants: constraint collaboration_participants_state_check',
    'public.collaboration_participants: constraint collaboration_participants_pkey',
    'public.collaboration_participants: collaboration_participants_session_id_fkey FOREIGN KEY (session_id) '
      'REFERENCES public.collaboration_sessions(id) ON DELETE CASCADE',
    'public.collaboration_participants: index public.collaboration_participants_user_idx',
    'public.collaboration_participants: index public.collaboration_participants_invited_by_idx',
    'public.collaborative_clinical_notes: row security',
    'public.collaborative_clinical_notes: authenticated may SELECT',
    'public.collaborative_clinical_notes: policy collaborative_clinical_notes_admitted for SELECT to authenticated '
      'using (session_id IN ( SELECT public.my_collaboration_sessions() AS my_collaboration_sessions))',
    'public.collaborative_clinical_notes: trigger collaborative_clinical_notes_updated_at calls public.set_updated_at',
    'public.collaborative_clinical_notes: trigger collaborative_clinical_notes_audit calls public.audit_row',
    'public.collaborative_clinical_notes: trigger collaborative_clinical_notes_notify calls '
      'public.notify_collaboration',
    'public.collaborative_clinical_notes: collaborative_clinical_notes_patient_id_fkey FOREIGN KEY (patient_id) '
      'REFERENCES auth.users(id) ON DELETE CASCADE',
    'public.collaborative_clinical_notes: collaborative_clinical_notes_primary_author_fkey FOREIGN KEY '
      '(primary_author) REFERENCES auth.users(id) ON DELETE SET NULL',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_type_check',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_title_check',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_content_check',
    'public.collaborative_clinical_notes: collaborative_clinical_notes_last_editor_fkey FOREIGN KEY (last_editor) '
      'REFERENCES auth.users(id) ON DELETE SET NULL',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_format_check',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_version_check',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_status_check',
    'public.collaborative_clinical_notes: constraint collaborative_clinical_notes_pkey',
    'public.collaborative_clinical_notes: collaborative_clinical_notes_session_id_fkey FOREIGN KEY (session_id) '
      'REFERENCES public.collaboration_sessions(id) ON DELETE CASCADE',
    'public.collaborative_clinical_notes: index public.collaborative_clinical_notes_session_idx',
    'public.collaborative_clinical_notes: index public.collaborative_clinical_notes_patient_idx',
    'public.collaborative_clinical_notes: index public.collaborative_clinical_notes_author_idx',
    'public.collaborative_clinical_notes: index public.collaborative_clinical_notes_editor_idx',
    'public.collaborative_note_versions: row security',
    'public.collaborative_note_versions: authenticated may SELECT',
    'public.collaborative_note_versions: policy collaborative_note_versions_admitted for SELECT to authenticated '
      'using (session_id IN ( SELECT public.my_collaboration_sessions() AS my_collaboration_sessions))',
    'public.collaborative_note_versions: trigger collaborative_note_versions_immutable calls public.refuse_change',
    'public.collaborative_note_versions: collaborative_note_versions_patient_id_fkey FOREIGN KEY (patient_id) '
      'REFERENCES auth.users(id) ON DELETE CASCADE',
    'public.collaborative_note_versions: constraint collaborative_note_versions_pkey',
    'public.collaborative_note_versions: collaborative_note_versions_note_id_fkey FOREIGN KEY (note_id) REFERENCES '
      'public.collaborative_clinical_notes(id) ON DELETE CASCADE',
    'public.collaborative_note_versions: collaborative_note_versions_editor_fkey FOREIGN KEY (editor) REFERENCES '
      'auth.users(id) ON DELETE SET NULL',
    'public.collaborative_note_versions: index public.collaborative_note_versions_patient_idx',
    'public.collaborative_note_versions: index public.collaborative_note_versions_editor_idx',
    'public.collaboration_conflicts: row security',
    'public.collaboration_conflicts: authenticated may SELECT',
    'public.collaboration_conflicts: policy collaboration_conflicts_admitted for SELECT to authenticated using '
      '(session_id IN ( SELECT public.my_collaboration_sessions() AS my_collaboration_sessions))',
    'public.collaboration_conflicts: trigger collaboration_conflicts_notify calls public.notify_collaboration',
    'public.collaboration_conflicts: collaboration_conflicts_note_id_fkey FOREIGN KEY (note_id) REFERENCES '
      'public.collaborative_clinical_notes(id) ON DELETE CASCADE',
    'public.collaboration_conflicts: constraint collaboration_conflicts_type_check',
    'public.collaboration_conflicts: constraint collaboration_conflicts_status_check',
    'public.collaboration_conflicts: constraint collaboration_conflicts_strategy_check',
    'public.collaboration_conflicts: constraint collaboration_conflicts_resolved_check',
    'public.collaboration_conflicts: constraint collaboration_conflicts_pkey',
    'public.collaboration_conflicts: collaboration_conflicts_patient_id_fkey FOREIGN KEY (patient_id) REFERENCES '
      'auth.users(id) ON DELETE CASCADE',
    'public.collaboration_conflicts: collaboration_conflicts_user_id_fkey FOREIGN KEY (user_id) REFERENCES '
      'auth.users(id) ON DELETE SET NULL',
    'public.collaboration_conflicts: collaboration_conflicts_resolved_by_fkey FOREIGN KEY (resolved_by) REFERENCES '
      'auth.users(id) ON DELETE SET NULL',
    'public.collaboration_conflicts: index public.collaboration_conflicts_note_idx',
    'public.collaboration_conflicts: index public.collaboration_conflicts_patient_idx',
    'public.collaboration_conflicts: index public.collaboration_conflicts_user_idx',
    'public.collaboration_conflicts: index public.collaboration_conflicts_resolved_by_idx',
    'public.collaboration_limit(text, integer): invoker, pinned',
    'public.collaboration_present_since(): invoker, pinned',
    'public.collaboration_caller(): invoker, pinned',
    'public.patient_consents_to(uuid, uuid): invoker, pinned',
    'public.my_collaboration_sessions(): definer, pinned',
    'public.my_collaboration_sessions(): authenticated may EXECUTE',
    'public.create_collaboration_session(uuid, text, text, timestamp with time zone, timestamp with time zone): '
      'definer, pinned',
    'public.create_collaboration_session(uuid, text, text, timestamp with time zone, timestamp with time zone): '
      'authenticated may EXECUTE',
    'public.lock_collaboration_session(uuid): invoker, pinned',
    'public.invite_to_collaboration(uuid, uuid, text): definer, pinned',
    'public.invite_to_collaboration(uuid, uuid, text): authenticated may EXECUTE',
    'public.remove_from_collaboration(uuid, uuid): definer, pinned',
    'public.remove_from_collaboration(uuid, uuid): authenticated may EXECUTE',
    'public.join_collaboration(uuid): definer, pinned',
    'public.join_collaboration(uuid): authenticated may EXECUTE',
    'public.touch_collaboration(uuid): definer, pinned',
    'public.touch_collaboration(uuid): authenticated may EXECUTE',
    'public.save_collaborative_note(uuid, text, text, uuid, integer, text, text): definer, pinned',
    'public.save_collaborative_note(uuid, text, text, uuid, integer, text, text): authenticated may EXECUTE',
    'public.resolve_collaboration_conflict(uuid, text, integer, text, text): definer, pinned',
    'public.resolve_collaboration_conflict(uuid, text, integer, text, text): authenticated may EXECUTE',
    'public.set_note_status(uuid, text, integer): definer, pinned',
    'public.set_note_status(uuid, text, integer): authenticated may EXECUTE',
    'public.end_collaboration_session(uuid, text): definer, pinned',
    'public.end_collaboration_session(uuid, text): authenticated may EXECUTE',
    'public.pause_idle_collaborations(): definer, pinned',
    'public.pause_idle_collaborations(): service_role may EXECUTE',
    'public.notify_collaboration(): invoker, pinned'
  ]);
END
$$;
