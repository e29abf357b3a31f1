-- Feature flags. The stack's FeatureFlag resources own the values; this module owns the twelve rows.

CREATE TABLE public.feature_flags (
  feature_name text NOT NULL CONSTRAINT feature_flags_pkey PRIMARY KEY
    CONSTRAINT feature_flags_feature_name_check CHECK (feature_name ~ '^[a-z][a-z0-9_]{1,62}$'),
  enabled boolean NOT NULL DEFAULT false,
  rollout_percentage integer NOT NULL DEFAULT 0
    CONSTRAINT feature_flags_rollout_percentage_check CHECK (rollout_percentage BETWEEN 0 AND 100),
  enabled_for_users uuid[] NOT NULL DEFAULT '{}'
    CONSTRAINT feature_flags_enabled_for_users_check CHECK (array_position(enabled_for_users, NULL) IS NULL),
  configuration jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT feature_flags_configuration_check CHECK (jsonb_typeof(configuration) = 'object'),
  description text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.feature_flags IS
  'One row a v7 feature: the master gate, then the list of users, then a percentage of all users.';
COMMENT ON COLUMN public.feature_flags.enabled IS 'Master gate: while it is false the feature is off for everybody.';
COMMENT ON COLUMN public.feature_flags.rollout_percentage IS
  'Per cent of users, 0 to 100, that have the feature while enabled; at 100 also requests without a user.';
COMMENT ON COLUMN public.feature_flags.enabled_for_users IS
  'Users (auth.users.id) that have the feature whatever the percentage, while enabled. Not shown to users.';
COMMENT ON COLUMN public.feature_flags.configuration IS 'Settings of the feature, read by the server side only.';

CREATE FUNCTION public.feature_flag_seed()
RETURNS TABLE (feature_name text, enabled boolean, rollout_percentage integer, enabled_for_users uuid[],
  configuration jsonb, description text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.name, false, 0, '{}'::uuid[], s.configuration::jsonb, s.description
  FROM (VALUES
    ('fhir_integration', 'Exchange of records as HL7 FHIR R4 resources',
      '{"supported_resources": ["Patient", "Observation", "MedicationRequest", "DocumentReference"]}'),
    ('enhanced_consent', 'Consents with purpose, recipient and period',
      '{"require_explicit_consent": true, "temporal_consent": true}'),
    ('user_preferences_v2', 'Preferences for display, language, notifications and sharing',
      '{"accessibility_features": true, "notification_controls": true}'),
    ('document_queue_v2', 'Document processing with priorities and retries',
      '{"priority_processing": true, "dead_letter_queue": true}'),
    ('event_sourcing', 'Clinical events kept as a replayable log',
      '{"replay_capability": true, "event_retention_days": 2555}'),
    ('real_time_collaboration', 'Care teams working on notes together',
      '{"max_concurrent_users": 10, "session_timeout_minutes": 30}'),
    ('ai_ml_integration', 'Suggestions by machine learning, confirmed by people',
      '{"confidence_threshold": 0.8, "human_validation_required": true}'),
    ('advanced_analytics', 'Analyses and predictions over a record',
      '{"real_time_updates": false, "predictive_analytics": true}'),
    ('multi_tenancy', 'Several organisations on one installation',
      '{"tenant_isolation_level": "complete", "cross_tenant_sharing": false}'),
    ('mobile_optimization', 'Lighter loading for mobile devices',
      '{"offline_capability": false, "progressive_loading": true}'),
    ('data_portability_v2', 'Export of a whole record',
      '{"export_formats": ["fhir", "cda", "pdf", "csv"]}'),
    ('zero_trust_security', 'Every request verified anew',
      '{"mfa_required": false, "device_trust_required": true}')
  ) AS s (name, description, configuration)
$$;
COMMENT ON FUNCTION public.feature_flag_seed() IS
  'The twelve flags as this module delivers them, all off; a flag taken out of the stack goes back to its row here.';

INSERT INTO public.feature_flags
  (feature_name, enabled, rollout_percentage, enabled_for_users, configuration, description)
SELECT * FROM public.feature_flag_seed();

-- The bucket, 0 to 99, is SHA-256 of name and user: the same on every server version (hashtext is not), other users
-- first for every flag, and 32 unsigned bits never overflow. Modulo 100 is uneven by less than 1 in 40 million. plpgsql
-- keeps the plan of its query for the session; PostgreSQL before 18 plans an SQL function's anew in every statement.
CREATE FUNCTION public.feature_is_on(p_feature_name text, p_user_id uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_on boolean;
BEGIN
  SELECT f.enabled AND (f.rollout_percentage = 100 OR p_user_id = ANY (f.enabled_for_users)
    OR ('x' || left(encode(sha256(convert_to(f.feature_name || ':' || p_user_id, 'UTF8')), 'hex'), 8))
      ::bit(32)::bigint % 100 < f.rollout_percentage)
  INTO v_on FROM public.feature_flags AS f WHERE f.feature_name = p_feature_name;
  RETURN coalesce(v_on, false);
END
$$;
COMMENT ON FUNCTION public.feature_is_on(text, uuid) IS
  'The decision itself, without a look at the caller: for SECURITY DEFINER functions of the owner. A user''s bucket is '
  'the first 32 bits of SHA-256 of flag:user, modulo 100; on when below rollout_percentage.';

CREATE FUNCTION public.is_feature_enabled_for_user(p_feature_name text, p_user_id uuid DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_caller uuid := auth.uid(); -- reads the token once
BEGIN
  IF p_user_id IS NOT NULL AND p_user_id IS DISTINCT FROM v_caller AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a user may ask for his own features only';
  END IF;
  RETURN public.feature_is_on(p_feature_name, coalesce(p_user_id, v_caller));
END
$$;
COMMENT ON FUNCTION public.is_feature_enabled_for_user(text, uuid) IS
  'Whether a user has a feature; without p_user_id the caller. For somebody else service_role and operators only. '
  'False for an unknown flag, and without any user unless the flag is on for everybody.';

CREATE FUNCTION public.my_feature_flags() RETURNS TABLE (feature_name text, enabled boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT f.feature_name, public.feature_is_on(f.feature_name, auth.uid()) FROM public.feature_flags AS f ORDER BY 1
$$;
COMMENT ON FUNCTION public.my_feature_flags() IS 'Every flag and whether the caller has it; nothing about anyone else.';

CREATE FUNCTION public.enable_feature_for_user(p_feature_name text, p_user_id uuid, p_percentage integer DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF p_user_id IS NULL OR p_percentage NOT BETWEEN 0 AND 100 THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_user_id is required, p_percentage is 0 to 100 or absent';
  ELSIF p_percentage IS NOT NULL AND NOT public.caller_is_operator() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'p_percentage changes the rollout for everybody: operators only';
  END IF;
  UPDATE public.feature_flags AS f SET
    enabled_for_users = CASE WHEN p_user_id = ANY (f.enabled_for_users) THEN f.enabled_for_users
      ELSE f.enabled_for_users || p_user_id END,
    rollout_percentage = coalesce(p_percentage, f.rollout_percentage)
  WHERE f.feature_name = p_feature_name;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.enable_feature_for_user(text, uuid, integer) IS
  'Puts a user on a flag''s list; true if the flag exists. The master gate stays as it is. Twice is the same as once. '
  'With p_percentage an operator sets the rollout for everybody as well.';

CREATE FUNCTION public.disable_feature_for_user(p_feature_name text, p_user_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE public.feature_flags AS f SET enabled_for_users = array_remove(f.enabled_for_users, p_user_id)
  WHERE f.feature_name = p_feature_name;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.disable_feature_for_user(text, uuid) IS
  'Takes a user off a flag''s list; true if the flag exists. A rollout percentage may still give him the feature.';

-- A write that changes nothing is no change: neither its time nor the audit trail shows it.
CREATE TRIGGER feature_flags_updated_at BEFORE UPDATE ON public.feature_flags
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER feature_flags_audit AFTER INSERT OR DELETE ON public.feature_flags
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('feature_name');
CREATE TRIGGER feature_flags_audit_update AFTER UPDATE ON public.feature_flags
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.audit_row('feature_name');

ALTER TABLE public.feature_flags ENABLE ROW LEVEL SECURITY;
CREATE POLICY feature_flags_read ON public.feature_flags FOR SELECT TO service_role USING (true);

REVOKE ALL ON public.feature_flags FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.feature_flags TO service_role;
REVOKE ALL ON FUNCTION public.feature_flag_seed(), public.feature_is_on(text, uuid),
  public.is_feature_enabled_for_user(text, uuid), public.my_feature_flags(),
  public.enable_feature_for_user(text, uuid, integer), public.disable_feature_for_user(text, uuid)
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.is_feature_enabled_for_user(text, uuid), public.my_feature_flags()
  TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.enable_feature_for_user(text, uuid, integer),
  public.disable_feature_for_user(text, uuid) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.feature_flags TO guardian_operator;
    ALTER POLICY feature_flags_read ON public.feature_flags TO service_role, guardian_operator;
    GRANT EXECUTE ON FUNCTION public.is_feature_enabled_for_user(text, uuid), public.my_feature_flags(),
      public.enable_feature_for_user(text, uuid, integer), public.disable_feature_for_user(text, uuid)
      TO guardian_operator;
  END IF;
END
$$;
