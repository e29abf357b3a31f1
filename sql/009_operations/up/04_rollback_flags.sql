-- Every feature off at once, and one flag at a time.

CREATE FUNCTION public.emergency_rollback_to_v6() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
  v_changed bigint;
  v_flags bigint;
  v_session uuid;
  v_note text := '';
BEGIN
  -- All of them, in one order, before any is looked at: one that somebody is just switching on looks off still.
  PERFORM FROM public.feature_flags AS f ORDER BY f.feature_name FOR UPDATE;
  BEGIN
    UPDATE public.feature_flags AS f SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'
    WHERE f.enabled OR f.rollout_percentage <> 0 OR f.enabled_for_users <> '{}';
    GET DIAGNOSTICS v_changed = ROW_COUNT;
  EXCEPTION WHEN lock_not_available THEN
    RAISE;
  WHEN OTHERS THEN
    -- A broken trigger or audit trail must not keep a dangerous feature on.
    v_note := format(' Not audited (SQLSTATE %s).', SQLSTATE);
    ALTER TABLE public.feature_flags DISABLE TRIGGER USER;
    UPDATE public.feature_flags AS f SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}',
      updated_at = clock_timestamp()
    WHERE f.enabled OR f.rollout_percentage <> 0 OR f.enabled_for_users <> '{}';
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    ALTER TABLE public.feature_flags ENABLE TRIGGER USER;
  END;
  SELECT count(*) INTO v_flags FROM public.feature_flags;
  BEGIN
    -- created_at by the clock: the stack looks for the newest one, also where two are made in one transaction.
    INSERT INTO public.migration_sessions (migration_type, source_version, target_version, status, total_steps,
      completed_steps, started_at, completed_at, records_processed, initiated_by, migration_environment, created_at, notes)
    SELECT 'v7_to_v6_rollback', 'v7.0', 'v6.0', 'emergency_rollback', 1, 1, now(), clock_timestamp(), v_changed,
      public.caller_role(), coalesce((SELECT s.migration_environment FROM public.migration_sessions AS s
        WHERE s.migration_type = 'v6_to_v7' ORDER BY s.created_at DESC LIMIT 1), 'production'), clock_timestamp(),
      format('Emergency rollback initiated; %s of %s flags were switched off or emptied.%s', v_changed, v_flags, v_note)
    RETURNING id INTO v_session;
  EXCEPTION WHEN OTHERS THEN
    RETURN format('Emergency rollback completed, but its session could not be recorded (SQLSTATE %s): keep the stack from '
      'running. %s of %s flags changed.%s', SQLSTATE, v_changed, v_flags, v_note);
  END;
  RETURN format('Emergency rollback completed. Session ID: %s. %s of %s flags changed.%s',
    v_session, v_changed, v_flags, v_note);
END
$$;
COMMENT ON FUNCTION public.emergency_rollback_to_v6() IS
  'Switches every feature off for everybody at once: master gate, percentage and lists. Leaves a session of status '
  'emergency_rollback, after which the stack switches nothing on until guardian:acknowledge names it. Data stays.';

CREATE FUNCTION public.feature_flag_status(p_feature_name text DEFAULT NULL)
RETURNS TABLE (feature_name text, enabled boolean, rollout_percentage integer, enabled_for_users uuid[],
  is_seed boolean, last_changed_at timestamptz, last_changed_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT f.feature_name, f.enabled, f.rollout_percentage, f.enabled_for_users,
    s.feature_name IS NOT NULL, a.occurred_at, a.who
  FROM public.feature_flags AS f
  LEFT JOIN public.feature_flag_seed() AS s ON (s.feature_name, s.enabled, s.rollout_percentage, s.enabled_for_users,
    s.configuration) = (f.feature_name, f.enabled, f.rollout_percentage, f.enabled_for_users, f.configuration)
  LEFT JOIN LATERAL (
    SELECT l.occurred_at, concat_ws(' ', l.actor_role, l.actor) AS who FROM public.audit_log AS l
    WHERE l.table_name = 'public.feature_flags' AND l.record_key = f.feature_name ORDER BY l.occurred_at DESC LIMIT 1
  ) AS a ON true
  WHERE p_feature_name IS NULL OR f.feature_name = p_feature_name ORDER BY f.feature_name
$$;
COMMENT ON FUNCTION public.feature_flag_status(text) IS
  'One flag or all: its values, whether they are as delivered, and who changed it last.';

CREATE FUNCTION public.reset_feature_flag(p_feature_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
BEGIN
  PERFORM FROM public.feature_flags AS f WHERE f.feature_name = p_feature_name FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'there is no such flag; feature_flag_status() lists them';
  END IF;
  UPDATE public.feature_flags AS f SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'
  WHERE f.feature_name = p_feature_name
    AND (f.enabled OR f.rollout_percentage <> 0 OR f.enabled_for_users <> '{}');
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.reset_feature_flag(text) IS
  'Switches one flag off for everybody, its list emptied; its configuration stays. False if it was so already.';
