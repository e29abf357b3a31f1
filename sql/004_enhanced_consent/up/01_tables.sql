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
    CHECK (coalesce(jsonb_typeof(consent_evidence) = 'object', NOT granted))
    CONSTRAINT patient_consents_consent_evidence_bound CHECK (octet_length(consent_evidence::text) <= 65536),
  valid_from timestamptz NOT NULL DEFAULT now(),
  valid_until timestamptz,
  end_by_default boolean NOT NULL DEFAULT false,
  revoked_at timestamptz,
  revocation_reason text
    CONSTRAINT patient_consents_revocation_reason_bound CHECK (octet_length(revocation_reason) <= 10240),
  consent_metadata jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT patient_consents_consent_metadata_check CHECK (jsonb_typeof(consent_metadata) = 'object')
    CONSTRAINT patient_consents_consent_metadata_bound CHECK (octet_length(consent_metadata::text) <= 16384),
  consent_version text NOT NULL DEFAULT '1.0'
    CONSTRAINT patient_consents_consent_version_bound CHECK (octet_length(consent_version) <= 64),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  created_by uuid,
  updated_by uuid,
  CONSTRAINT valid_temporal_range CHECK (valid_until > valid_from),
  -- No infinity either: a period that nobody can write down, in FHIR for instance, is none.
  CONSTRAINT patient_consents_times_check CHECK (valid_from BETWEEN '0001-01-02Z' AND '9999-12-31Z'
    AND valid_until BETWEEN '0001-01-02Z' AND '9999-12-31Z' AND revoked_at BETWEEN '0001-01-02Z' AND '9999-12-31Z'
    AND created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z'),
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
COMMENT ON COLUMN public.patient_consents.end_by_default IS
  'Whether valid_until is the patient''s default duration; an end that somebody chose is never put off by itself.';
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
  'Renew a consent at its end instead of ending it, if nobody chose that end.';
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
