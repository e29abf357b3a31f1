-- What patients decide, and what they are asked.

CREATE FUNCTION public.grant_patient_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_granted_to uuid DEFAULT NULL, p_resource_type text DEFAULT NULL, p_valid_until timestamptz DEFAULT NULL,
  p_explicit_consent boolean DEFAULT true, p_consent_evidence jsonb DEFAULT '{}')
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_end timestamptz;
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  PERFORM public.require_patient(p_patient_id);
  IF concat(p_consent_type, p_purpose, p_resource_type) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    -- The CHECKs' own errors would quote the row.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'type, purpose and resource are a line each, without control characters';
  END IF;
  PERFORM public.lock_patient_consents(p_patient_id);
  PERFORM public.expire_patient_consents(p_patient_id);
  v_end := public.consent_end(p_patient_id, p_valid_until);
  IF p_explicit_consent IS NOT TRUE AND coalesce((SELECT p.require_explicit_consent
    FROM public.user_consent_preferences AS p WHERE p.user_id = p_patient_id), true) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'this patient''s preferences ask for explicit consent';
  END IF;
  INSERT INTO public.patient_consents AS c (patient_id, consent_type, purpose, granted_to, resource_type, granted,
    legal_basis, explicit_consent, consent_evidence, valid_until, end_by_default, created_by, updated_by)
  VALUES (p_patient_id, p_consent_type, p_purpose, p_granted_to, p_resource_type, true,
    'consent', coalesce(p_explicit_consent, false), coalesce(p_consent_evidence, '{}'), v_end,
    p_valid_until IS NULL, p_patient_id, p_patient_id)
  ON CONFLICT (patient_id, consent_type, purpose, granted_to, resource_type,
    (CASE WHEN granted OR consent_metadata ->> 'state' = 'pending' THEN NULL ELSE id END))
  DO UPDATE SET granted = true, legal_basis = 'consent',
    explicit_consent = c.explicit_consent OR excluded.explicit_consent,
    consent_evidence = coalesce(c.consent_evidence, '{}') || excluded.consent_evidence
      || CASE WHEN coalesce(c.consent_evidence, '{}') = '{}' THEN '{}' ELSE jsonb_build_object('history',
        coalesce(c.consent_evidence -> 'history', '[]') || (c.consent_evidence - 'history')) END,
    consent_metadata = c.consent_metadata - 'state',
    valid_from = CASE WHEN c.granted THEN c.valid_from ELSE excluded.valid_from END,
    valid_until = CASE WHEN p_valid_until IS NULL THEN greatest(c.valid_until, v_end) ELSE v_end END,
    end_by_default = p_valid_until IS NULL AND (c.end_by_default OR (c.valid_until >= v_end) IS NOT TRUE),
    updated_by = excluded.updated_by
  RETURNING c.id INTO v_id;
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'patient_consents', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb) IS
  'The patient gives a consent, anew or in answer to a request; its id. Without p_valid_until his default duration.';

CREATE FUNCTION public.request_patient_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_granted_to uuid DEFAULT NULL, p_resource_type text DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
  v_constraint text;
  v_column text;
BEGIN
  IF concat(p_consent_type, p_purpose, p_resource_type) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    -- The CHECKs' own errors would quote the row.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'type, purpose and resource are a line each, without control characters';
  END IF;
  PERFORM public.lock_patient_consents(p_patient_id);
  PERFORM public.expire_patient_consents(p_patient_id);
  LOOP
    INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, resource_type, legal_basis,
      consent_metadata, created_by, updated_by)
    VALUES (p_patient_id, p_consent_type, p_purpose, p_granted_to, p_resource_type, 'consent',
      '{"state": "pending"}', auth.uid(), auth.uid())
    ON CONFLICT (patient_id, consent_type, purpose, granted_to, resource_type,
      (CASE WHEN granted OR consent_metadata ->> 'state' = 'pending' THEN NULL ELSE id END)) DO NOTHING
    RETURNING id INTO v_id;
    EXIT WHEN v_id IS NOT NULL;
    SELECT c.id INTO v_id FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
      AND c.granted_to IS NOT DISTINCT FROM p_granted_to AND c.resource_type IS NOT DISTINCT FROM p_resource_type
      AND (c.granted OR c.consent_metadata ->> 'state' = 'pending');
    EXIT WHEN v_id IS NOT NULL; -- else it was revoked between the two statements: asked again
  END LOOP;
  RETURN v_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'patient_consents', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.request_patient_consent(uuid, text, text, uuid, text) IS
  'The server side asks a patient for a consent: a pending row, or the live one that is there; its id.';

