-- From here on auth.users is locked. The patient's sessions go with him; of others who are deleted only the name goes.
ALTER TABLE public.collaboration_sessions
  ADD CONSTRAINT collaboration_sessions_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT collaboration_sessions_session_owner_fkey
    FOREIGN KEY (session_owner) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.collaboration_participants
  ADD CONSTRAINT collaboration_participants_account_id_fkey
    FOREIGN KEY (account_id) REFERENCES auth.users (id) ON DELETE CASCADE,
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
