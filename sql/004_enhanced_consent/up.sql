-- Consents: who may use which data of a patient, for what, until when. v6's auth.users is touched at the end only.

CREATE TABLE public.patient_consents (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT patient_consents_pkey PRIMARY KEY,
  patient_id uuid NOT NULL,
  consent_type text NOT NULL CONSTRAINT patient_consents_consent_type_check CHECK (consent_type IN (
    'data_sharing', 'research_participation', 'marketing_communication', 'ai_processing', 'external_provider_access',
    'emergency_access', 'family_access', 'analytics_processing', 'export_data')),
  resource_type text
    CONSTRAINT patient_consents_resource_type_check CHECK (resource_type ~ '^[A-Za-z][A-Za-z0-9_]{0,62}$'),
  granted_to uuid,
  purpose text NOT NULL CONSTRAINT patient_consents_purpose_check CHECK (purpose ~ '^[a-z][a-z0-9_]{0,62}$'),
  granted boolean NOT NULL DEFAULT false,
  legal_basis text NOT NULL CONSTRAINT patient_consents_legal_basis_check CHECK (legal_basis IN (
    'consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task', 'legitimate_interests')),
  explicit_consent boolean NOT NULL DEFAULT false,
  consent_evidence jsonb DEFAULT '{}' CONSTRAINT patient_consents_consent_evidence_check
    CHECK (coalesce(jsonb_typeof(consent_evidence) = 'object', NOT granted)),
  valid_from timestamptz NOT NULL DEFAULT now(),
  valid_until timestamptz,
  revoked_at timestamptz,
  revocation_reason text,
  consent_metadata jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT patient_consents_consent_metadata_check CHECK (jsonb_typeof(consent_metadata) = 'object'),
  consent_version text NOT NULL DEFAULT '1.0',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  created_by uuid,
  updated_by uuid,
  CONSTRAINT valid_temporal_range CHECK (valid_until > valid_from),
  -- Five states: granted, revoked, and where neither is so consent_metadata.state says which.
  CONSTRAINT revocation_logic CHECK (CASE
    WHEN granted THEN revoked_at IS NULL AND coalesce(consent_metadata ->> 'state' = 'granted', true)
    WHEN revoked_at IS NOT NULL THEN coalesce(consent_metadata ->> 'state' = 'revoked', true)
    ELSE coalesce(consent_metadata ->> 'state' IN ('pending', 'refused', 'expired'), false) END)
);
COMMENT ON TABLE public.patient_consents IS
  'One row a consent: granted, pending (asked for), refused, revoked or expired. Written by functions only.';
COMMENT ON COLUMN public.patient_consents.resource_type IS
  'Kind of data, for example medications; NULL: the whole record.';
COMMENT ON COLUMN public.patient_consents.granted_to IS
  'Who may use the data; NULL: Guardian itself only. No foreign key: a recipient who is erased must not become NULL.';
COMMENT ON COLUMN public.patient_consents.purpose IS 'Machine-readable purpose, for example healthcare_services.';
COMMENT ON COLUMN public.patient_consents.legal_basis IS 'GDPR Article 6(1), its six letters.';
COMMENT ON COLUMN public.patient_consents.explicit_consent IS
  'Given by a clear act of the patient (GDPR Article 9(2)(a)).';
COMMENT ON COLUMN public.patient_consents.consent_evidence IS
  'How it was given (GDPR Article 7(1)), earlier proof of the same consent under "history"; NULL only if not granted.';
COMMENT ON COLUMN public.patient_consents.valid_until IS 'End of the consent, exclusive; NULL: no end.';
COMMENT ON COLUMN public.patient_consents.revocation_reason IS 'The patient''s own words on a revocation or refusal.';
COMMENT ON COLUMN public.patient_consents.consent_metadata IS
  'Key "state": pending, refused or expired where the consent is neither granted nor revoked; absent otherwise.';
COMMENT ON COLUMN public.patient_consents.created_by IS
  'User who made the row; NULL: the migration or the server side.';
COMMENT ON COLUMN public.patient_consents.updated_by IS 'User who changed it last; NULL as for created_by.';