CREATE FUNCTION public.refuse_patient_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_granted_to uuid DEFAULT NULL, p_resource_type text DEFAULT NULL, p_reason text DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now public.patient_consents%ROWTYPE;
  v_constraint text;
  v_column text;
BEGIN
  PERFORM public.require_patient(p_patient_id);
  IF concat(p_consent_type, p_purpose, p_resource_type) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    -- The CHECKs' own errors would quote the row.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'type, purpose and resource are a line each, without control characters';
  END IF;
  PERFORM public.lock_patient_consents(p_patient_id);
  PERFORM public.expire_patient_consents(p_patient_id);
  SELECT * INTO v_now FROM public.patient_consents AS c
  WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
    AND c.granted_to IS NOT DISTINCT FROM p_granted_to AND c.resource_type IS NOT DISTINCT FROM p_resource_type
  ORDER BY c.granted OR c.consent_metadata ->> 'state' = 'pending' DESC NULLS LAST, c.updated_at DESC
  LIMIT 1 FOR UPDATE;
  IF v_now.granted THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'this consent is granted: revoke it with revoke_patient_consent';
  ELSIF v_now.consent_metadata ->> 'state' = 'pending' THEN
    UPDATE public.patient_consents AS c SET consent_metadata = c.consent_metadata || '{"state": "refused"}',
      revocation_reason = p_reason, updated_by = p_patient_id WHERE c.id = v_now.id;
  ELSIF (v_now.consent_metadata ->> 'state' = 'refused') IS NOT TRUE THEN
    INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, resource_type, legal_basis,
      consent_metadata, revocation_reason, created_by, updated_by)
    VALUES (p_patient_id, p_consent_type, p_purpose, p_granted_to, p_resource_type, 'consent',
      '{"state": "refused"}', p_reason, p_patient_id, p_patient_id)
    RETURNING * INTO v_now;
  END IF;
  RETURN v_now.id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'patient_consents', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.refuse_patient_consent(uuid, text, text, uuid, text, text) IS
  'The patient says no to a request, or before anybody asked; the id of the refusal. Twice is the same as once.';

CREATE FUNCTION public.revoke_patient_consent(p_consent_id uuid, p_revocation_reason text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_constraint text;
  v_column text;
BEGIN
  PERFORM public.require_patient((SELECT c.patient_id FROM public.patient_consents AS c WHERE c.id = p_consent_id));
  UPDATE public.patient_consents AS c SET granted = false, revoked_at = clock_timestamp(), revocation_reason = p_revocation_reason,
    consent_metadata = c.consent_metadata - 'state', updated_by = c.patient_id
  WHERE c.id = p_consent_id AND c.granted;
  RETURN FOUND;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, 'patient_consents', v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.revoke_patient_consent(uuid, text) IS
  'The patient takes a granted consent back, from now on; false if it was not granted (any more).';

CREATE FUNCTION public.renew_patient_consent(p_consent_id uuid, p_valid_until timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_patient uuid := (SELECT c.patient_id FROM public.patient_consents AS c WHERE c.id = p_consent_id);
BEGIN
  PERFORM public.require_patient(v_patient);
  PERFORM public.require_read_committed();
  PERFORM FROM public.patient_consents AS c WHERE c.id = p_consent_id FOR UPDATE;
  UPDATE public.patient_consents AS c SET granted = true, consent_metadata = c.consent_metadata - 'state',
    valid_from = CASE WHEN c.granted AND c.valid_until > clock_timestamp() THEN c.valid_from ELSE statement_timestamp() END,
    valid_until = public.consent_end(v_patient, p_valid_until), end_by_default = p_valid_until IS NULL, updated_by = v_patient
  WHERE c.id = p_consent_id AND (c.granted OR c.consent_metadata ->> 'state' = 'expired')
    AND c.valid_until < public.consent_end(v_patient, p_valid_until);
  RETURN FOUND;
EXCEPTION WHEN unique_violation THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION public.renew_patient_consent(uuid, timestamptz) IS
  'The patient prolongs a granted or expired consent; false if it ends no later by that, or was given anew meanwhile.';
