-- Collaboration: people work on notes about a patient together. All writing is done by functions, so that nobody takes a
-- session over; v6's auth.users is touched at the end only.

CREATE TABLE public.collaboration_sessions (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT collaboration_sessions_pkey PRIMARY KEY,
  patient_id uuid NOT NULL,
  session_name text NOT NULL
    CONSTRAINT collaboration_sessions_name_check CHECK (length(session_name) BETWEEN 1 AND 200)
    CONSTRAINT collaboration_sessions_name_line CHECK (session_name !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
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
  CONSTRAINT collaboration_sessions_period_check CHECK (scheduled_end > scheduled_start),
  CONSTRAINT collaboration_sessions_times_check CHECK (isfinite(scheduled_start) AND isfinite(scheduled_end))
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
  -- Invited is whoever is named, and it is not told whether that is an account: the key is to those who are one.
  is_account boolean NOT NULL DEFAULT true,
  account_id uuid GENERATED ALWAYS AS (CASE WHEN is_account THEN user_id END) STORED,
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
COMMENT ON COLUMN public.collaboration_participants.user_id IS
  'Who was invited, or is in; no key, so that an invitation does not tell whether there is such an account.';
COMMENT ON COLUMN public.collaboration_participants.is_account IS
  'False for an id that was no account when it was invited, until it joins. Shown to no user.';
COMMENT ON COLUMN public.collaboration_participants.account_id IS
  'The account, by which its deletion takes the row along. Shown to no user.';
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
  title text NOT NULL CONSTRAINT collaborative_clinical_notes_title_check CHECK (length(title) BETWEEN 1 AND 500)
    CONSTRAINT collaborative_clinical_notes_title_line CHECK (title !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
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
  title text NOT NULL CONSTRAINT collaborative_note_versions_title_bound CHECK (octet_length(title) <= 2000)
    CONSTRAINT collaborative_note_versions_title_line CHECK (title !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  content text NOT NULL CONSTRAINT collaborative_note_versions_content_bound CHECK (octet_length(content) <= 800000),
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
  attempted_title text NOT NULL
    CONSTRAINT collaboration_conflicts_title_bound CHECK (octet_length(attempted_title) <= 2000)
    CONSTRAINT collaboration_conflicts_title_line CHECK (attempted_title !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  attempted_content text NOT NULL
    CONSTRAINT collaboration_conflicts_content_bound CHECK (octet_length(attempted_content) <= 800000),
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
CREATE INDEX collaboration_participants_account_idx ON public.collaboration_participants (account_id);
CREATE INDEX collaboration_participants_invited_by_idx ON public.collaboration_participants (invited_by);
CREATE INDEX collaborative_clinical_notes_session_idx ON public.collaborative_clinical_notes (session_id);
CREATE INDEX collaborative_clinical_notes_patient_idx ON public.collaborative_clinical_notes (patient_id);
CREATE INDEX collaborative_clinical_notes_author_idx ON public.collaborative_clinical_notes (primary_author);
CREATE INDEX collaborative_clinical_notes_editor_idx ON public.collaborative_clinical_notes (last_editor);
CREATE INDEX collaborative_note_versions_session_idx ON public.collaborative_note_versions (session_id);
CREATE INDEX collaborative_note_versions_patient_idx ON public.collaborative_note_versions (patient_id);
CREATE INDEX collaborative_note_versions_editor_idx ON public.collaborative_note_versions (editor);
CREATE INDEX collaboration_conflicts_note_idx ON public.collaboration_conflicts (note_id);
CREATE INDEX collaboration_conflicts_session_idx ON public.collaboration_conflicts (session_id);
CREATE INDEX collaboration_conflicts_patient_idx ON public.collaboration_conflicts (patient_id);
CREATE INDEX collaboration_conflicts_user_idx ON public.collaboration_conflicts (user_id);
CREATE INDEX collaboration_conflicts_resolved_by_idx ON public.collaboration_conflicts (resolved_by);
