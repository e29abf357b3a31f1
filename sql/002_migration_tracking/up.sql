-- What happened to this database, for people: sessions and their steps. The migration's own truth is its ledger.

CREATE TABLE public.migration_sessions (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT migration_sessions_pkey PRIMARY KEY,
  migration_type text NOT NULL,
  source_version text,
  target_version text,
  status text NOT NULL DEFAULT 'started' CONSTRAINT migration_sessions_status_check
    CHECK (status IN ('started', 'in_progress', 'completed', 'failed', 'rolled_back', 'emergency_rollback')),
  total_steps integer CONSTRAINT migration_sessions_total_steps_check CHECK (total_steps >= 0),
  completed_steps integer NOT NULL DEFAULT 0
    CONSTRAINT migration_sessions_completed_steps_check CHECK (completed_steps >= 0),
  current_step text,
  started_at timestamptz NOT NULL DEFAULT now(),
  completed_at timestamptz,
  duration_minutes integer,
  records_processed bigint NOT NULL DEFAULT 0
    CONSTRAINT migration_sessions_records_processed_check CHECK (records_processed >= 0),
  records_failed bigint NOT NULL DEFAULT 0
    CONSTRAINT migration_sessions_records_failed_check CHECK (records_failed >= 0),
  error_summary jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT migration_sessions_error_summary_check CHECK (jsonb_typeof(error_summary) = 'array'),
  notes text,
  initiated_by text NOT NULL DEFAULT current_user,
  migration_environment text NOT NULL DEFAULT 'production',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.migration_sessions IS
  'One row a migration or rollback of this database, kept current by every step.';
COMMENT ON COLUMN public.migration_sessions.migration_type IS 'v6_to_v7 or v7_to_v6_rollback.';
COMMENT ON COLUMN public.migration_sessions.status IS
  'emergency_rollback: the flags were switched off in the database, outside the stack.';
COMMENT ON COLUMN public.migration_sessions.duration_minutes IS
  'Whole minutes from started_at to completed_at, kept by a trigger; NULL while it runs.';
COMMENT ON COLUMN public.migration_sessions.records_processed IS 'Rows written by all steps.';
COMMENT ON COLUMN public.migration_sessions.records_failed IS 'Rows that could not be moved.';
COMMENT ON COLUMN public.migration_sessions.error_summary IS
  'Array of what went wrong: step, SQLSTATE and place; never a value of a row.';
COMMENT ON COLUMN public.migration_sessions.initiated_by IS 'Database role or operator that started it.';

CREATE TABLE public.migration_session_steps (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT migration_session_steps_pkey PRIMARY KEY,
  session_id uuid NOT NULL CONSTRAINT migration_session_steps_session_id_fkey
    REFERENCES public.migration_sessions (id) ON DELETE CASCADE,
  step_name text NOT NULL,
  kind text NOT NULL,
  status text NOT NULL DEFAULT 'running' CONSTRAINT migration_session_steps_status_check
    CHECK (status IN ('running', 'done', 'failed', 'undone')),
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  records_processed bigint NOT NULL DEFAULT 0
    CONSTRAINT migration_session_steps_records_processed_check CHECK (records_processed >= 0),
  records_failed bigint NOT NULL DEFAULT 0
    CONSTRAINT migration_session_steps_records_failed_check CHECK (records_failed >= 0),
  CONSTRAINT migration_session_steps_step_key UNIQUE (session_id, step_name)
);
COMMENT ON TABLE public.migration_session_steps IS
  'The steps of a session, one row each however often a step was tried.';
COMMENT ON COLUMN public.migration_session_steps.step_name IS 'Name of the stack''s resource.';
COMMENT ON COLUMN public.migration_session_steps.kind IS 'Kind of the stack''s resource, for example SqlModule.';
COMMENT ON COLUMN public.migration_session_steps.started_at IS 'Start of the latest try.';

-- "The latest session of this type" is what everybody asks.
CREATE INDEX migration_sessions_type_created_idx ON public.migration_sessions (migration_type, created_at DESC);

CREATE FUNCTION public.set_migration_duration() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.duration_minutes := CASE WHEN NEW.completed_at >= NEW.started_at
    THEN floor(extract(epoch FROM NEW.completed_at - NEW.started_at) / 60) END;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.set_migration_duration() IS
  'Trigger: keeps duration_minutes equal to completed_at - started_at.';

CREATE TRIGGER migration_sessions_duration BEFORE INSERT OR UPDATE ON public.migration_sessions
  FOR EACH ROW WHEN (NEW.completed_at IS NOT NULL OR NEW.duration_minutes IS NOT NULL)
  EXECUTE FUNCTION public.set_migration_duration();
CREATE TRIGGER migration_sessions_updated_at BEFORE UPDATE ON public.migration_sessions
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

ALTER TABLE public.migration_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.migration_session_steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY migration_sessions_read ON public.migration_sessions FOR SELECT TO service_role USING (true);
CREATE POLICY migration_session_steps_read ON public.migration_session_steps FOR SELECT TO service_role USING (true);

REVOKE ALL ON public.migration_sessions, public.migration_session_steps FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.migration_sessions, public.migration_session_steps TO service_role;
REVOKE ALL ON FUNCTION public.set_migration_duration() FROM PUBLIC, anon, authenticated, service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.migration_sessions, public.migration_session_steps TO guardian_operator;
    ALTER POLICY migration_sessions_read ON public.migration_sessions TO service_role, guardian_operator;
    ALTER POLICY migration_session_steps_read ON public.migration_session_steps TO service_role, guardian_operator;
  END IF;
END
$$;