CREATE TABLE public.patient_consent_audit (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT patient_consent_audit_pkey PRIMARY KEY,
  consent_id uuid NOT NULL,
  patient_id uuid NOT NULL,
  action text NOT NULL CONSTRAINT patient_consent_audit_action_check CHECK (action IN (
    'requested', 'granted', 'refused', 'revoked', 'modified', 'expired', 'renewed', 'deleted')),
  action_timestamp timestamptz NOT NULL DEFAULT clock_timestamp(),
  action_by uuid,
  action_role text NOT NULL,
  changed_columns text[] NOT NULL DEFAULT '{}',
  previous_state text,
  new_state text,
  legal_basis_change boolean NOT NULL DEFAULT false,
  gdpr_notification_required boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.patient_consent_audit IS
  'Every change of a consent, once. Append-only; keys and states only; no foreign key, it outlives the consent.';
COMMENT ON COLUMN public.patient_consent_audit.action_by IS 'auth.uid() of the request; NULL for the server side.';
COMMENT ON COLUMN public.patient_consent_audit.action_role IS 'Database role of the request.';
COMMENT ON COLUMN public.patient_consent_audit.previous_state IS
  'State before: granted, pending, refused, revoked, expired.';
COMMENT ON COLUMN public.patient_consent_audit.gdpr_notification_required IS
  'A named recipient lost access and must be told (GDPR Article 19).';

CREATE TABLE public.user_consent_preferences (
  user_id uuid NOT NULL CONSTRAINT user_consent_preferences_pkey PRIMARY KEY,
  default_consent_duration interval NOT NULL DEFAULT '1 year'
    -- Bounded, or one patient's million years would make expire_patient_consents() fail for everybody.
    CONSTRAINT user_consent_preferences_duration_check CHECK (
      default_consent_duration BETWEEN interval '1 day' AND interval '100 years'
      AND timestamp '2001-02-01' + default_consent_duration > timestamp '2001-02-01'),
  require_explicit_consent boolean NOT NULL DEFAULT true,
  auto_renew_enabled boolean NOT NULL DEFAULT false,
  consent_expiry_reminder_days integer NOT NULL DEFAULT 30
    CONSTRAINT user_consent_preferences_reminder_check CHECK (consent_expiry_reminder_days BETWEEN 0 AND 365),
  notify_on_access boolean NOT NULL DEFAULT true,
  notification_method text NOT NULL DEFAULT 'email'
    CONSTRAINT user_consent_preferences_method_check CHECK (notification_method IN ('email', 'sms', 'push', 'all')),
  granular_control_enabled boolean NOT NULL DEFAULT true,
  emergency_override_allowed boolean NOT NULL DEFAULT true,
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.user_consent_preferences IS
  'How a user wants consents handled; without a row the defaults hold.';
COMMENT ON COLUMN public.user_consent_preferences.default_consent_duration IS
  'Length of a consent given without an end.';
COMMENT ON COLUMN public.user_consent_preferences.require_explicit_consent IS 'Refuse grants that are not explicit.';
COMMENT ON COLUMN public.user_consent_preferences.auto_renew_enabled IS
  'Renew a consent at its end instead of ending it.';
COMMENT ON COLUMN public.user_consent_preferences.consent_expiry_reminder_days IS
  'Days before the end to remind; 0: never.';

-- One index for four things: the key to auth.users, "any row of this type and purpose", the access check, and at most
-- one live (granted or pending) row of a kind: dead rows differ by their id, live ones are NULL and equal.
CREATE UNIQUE INDEX patient_consents_live_key ON public.patient_consents
  (patient_id, consent_type, purpose, granted_to, resource_type,
  (CASE WHEN granted OR consent_metadata ->> 'state' = 'pending' THEN NULL ELSE id END)) NULLS NOT DISTINCT;
-- Partial, so that the rows of the migration are in none of them.
CREATE INDEX patient_consents_granted_to_idx ON public.patient_consents (granted_to) WHERE granted_to IS NOT NULL;
CREATE INDEX patient_consents_due_idx ON public.patient_consents (valid_until)
  WHERE granted AND valid_until IS NOT NULL;
CREATE INDEX patient_consents_created_by_idx ON public.patient_consents (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX patient_consents_updated_by_idx ON public.patient_consents (updated_by) WHERE updated_by IS NOT NULL;
CREATE INDEX patient_consent_audit_patient_idx ON public.patient_consent_audit (patient_id, action_timestamp);
CREATE INDEX patient_consent_audit_consent_idx ON public.patient_consent_audit (consent_id);

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
      v_by, v_role, public.changed_columns(to_jsonb(o), to_jsonb(n)), s.old, s.new, n.legal_basis <> o.legal_basis,
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
  IF p_valid_until <= now() THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_valid_until must be in the future';
  END IF;
  RETURN coalesce(p_valid_until, now() + coalesce((SELECT p.default_consent_duration
    FROM public.user_consent_preferences AS p WHERE p.user_id = p_patient_id), interval '1 year'));
END
$$;
COMMENT ON FUNCTION public.consent_end(uuid, timestamptz) IS
  'The end asked for, or the patient''s default duration from now.';

CREATE FUNCTION public.expire_patient_consents(p_patient_id uuid DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_count bigint;
BEGIN
  WITH due AS (
    SELECT c.id, coalesce(p.auto_renew_enabled, false) AS renew, CASE WHEN p.auto_renew_enabled THEN now() + p.default_consent_duration END AS renewed_until
    FROM public.patient_consents AS c LEFT JOIN public.user_consent_preferences AS p ON p.user_id = c.patient_id
    WHERE c.granted AND c.valid_until <= now() AND (p_patient_id IS NULL OR c.patient_id = p_patient_id)
    FOR UPDATE OF c
  )
  UPDATE public.patient_consents AS c SET granted = due.renew,
    valid_until = CASE WHEN due.renew THEN due.renewed_until ELSE c.valid_until END,
    consent_metadata = c.consent_metadata || CASE WHEN due.renew THEN '{}' ELSE '{"state": "expired"}' END::jsonb
  FROM due WHERE c.id = due.id;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION public.expire_patient_consents(uuid) IS
  'Ends consents whose time is over, of one patient or of all, or renews them where the patient wants that; how many.';

CREATE FUNCTION public.grant_patient_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_granted_to uuid DEFAULT NULL, p_resource_type text DEFAULT NULL, p_valid_until timestamptz DEFAULT NULL,
  p_explicit_consent boolean DEFAULT true, p_consent_evidence jsonb DEFAULT '{}')
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_end timestamptz;
  v_id uuid;
BEGIN
  PERFORM public.require_patient(p_patient_id);
  v_end := public.consent_end(p_patient_id, p_valid_until);
  IF p_explicit_consent IS NOT TRUE AND coalesce((SELECT p.require_explicit_consent
    FROM public.user_consent_preferences AS p WHERE p.user_id = p_patient_id), true) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'this patient''s preferences ask for explicit consent';
  END IF;
  PERFORM public.expire_patient_consents(p_patient_id);
  INSERT INTO public.patient_consents AS c (patient_id, consent_type, purpose, granted_to, resource_type, granted,
    legal_basis, explicit_consent, consent_evidence, valid_until, created_by, updated_by)
  VALUES (p_patient_id, p_consent_type, p_purpose, p_granted_to, p_resource_type, true,
    'consent', coalesce(p_explicit_consent, false), coalesce(p_consent_evidence, '{}'), v_end,
    p_patient_id, p_patient_id)
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
    updated_by = excluded.updated_by
  RETURNING c.id INTO v_id;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb) IS
  'The patient gives a consent, anew or in answer to a request; its id. Without p_valid_until his default duration.';

CREATE FUNCTION public.request_patient_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_granted_to uuid DEFAULT NULL, p_resource_type text DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
BEGIN
  PERFORM public.expire_patient_consents(p_patient_id);
  INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, resource_type, legal_basis,
    consent_metadata, created_by, updated_by)
  VALUES (p_patient_id, p_consent_type, p_purpose, p_granted_to, p_resource_type, 'consent',
    '{"state": "pending"}', auth.uid(), auth.uid())
  ON CONFLICT (patient_id, consent_type, purpose, granted_to, resource_type,
    (CASE WHEN granted OR consent_metadata ->> 'state' = 'pending' THEN NULL ELSE id END)) DO NOTHING
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT c.id INTO v_id FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
      AND c.granted_to IS NOT DISTINCT FROM p_granted_to AND c.resource_type IS NOT DISTINCT FROM p_resource_type
      AND (c.granted OR c.consent_metadata ->> 'state' = 'pending');
  END IF;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.request_patient_consent(uuid, text, text, uuid, text) IS
  'The server side asks a patient for a consent: a pending row, or the live one that is there; its id.';

CREATE FUNCTION public.refuse_patient_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_granted_to uuid DEFAULT NULL, p_resource_type text DEFAULT NULL, p_reason text DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_now public.patient_consents%ROWTYPE;
BEGIN
  PERFORM public.require_patient(p_patient_id);
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
END
$$;
COMMENT ON FUNCTION public.refuse_patient_consent(uuid, text, text, uuid, text, text) IS
  'The patient says no to a request, or before anybody asked; the id of the refusal. Twice is the same as once.';

CREATE FUNCTION public.revoke_patient_consent(p_consent_id uuid, p_revocation_reason text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.require_patient((SELECT c.patient_id FROM public.patient_consents AS c WHERE c.id = p_consent_id));
  UPDATE public.patient_consents AS c SET granted = false, revoked_at = now(), revocation_reason = p_revocation_reason,
    consent_metadata = c.consent_metadata - 'state', updated_by = c.patient_id
  WHERE c.id = p_consent_id AND c.granted;
  RETURN FOUND;
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
  UPDATE public.patient_consents AS c SET granted = true, consent_metadata = c.consent_metadata - 'state',
    valid_from = CASE WHEN c.granted AND c.valid_until > now() THEN c.valid_from ELSE now() END,
    valid_until = public.consent_end(v_patient, p_valid_until), updated_by = v_patient
  WHERE c.id = p_consent_id AND (c.granted OR c.consent_metadata ->> 'state' = 'expired')
    AND c.valid_until < public.consent_end(v_patient, p_valid_until);
  RETURN FOUND;
EXCEPTION WHEN unique_violation THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION public.renew_patient_consent(uuid, timestamptz) IS
  'The patient prolongs a granted or expired consent; false if it ends no later by that, or was given anew meanwhile.';

CREATE FUNCTION public.check_consent_access(p_patient_id uuid, p_accessor_id uuid, p_resource_type text DEFAULT NULL,
  p_purpose text DEFAULT 'healthcare_services', p_consent_type text DEFAULT 'data_sharing')
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (auth.uid() IN (p_patient_id, p_accessor_id)) IS NOT TRUE AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient, the accessor or the server side may ask';
  END IF;
  RETURN coalesce(p_patient_id = p_accessor_id, false) OR EXISTS (
    SELECT FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
      AND c.granted_to = p_accessor_id AND (c.resource_type IS NULL OR c.resource_type = p_resource_type)
      AND c.granted AND c.valid_from <= now() AND (c.valid_until IS NULL OR c.valid_until > now()));
END
$$;
COMMENT ON FUNCTION public.check_consent_access(uuid, uuid, text, text, text) IS
  'Whether a person may use a patient''s data: his own, or by a live consent to exactly this person, type and purpose. '
  'Without p_resource_type the whole record is meant, which a consent to one kind of data does not open.';

CREATE FUNCTION public.has_general_consent(p_patient_id uuid, p_consent_type text, p_purpose text,
  p_resource_type text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (auth.uid() = p_patient_id) IS NOT TRUE AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the patient or the server side may ask';
  END IF;
  RETURN EXISTS (
    SELECT FROM public.patient_consents AS c
    WHERE c.patient_id = p_patient_id AND c.consent_type = p_consent_type AND c.purpose = p_purpose
      AND c.granted_to IS NULL AND (c.resource_type IS NULL OR c.resource_type = p_resource_type)
      AND c.granted AND c.valid_from <= now() AND (c.valid_until IS NULL OR c.valid_until > now()));
END
$$;
COMMENT ON FUNCTION public.has_general_consent(uuid, text, text, text) IS
  'Whether Guardian itself may use a patient''s data for a purpose (a consent to nobody in particular).';

CREATE VIEW public.user_consent_summary WITH (security_invoker = true, security_barrier = true) AS
SELECT c.id AS consent_id, c.consent_type, c.purpose, c.resource_type, c.granted_to, s.status, c.explicit_consent,
  c.legal_basis, c.valid_from, c.valid_until,
  CASE WHEN s.status = 'granted' AND isfinite(c.valid_until)
    THEN ceil(extract(epoch FROM c.valid_until - now()) / 86400)::integer END AS days_until_expiry,
  c.revoked_at, c.created_at, c.updated_at
FROM public.patient_consents AS c,
  LATERAL (SELECT public.consent_state(c.granted, c.revoked_at, c.valid_until, c.consent_metadata, now())) AS s (status)
WHERE c.patient_id = (SELECT auth.uid());
COMMENT ON VIEW public.user_consent_summary IS 'The caller''s own consents; row security of patient_consents applies.';
COMMENT ON COLUMN public.user_consent_summary.status IS 'granted, pending, refused, revoked or expired, as of now.';
COMMENT ON COLUMN public.user_consent_summary.days_until_expiry IS
  'Days left, a started day counts; NULL without an end.';

-- Statement triggers with transition tables: a batch of the migration pays one call and not one a row.
CREATE TRIGGER patient_consents_audit_insert AFTER INSERT ON public.patient_consents REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.audit_patient_consents();
CREATE TRIGGER patient_consents_audit_update AFTER UPDATE ON public.patient_consents
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.audit_patient_consents();
CREATE TRIGGER patient_consents_audit_delete AFTER DELETE ON public.patient_consents REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.audit_patient_consents();
CREATE TRIGGER patient_consents_updated_at BEFORE UPDATE ON public.patient_consents
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER patient_consents_identity
  BEFORE UPDATE OF id, patient_id, consent_type, purpose, granted_to, resource_type ON public.patient_consents
  FOR EACH STATEMENT
  EXECUTE FUNCTION public.refuse_change('a consent stays about the same person, purpose and recipient');
CREATE TRIGGER patient_consents_no_truncate BEFORE TRUNCATE ON public.patient_consents
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('it would leave no trace in patient_consent_audit');
CREATE TRIGGER patient_consent_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.patient_consent_audit
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');
CREATE TRIGGER user_consent_preferences_updated_at BEFORE UPDATE ON public.user_consent_preferences
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER user_consent_preferences_audit AFTER INSERT OR UPDATE OR DELETE ON public.user_consent_preferences
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('user_id');

ALTER TABLE public.patient_consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.patient_consent_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.user_consent_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY patient_consents_own ON public.patient_consents FOR SELECT TO authenticated
  USING (patient_id = (SELECT auth.uid()));
CREATE POLICY patient_consents_recipient ON public.patient_consents FOR SELECT TO authenticated
  USING (granted_to = (SELECT auth.uid()) AND granted
    AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now()));
CREATE POLICY patient_consents_service ON public.patient_consents FOR SELECT TO service_role USING (true);
CREATE POLICY patient_consent_audit_own ON public.patient_consent_audit FOR SELECT TO authenticated
  USING (patient_id = (SELECT auth.uid()));
CREATE POLICY patient_consent_audit_service ON public.patient_consent_audit FOR SELECT TO service_role USING (true);
CREATE POLICY user_consent_preferences_own_read ON public.user_consent_preferences FOR SELECT TO authenticated
  USING (user_id = (SELECT auth.uid()));
CREATE POLICY user_consent_preferences_own_insert ON public.user_consent_preferences FOR INSERT TO authenticated
  WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY user_consent_preferences_own_update ON public.user_consent_preferences FOR UPDATE TO authenticated
  USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY user_consent_preferences_service ON public.user_consent_preferences FOR SELECT TO service_role
  USING (true);

REVOKE ALL ON public.patient_consents, public.patient_consent_audit, public.user_consent_preferences,
  public.user_consent_summary FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.patient_consents, public.patient_consent_audit, public.user_consent_preferences
  TO authenticated, service_role;
GRANT SELECT ON public.user_consent_summary TO authenticated;
GRANT INSERT (user_id, default_consent_duration, require_explicit_consent, auto_renew_enabled,
    consent_expiry_reminder_days, notify_on_access, notification_method, granular_control_enabled,
    emergency_override_allowed),
  UPDATE (user_id, default_consent_duration, require_explicit_consent, auto_renew_enabled,
    consent_expiry_reminder_days, notify_on_access, notification_method, granular_control_enabled,
    emergency_override_allowed)
  ON public.user_consent_preferences TO authenticated;
REVOKE ALL ON FUNCTION public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz),
  public.audit_patient_consents(), public.require_patient(uuid), public.consent_end(uuid, timestamptz),
  public.expire_patient_consents(uuid),
  public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb),
  public.request_patient_consent(uuid, text, text, uuid, text),
  public.refuse_patient_consent(uuid, text, text, uuid, text, text),
  public.revoke_patient_consent(uuid, text), public.renew_patient_consent(uuid, timestamptz),
  public.check_consent_access(uuid, uuid, text, text, text), public.has_general_consent(uuid, text, text, text)
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.consent_state(boolean, timestamptz, timestamptz, jsonb, timestamptz),
  public.grant_patient_consent(uuid, text, text, uuid, text, timestamptz, boolean, jsonb),
  public.refuse_patient_consent(uuid, text, text, uuid, text, text),
  public.revoke_patient_consent(uuid, text), public.renew_patient_consent(uuid, timestamptz) TO authenticated;
GRANT EXECUTE ON FUNCTION public.check_consent_access(uuid, uuid, text, text, text),
  public.has_general_consent(uuid, text, text, text) TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.expire_patient_consents(uuid),
  public.request_patient_consent(uuid, text, text, uuid, text) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION public.expire_patient_consents(uuid) TO guardian_operator;
  END IF;
END
$$;

-- From here on auth.users is locked. Deleting an account deletes its consents and forgets who acted.
ALTER TABLE public.patient_consents
  ADD CONSTRAINT patient_consents_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT patient_consents_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES auth.users (id) ON DELETE SET NULL,
  ADD CONSTRAINT patient_consents_updated_by_fkey
    FOREIGN KEY (updated_by) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.user_consent_preferences
  ADD CONSTRAINT user_consent_preferences_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
