-- What state a consent is in, the trail of its changes, and how it ends.

CREATE FUNCTION public.consent_state(p_granted boolean, p_revoked_at timestamptz, p_valid_until timestamptz,
  p_metadata jsonb, p_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN p_revoked_at IS NOT NULL THEN 'revoked' WHEN NOT p_granted THEN p_metadata ->> 'state'
    WHEN p_valid_until <= p_at THEN 'expired' ELSE 'granted' END
$$;
COMMENT ON FUNCTION public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz) IS
  'State of a consent at a time; without a time as it is stored, even if its end has passed.';

CREATE FUNCTION public.audit_patient_consents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_by uuid := auth.uid();
  v_role text := public.caller_role();
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO public.patient_consent_audit (consent_id, patient_id, action, action_by, action_role, new_state)
    SELECT n.id, n.patient_id, CASE s WHEN 'pending' THEN 'requested' ELSE s END, v_by, v_role, s
    FROM new_rows AS n, public.consent_state(n.granted, n.revoked_at, n.valid_until, n.consent_metadata, NULL) AS s;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO public.patient_consent_audit
      (consent_id, patient_id, action, action_by, action_role, previous_state, gdpr_notification_required)
    SELECT o.id, o.patient_id, 'deleted', v_by, v_role, s, s = 'granted' AND o.granted_to IS NOT NULL
    FROM old_rows AS o, public.consent_state(o.granted, o.revoked_at, o.valid_until, o.consent_metadata, NULL) AS s;
  ELSE
    INSERT INTO public.patient_consent_audit (consent_id, patient_id, action, action_by, action_role, changed_columns,
      previous_state, new_state, legal_basis_change, gdpr_notification_required)
    SELECT n.id, n.patient_id, CASE
        WHEN s.new = 'pending' AND s.old <> 'pending' THEN 'requested'
        WHEN s.new = 'granted' AND (s.old = 'expired' OR s.old = 'granted'
          AND coalesce(n.valid_until, 'infinity') > coalesce(o.valid_until, 'infinity')) THEN 'renewed'
        WHEN s.new <> s.old THEN s.new ELSE 'modified' END,
      v_by, v_role, array_remove(ARRAY[
        CASE WHEN n.consent_evidence IS DISTINCT FROM o.consent_evidence THEN 'consent_evidence' END,
        CASE WHEN n.consent_metadata <> o.consent_metadata THEN 'consent_metadata' END,
        CASE WHEN n.consent_type <> o.consent_type THEN 'consent_type' END,
        CASE WHEN n.consent_version <> o.consent_version THEN 'consent_version' END,
        CASE WHEN n.created_at <> o.created_at THEN 'created_at' END,
        CASE WHEN n.created_by IS DISTINCT FROM o.created_by THEN 'created_by' END,
        CASE WHEN n.end_by_default <> o.end_by_default THEN 'end_by_default' END,
        CASE WHEN n.explicit_consent <> o.explicit_consent THEN 'explicit_consent' END,
        CASE WHEN n.granted <> o.granted THEN 'granted' END,
        CASE WHEN n.granted_to IS DISTINCT FROM o.granted_to THEN 'granted_to' END,
        CASE WHEN n.legal_basis <> o.legal_basis THEN 'legal_basis' END,
        CASE WHEN n.patient_id <> o.patient_id THEN 'patient_id' END,
        CASE WHEN n.purpose <> o.purpose THEN 'purpose' END,
        CASE WHEN n.resource_type IS DISTINCT FROM o.resource_type THEN 'resource_type' END,
        CASE WHEN n.revocation_reason IS DISTINCT FROM o.revocation_reason THEN 'revocation_reason' END,
        CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END,
        CASE WHEN n.updated_by IS DISTINCT FROM o.updated_by THEN 'updated_by' END,
        CASE WHEN n.valid_from <> o.valid_from THEN 'valid_from' END,
        CASE WHEN n.valid_until IS DISTINCT FROM o.valid_until THEN 'valid_until' END], NULL), s.old, s.new, n.legal_basis <> o.legal_basis,
      s.old = 'granted' AND s.new <> 'granted' AND n.granted_to IS NOT NULL
    FROM old_rows AS o JOIN new_rows AS n ON n.id = o.id, LATERAL (SELECT
      public.consent_state(o.granted, o.revoked_at, o.valid_until, o.consent_metadata, NULL),
      public.consent_state(n.granted, n.revoked_at, n.valid_until, n.consent_metadata, NULL)) AS s (old, new)
    WHERE o IS DISTINCT FROM n;
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.audit_patient_consents() IS
  'Trigger, once a statement: a row of patient_consent_audit a change.';

CREATE FUNCTION public.require_patient(p_patient_id uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (p_patient_id = auth.uid()) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient may decide on his consents';
  END IF;
END
$$;
COMMENT ON FUNCTION public.require_patient(uuid) IS 'Refuses everybody but the patient; a request without a user too.';

CREATE FUNCTION public.consent_end(p_patient_id uuid, p_valid_until timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF p_valid_until <= clock_timestamp() OR p_valid_until > '9999-12-31Z' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_valid_until must be in the future, and before the year 10000';
  END IF;
  RETURN coalesce(p_valid_until, clock_timestamp() + coalesce((SELECT p.default_consent_duration
    FROM public.user_consent_preferences AS p WHERE p.user_id = p_patient_id), interval '1 year'));
END
$$;
COMMENT ON FUNCTION public.consent_end(uuid, timestamptz) IS
  'The end asked for, or the patient''s default duration from now.';

CREATE FUNCTION public.lock_patient_consents(p_patient_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.require_read_committed();
  PERFORM pg_advisory_xact_lock(hashtextextended('patient_consents ' || p_patient_id, 0));
END
$$;
COMMENT ON FUNCTION public.lock_patient_consents(uuid) IS
  'One decision that may make a row at a time, of a patient: the next one sees it. A revocation needs none and waits for '
  'none but whoever changes the same row.';

CREATE FUNCTION public.expire_due_consents(p_patient_id uuid, p_consent_id uuid) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_due uuid[];
  v_count bigint;
BEGIN
  PERFORM public.require_read_committed();
  v_due := ARRAY(SELECT c.id FROM public.patient_consents AS c
    WHERE c.granted AND c.valid_until <= v_now AND (p_patient_id IS NULL OR c.patient_id = p_patient_id)
      AND (p_consent_id IS NULL OR c.id = p_consent_id)
    ORDER BY c.id FOR UPDATE);
  -- A statement of its own: who was waited for may have prolonged a consent, or the patient wants no renewal any more.
  v_now := clock_timestamp();
  UPDATE public.patient_consents AS c SET granted = due.renew,
    valid_until = CASE WHEN due.renew THEN v_now + due.duration ELSE c.valid_until END,
    consent_metadata = c.consent_metadata || CASE WHEN due.renew THEN '{}' ELSE '{"state": "expired"}' END::jsonb
  FROM (
    SELECT d.id, d.end_by_default AND coalesce(p.auto_renew_enabled, false), p.default_consent_duration
    FROM unnest(v_due) AS v (id) JOIN public.patient_consents AS d ON d.id = v.id
    LEFT JOIN public.user_consent_preferences AS p ON p.user_id = d.patient_id
  ) AS due (id, renew, duration)
  WHERE c.id = due.id AND c.granted AND c.valid_until <= v_now;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.expire_due_consents(uuid, uuid) IS
  'Ends or renews what is due, of one patient or of all, or one consent; fails where one of them cannot be.';

CREATE FUNCTION public.expire_patient_consents(p_patient_id uuid DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_count bigint := 0;
  v_passed bigint := 0;
  v_id uuid;
BEGIN
  RETURN public.expire_due_consents(p_patient_id, NULL);
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
  -- A row is at fault: one by one, so that nobody's consent goes on because of another's.
  FOR v_id IN
    SELECT c.id FROM public.patient_consents AS c
    WHERE c.granted AND c.valid_until <= clock_timestamp() AND (p_patient_id IS NULL OR c.patient_id = p_patient_id)
  LOOP
    BEGIN
      v_count := v_count + public.expire_due_consents(p_patient_id, v_id);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR raise_exception THEN
      PERFORM public.pass_over('public.patient_consents', v_id::text);
      v_passed := v_passed + 1;
    END;
  END LOOP;
  IF v_passed > 0 THEN
    RAISE WARNING '% consents could not be ended and were passed over: audit_log has their ids (PASSED_OVER)', v_passed;
  END IF;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.expire_patient_consents(uuid) IS
  'Ends consents whose time is over, of one patient or of all, or renews them where the patient wants that and nobody '
  'chose their end; how many. Passes over one that cannot be, and notes it.';
