-- FHIR R4 exchange: what is built from v6 rows, what comes from other systems, and with whom. Sections:
--   1 tables · 2 resources built from v6 rows · 3 callers · 4 validation · 5 import · 6 refresh · 7 endpoints
--   8 triggers · 9 row security and rights · 10 keys to v6
-- v6 relations are read by views and functions; only the keys at the end lock them.

---------------------------------------------------------------------------------------------------------- 1 tables
-- The resource is stored whole. Columns that are elements of it are generated from it, so that they cannot disagree;
-- only what has no immutable cast (dates and times) is written beside it.

CREATE TABLE public.fhir_patient_mappings (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_patient_mappings_pkey PRIMARY KEY,
  guardian_user_id uuid NOT NULL,
  fhir_patient_id text NOT NULL
    CONSTRAINT fhir_patient_mappings_fhir_id_check CHECK (fhir_patient_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  source_system text NOT NULL
    CONSTRAINT fhir_patient_mappings_source_check CHECK (source_system ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'),
  resource jsonb NOT NULL
    CONSTRAINT fhir_patient_mappings_resource_check CHECK (coalesce(resource ->> 'resourceType' = 'Patient', false)),
  identifier jsonb GENERATED ALWAYS AS (resource -> 'identifier') STORED NOT NULL,
  name_official jsonb
    GENERATED ALWAYS AS (jsonb_path_query_first(resource, '$.name[*] ? (@.use == "official")')) STORED,
  name_usual jsonb GENERATED ALWAYS AS (jsonb_path_query_first(resource, '$.name[*] ? (@.use == "usual")')) STORED,
  telecom jsonb GENERATED ALWAYS AS (resource -> 'telecom') STORED,
  gender text GENERATED ALWAYS AS (resource ->> 'gender') STORED
    CONSTRAINT fhir_patient_mappings_gender_check CHECK (gender IN ('male', 'female', 'other', 'unknown')),
  birth_date date,
  deceased_boolean boolean GENERATED ALWAYS AS ((resource -> 'deceasedBoolean')::boolean) STORED,
  deceased_datetime timestamptz,
  address jsonb GENERATED ALWAYS AS (resource -> 'address') STORED,
  marital_status text GENERATED ALWAYS AS
    (coalesce(resource #>> '{maritalStatus,coding,0,code}', resource #>> '{maritalStatus,text}')) STORED,
  multiple_birth jsonb
    GENERATED ALWAYS AS (coalesce(resource -> 'multipleBirthBoolean', resource -> 'multipleBirthInteger')) STORED,
  photo jsonb GENERATED ALWAYS AS (resource -> 'photo') STORED,
  contact jsonb GENERATED ALWAYS AS (resource -> 'contact') STORED,
  communication jsonb GENERATED ALWAYS AS (resource -> 'communication') STORED,
  general_practitioner jsonb GENERATED ALWAYS AS (resource -> 'generalPractitioner') STORED,
  managing_organization text GENERATED ALWAYS AS (resource #>> '{managingOrganization,reference}') STORED,
  active boolean GENERATED ALWAYS AS (coalesce((resource -> 'active')::boolean, true)) STORED NOT NULL,
  source_version text,
  last_sync timestamptz NOT NULL DEFAULT now(),
  sync_status text NOT NULL DEFAULT 'active'
    CONSTRAINT fhir_patient_mappings_sync_status_check CHECK (sync_status IN ('active', 'error', 'deprecated')),
  sync_errors jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fhir_patient_mappings_fhir_key UNIQUE (fhir_patient_id, source_system)
);
COMMENT ON TABLE public.fhir_patient_mappings IS
  'Which Patient of which system is which account. Written by refresh_fhir_mappings and fhir_to_guardian_patient only.';
COMMENT ON COLUMN public.fhir_patient_mappings.fhir_patient_id IS 'Id of the Patient in its own system.';
COMMENT ON COLUMN public.fhir_patient_mappings.source_system IS
  'guardian: built from v6; else the system it came from.';
COMMENT ON COLUMN public.fhir_patient_mappings.resource IS
  'The Patient as built or received; columns named like elements are generated from it.';
COMMENT ON COLUMN public.fhir_patient_mappings.birth_date IS
  'birthDate where it is a whole date; year or month alone are in resource only.';
COMMENT ON COLUMN public.fhir_patient_mappings.source_version IS
  'State of the v6 rows it was built from; another one there means that it is built anew. NULL for received ones.';
COMMENT ON COLUMN public.fhir_patient_mappings.last_sync IS 'When it was last built or received.';
COMMENT ON COLUMN public.fhir_patient_mappings.sync_errors IS 'What went wrong: element and code, never a value.';

CREATE TABLE public.fhir_observations (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_observations_pkey PRIMARY KEY,
  guardian_patient_id uuid NOT NULL,
  fhir_observation_id text NOT NULL
    CONSTRAINT fhir_observations_fhir_id_check CHECK (fhir_observation_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  source_system text NOT NULL
    CONSTRAINT fhir_observations_source_check CHECK (source_system ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'),
  resource jsonb NOT NULL
    CONSTRAINT fhir_observations_resource_check CHECK (coalesce(resource ->> 'resourceType' = 'Observation', false)),
  identifier jsonb GENERATED ALWAYS AS (resource -> 'identifier') STORED,
  based_on jsonb GENERATED ALWAYS AS (resource -> 'basedOn') STORED,
  part_of jsonb GENERATED ALWAYS AS (resource -> 'partOf') STORED,
  status text GENERATED ALWAYS AS (resource ->> 'status') STORED NOT NULL
    CONSTRAINT fhir_observations_status_check CHECK (status IN ('registered', 'preliminary', 'final', 'amended',
      'corrected', 'cancelled', 'entered-in-error', 'unknown')),
  category jsonb GENERATED ALWAYS AS (coalesce(resource -> 'category', '[]'::jsonb)) STORED NOT NULL,
  code jsonb GENERATED ALWAYS AS (resource -> 'code') STORED NOT NULL,
  subject text GENERATED ALWAYS AS (resource #>> '{subject,reference}') STORED NOT NULL,
  focus jsonb GENERATED ALWAYS AS (resource -> 'focus') STORED,
  encounter text GENERATED ALWAYS AS (resource #>> '{encounter,reference}') STORED,
  effective_datetime timestamptz,
  effective_period jsonb GENERATED ALWAYS AS (resource -> 'effectivePeriod') STORED,
  effective_timing jsonb GENERATED ALWAYS AS (resource -> 'effectiveTiming') STORED,
  effective_instant timestamptz,
  issued timestamptz,
  performer jsonb GENERATED ALWAYS AS (resource -> 'performer') STORED,
  value_quantity jsonb GENERATED ALWAYS AS (resource -> 'valueQuantity') STORED,
  value_codeable_concept jsonb GENERATED ALWAYS AS (resource -> 'valueCodeableConcept') STORED,
  value_string text GENERATED ALWAYS AS (resource ->> 'valueString') STORED,
  value_boolean boolean GENERATED ALWAYS AS ((resource -> 'valueBoolean')::boolean) STORED,
  value_integer integer GENERATED ALWAYS AS ((resource -> 'valueInteger')::integer) STORED,
  value_range jsonb GENERATED ALWAYS AS (resource -> 'valueRange') STORED,
  value_ratio jsonb GENERATED ALWAYS AS (resource -> 'valueRatio') STORED,
  value_sampled_data jsonb GENERATED ALWAYS AS (resource -> 'valueSampledData') STORED,
  value_time text GENERATED ALWAYS AS (resource ->> 'valueTime') STORED,
  value_datetime timestamptz,
  value_period jsonb GENERATED ALWAYS AS (resource -> 'valuePeriod') STORED,
  data_absent_reason jsonb GENERATED ALWAYS AS (resource -> 'dataAbsentReason') STORED,
  interpretation jsonb GENERATED ALWAYS AS (resource -> 'interpretation') STORED,
  note jsonb GENERATED ALWAYS AS (resource -> 'note') STORED,
  body_site jsonb GENERATED ALWAYS AS (resource -> 'bodySite') STORED,
  method jsonb GENERATED ALWAYS AS (resource -> 'method') STORED,
  specimen text GENERATED ALWAYS AS (resource #>> '{specimen,reference}') STORED,
  device text GENERATED ALWAYS AS (resource #>> '{device,reference}') STORED,
  reference_range jsonb GENERATED ALWAYS AS (resource -> 'referenceRange') STORED,
  has_member jsonb GENERATED ALWAYS AS (resource -> 'hasMember') STORED,
  derived_from jsonb GENERATED ALWAYS AS (resource -> 'derivedFrom') STORED,
  component jsonb GENERATED ALWAYS AS (resource -> 'component') STORED,
  guardian_lab_result_id uuid,
  guardian_vital_id uuid,
  source_version text,
  last_sync timestamptz NOT NULL DEFAULT now(),
  sync_status text NOT NULL DEFAULT 'active'
    CONSTRAINT fhir_observations_sync_status_check CHECK (sync_status IN ('active', 'error', 'deprecated')),
  sync_errors jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fhir_observations_fhir_key UNIQUE (fhir_observation_id, source_system),
  CONSTRAINT fhir_observations_one_value CHECK (num_nonnulls(value_quantity, value_codeable_concept, value_string,
    value_boolean, value_integer, value_range, value_ratio, value_sampled_data, value_time, value_datetime,
    value_period) <= 1),
  CONSTRAINT fhir_observations_one_effective
    CHECK (num_nonnulls(effective_datetime, effective_period, effective_timing, effective_instant) <= 1),
  CONSTRAINT fhir_observations_origin
    CHECK (num_nonnulls(guardian_lab_result_id, guardian_vital_id) = (source_system = 'guardian')::integer)
);
COMMENT ON TABLE public.fhir_observations IS
  'Observations: of a v6 laboratory result, of one measure of a v6 row of vitals, or received from another system.';
COMMENT ON COLUMN public.fhir_observations.fhir_observation_id IS
  'Id in its own system; for vitals the v6 id and the measure, for example <uuid>-heart-rate.';
COMMENT ON COLUMN public.fhir_observations.source_system IS 'guardian: built from v6; else the system it came from.';
COMMENT ON COLUMN public.fhir_observations.resource IS
  'The Observation as built or received; columns named like elements are generated from it.';
COMMENT ON COLUMN public.fhir_observations.effective_datetime IS
  'effectiveDateTime, a date alone as midnight UTC; year or month alone are in resource only.';
COMMENT ON COLUMN public.fhir_observations.guardian_lab_result_id IS
  'Set for exactly those built of a laboratory result.';
COMMENT ON COLUMN public.fhir_observations.guardian_vital_id IS 'Set for exactly those built of a row of vitals.';
COMMENT ON COLUMN public.fhir_observations.source_version IS
  'State of the v6 row it was built from; another one there means that it is built anew. NULL for received ones.';
COMMENT ON COLUMN public.fhir_observations.last_sync IS 'When it was last built or received.';
COMMENT ON COLUMN public.fhir_observations.sync_errors IS 'What went wrong: element and code, never a value.';

CREATE TABLE public.fhir_medication_requests (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_medication_requests_pkey PRIMARY KEY,
  guardian_patient_id uuid NOT NULL,
  fhir_request_id text NOT NULL
    CONSTRAINT fhir_medication_requests_fhir_id_check CHECK (fhir_request_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  source_system text NOT NULL
    CONSTRAINT fhir_medication_requests_source_check CHECK (source_system ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'),
  resource jsonb NOT NULL CONSTRAINT fhir_medication_requests_resource_check
    CHECK (coalesce(resource ->> 'resourceType' = 'MedicationRequest', false)),
  identifier jsonb GENERATED ALWAYS AS (resource -> 'identifier') STORED,
  status text GENERATED ALWAYS AS (resource ->> 'status') STORED NOT NULL
    CONSTRAINT fhir_medication_requests_status_check CHECK (status IN ('active', 'on-hold', 'cancelled', 'completed',
      'entered-in-error', 'stopped', 'draft', 'unknown')),
  status_reason jsonb GENERATED ALWAYS AS (resource -> 'statusReason') STORED,
  intent text GENERATED ALWAYS AS (resource ->> 'intent') STORED NOT NULL
    CONSTRAINT fhir_medication_requests_intent_check CHECK (intent IN ('proposal', 'plan', 'order', 'original-order',
      'reflex-order', 'filler-order', 'instance-order', 'option')),
  category jsonb GENERATED ALWAYS AS (resource -> 'category') STORED,
  priority text GENERATED ALWAYS AS (resource ->> 'priority') STORED
    CONSTRAINT fhir_medication_requests_priority_check CHECK (priority IN ('routine', 'urgent', 'asap', 'stat')),
  do_not_perform boolean GENERATED ALWAYS AS ((resource -> 'doNotPerform')::boolean) STORED,
  medication_codeable_concept jsonb GENERATED ALWAYS AS (resource -> 'medicationCodeableConcept') STORED,
  medication_reference text GENERATED ALWAYS AS (resource #>> '{medicationReference,reference}') STORED,
  subject text GENERATED ALWAYS AS (resource #>> '{subject,reference}') STORED NOT NULL,
  encounter text GENERATED ALWAYS AS (resource #>> '{encounter,reference}') STORED,
  supporting_information jsonb GENERATED ALWAYS AS (resource -> 'supportingInformation') STORED,
  authored_on timestamptz,
  requester text
    GENERATED ALWAYS AS (coalesce(resource #>> '{requester,reference}', resource #>> '{requester,display}')) STORED,
  performer text
    GENERATED ALWAYS AS (coalesce(resource #>> '{performer,reference}', resource #>> '{performer,display}')) STORED,
  performer_type jsonb GENERATED ALWAYS AS (resource -> 'performerType') STORED,
  recorder text
    GENERATED ALWAYS AS (coalesce(resource #>> '{recorder,reference}', resource #>> '{recorder,display}')) STORED,
  reason_code jsonb GENERATED ALWAYS AS (resource -> 'reasonCode') STORED,
  reason_reference jsonb GENERATED ALWAYS AS (resource -> 'reasonReference') STORED,
  instantiates_canonical jsonb GENERATED ALWAYS AS (resource -> 'instantiatesCanonical') STORED,
  instantiates_uri jsonb GENERATED ALWAYS AS (resource -> 'instantiatesUri') STORED,
  based_on jsonb GENERATED ALWAYS AS (resource -> 'basedOn') STORED,
  group_identifier jsonb GENERATED ALWAYS AS (resource -> 'groupIdentifier') STORED,
  course_of_therapy_type jsonb GENERATED ALWAYS AS (resource -> 'courseOfTherapyType') STORED,
  insurance jsonb GENERATED ALWAYS AS (resource -> 'insurance') STORED,
  note jsonb GENERATED ALWAYS AS (resource -> 'note') STORED,
  dosage_instruction jsonb GENERATED ALWAYS AS (resource -> 'dosageInstruction') STORED,
  dispense_request jsonb GENERATED ALWAYS AS (resource -> 'dispenseRequest') STORED,
  substitution jsonb GENERATED ALWAYS AS (resource -> 'substitution') STORED,
  prior_prescription text GENERATED ALWAYS AS (resource #>> '{priorPrescription,reference}') STORED,
  detected_issue jsonb GENERATED ALWAYS AS (resource -> 'detectedIssue') STORED,
  event_history jsonb GENERATED ALWAYS AS (resource -> 'eventHistory') STORED,
  guardian_medication_id uuid,
  source_version text,
  last_sync timestamptz NOT NULL DEFAULT now(),
  sync_status text NOT NULL DEFAULT 'active'
    CONSTRAINT fhir_medication_requests_sync_status_check CHECK (sync_status IN ('active', 'error', 'deprecated')),
  sync_errors jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fhir_medication_requests_fhir_key UNIQUE (fhir_request_id, source_system),
  CONSTRAINT fhir_medication_requests_one_medication
    CHECK (num_nonnulls(medication_codeable_concept, medication_reference) = 1),
  CONSTRAINT fhir_medication_requests_origin
    CHECK ((guardian_medication_id IS NOT NULL) = (source_system = 'guardian'))
);
COMMENT ON TABLE public.fhir_medication_requests IS 'MedicationRequests, one a row of patient_medications.';
COMMENT ON COLUMN public.fhir_medication_requests.source_system IS
  'guardian: built from v6; else the system it came from.';
COMMENT ON COLUMN public.fhir_medication_requests.resource IS
  'The MedicationRequest; columns named like elements are generated from it.';
COMMENT ON COLUMN public.fhir_medication_requests.source_version IS
  'State of the v6 row it was built from; another one there means that it is built anew.';
COMMENT ON COLUMN public.fhir_medication_requests.last_sync IS 'When it was last built or received.';
COMMENT ON COLUMN public.fhir_medication_requests.sync_errors IS 'What went wrong: element and code, never a value.';

CREATE TABLE public.fhir_document_references (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_document_references_pkey PRIMARY KEY,
  guardian_patient_id uuid NOT NULL,
  fhir_document_id text NOT NULL
    CONSTRAINT fhir_document_references_fhir_id_check CHECK (fhir_document_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  source_system text NOT NULL
    CONSTRAINT fhir_document_references_source_check CHECK (source_system ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'),
  resource jsonb NOT NULL CONSTRAINT fhir_document_references_resource_check
    CHECK (coalesce(resource ->> 'resourceType' = 'DocumentReference', false)),
  master_identifier jsonb GENERATED ALWAYS AS (resource -> 'masterIdentifier') STORED,
  identifier jsonb GENERATED ALWAYS AS (resource -> 'identifier') STORED,
  status text GENERATED ALWAYS AS (resource ->> 'status') STORED NOT NULL
    CONSTRAINT fhir_document_references_status_check CHECK (status IN ('current', 'superseded', 'entered-in-error')),
  doc_status text GENERATED ALWAYS AS (resource ->> 'docStatus') STORED
    CONSTRAINT fhir_document_references_doc_status_check
    CHECK (doc_status IN ('preliminary', 'final', 'amended', 'entered-in-error')),
  type jsonb GENERATED ALWAYS AS (resource -> 'type') STORED,
  category jsonb GENERATED ALWAYS AS (resource -> 'category') STORED,
  subject text GENERATED ALWAYS AS (resource #>> '{subject,reference}') STORED NOT NULL,
  date timestamptz,
  author jsonb GENERATED ALWAYS AS (resource -> 'author') STORED,
  authenticator text GENERATED ALWAYS AS (resource #>> '{authenticator,reference}') STORED,
  custodian text GENERATED ALWAYS AS (resource #>> '{custodian,reference}') STORED,
  relates_to jsonb GENERATED ALWAYS AS (resource -> 'relatesTo') STORED,
  description text GENERATED ALWAYS AS (resource ->> 'description') STORED,
  security_label jsonb GENERATED ALWAYS AS (resource -> 'securityLabel') STORED,
  content jsonb GENERATED ALWAYS AS (resource -> 'content') STORED NOT NULL,
  context jsonb GENERATED ALWAYS AS (resource -> 'context') STORED,
  guardian_document_id uuid,
  source_version text,
  last_sync timestamptz NOT NULL DEFAULT now(),
  sync_status text NOT NULL DEFAULT 'active'
    CONSTRAINT fhir_document_references_sync_status_check CHECK (sync_status IN ('active', 'error', 'deprecated')),
  sync_errors jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fhir_document_references_fhir_key UNIQUE (fhir_document_id, source_system),
  CONSTRAINT fhir_document_references_origin
    CHECK ((guardian_document_id IS NOT NULL) = (source_system = 'guardian'))
);
COMMENT ON TABLE public.fhir_document_references IS 'DocumentReferences, one a row of documents.';
COMMENT ON COLUMN public.fhir_document_references.source_system IS
  'guardian: built from v6; else the system it came from.';
COMMENT ON COLUMN public.fhir_document_references.resource IS
  'The DocumentReference; columns named like elements are generated from it.';
COMMENT ON COLUMN public.fhir_document_references.source_version IS
  'State of the v6 row it was built from, a digest because v6 documents carry no updated_at.';
COMMENT ON COLUMN public.fhir_document_references.last_sync IS 'When it was last built or received.';
COMMENT ON COLUMN public.fhir_document_references.sync_errors IS 'What went wrong: element and code, never a value.';

-- Module 004 comes later: no key to patient_consents here. refresh_fhir_mappings takes rows of dead consents away.
CREATE TABLE public.consent_fhir_mappings (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT consent_fhir_mappings_pkey PRIMARY KEY,
  consent_id uuid NOT NULL CONSTRAINT consent_fhir_mappings_consent_key UNIQUE,
  guardian_patient_id uuid NOT NULL,
  fhir_resource_type text NOT NULL DEFAULT 'Consent'
    CONSTRAINT consent_fhir_mappings_type_check CHECK (fhir_resource_type = 'Consent'),
  fhir_resource_id text NOT NULL
    CONSTRAINT consent_fhir_mappings_fhir_id_check CHECK (fhir_resource_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  fhir_version text NOT NULL DEFAULT 'R4' CONSTRAINT consent_fhir_mappings_version_check CHECK (fhir_version = 'R4'),
  resource jsonb NOT NULL
    CONSTRAINT consent_fhir_mappings_resource_check CHECK (coalesce(resource ->> 'resourceType' = 'Consent', false)),
  fhir_status text GENERATED ALWAYS AS (resource ->> 'status') STORED NOT NULL
    CONSTRAINT consent_fhir_mappings_status_check CHECK (fhir_status IN ('draft', 'proposed', 'active', 'rejected',
      'inactive', 'entered-in-error')),
  fhir_scope_coding jsonb GENERATED ALWAYS AS (resource #> '{scope,coding}') STORED NOT NULL,
  fhir_category_coding jsonb GENERATED ALWAYS AS (jsonb_path_query_array(resource, '$.category[*].coding[*]')) STORED
    NOT NULL,
  policy_authority text GENERATED ALWAYS AS (resource #>> '{policy,0,authority}') STORED,
  policy_uri text GENERATED ALWAYS AS (resource #>> '{policy,0,uri}') STORED,
  provision jsonb GENERATED ALWAYS AS (resource -> 'provision') STORED,
  performer jsonb GENERATED ALWAYS AS (resource -> 'performer') STORED,
  verification jsonb GENERATED ALWAYS AS (resource -> 'verification') STORED,
  source_attachment jsonb GENERATED ALWAYS AS (resource -> 'sourceAttachment') STORED,
  organization jsonb GENERATED ALWAYS AS (resource -> 'organization') STORED,
  source_version text NOT NULL,
  last_fhir_sync timestamptz NOT NULL DEFAULT now(),
  fhir_sync_status text NOT NULL DEFAULT 'pending'
    CONSTRAINT consent_fhir_mappings_sync_status_check CHECK (fhir_sync_status IN ('pending', 'synced', 'error',
      'conflict')),
  fhir_sync_errors jsonb,
  external_fhir_server text,
  external_resource_id text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.consent_fhir_mappings IS 'The FHIR Consent of each consent, one to one.';
COMMENT ON COLUMN public.consent_fhir_mappings.consent_id IS
  'patient_consents.id. No foreign key: that table belongs to a later module.';
COMMENT ON COLUMN public.consent_fhir_mappings.resource IS
  'The Consent; columns named like elements are generated from it.';
COMMENT ON COLUMN public.consent_fhir_mappings.source_version IS
  'State of the consent it was built from; another one there means that it is built anew.';
COMMENT ON COLUMN public.consent_fhir_mappings.last_fhir_sync IS 'When it was last built.';
COMMENT ON COLUMN public.consent_fhir_mappings.fhir_sync_status IS
  'Whether external_fhir_server has it; pending again after each change.';
COMMENT ON COLUMN public.consent_fhir_mappings.external_resource_id IS 'Its id on external_fhir_server.';

CREATE TABLE public.fhir_endpoints (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_endpoints_pkey PRIMARY KEY,
  system_name text NOT NULL CONSTRAINT fhir_endpoints_system_name_key UNIQUE
    CONSTRAINT fhir_endpoints_system_name_check
    CHECK (system_name ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$' AND system_name <> 'guardian'),
  base_url text NOT NULL
    CONSTRAINT fhir_endpoints_base_url_check CHECK (base_url ~ '^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s?#@]*)?$'),
  fhir_version text NOT NULL DEFAULT 'R4' CONSTRAINT fhir_endpoints_version_check CHECK (fhir_version = 'R4'),
  auth_type text NOT NULL
    CONSTRAINT fhir_endpoints_auth_type_check CHECK (auth_type IN ('oauth2', 'bearer', 'basic', 'none')),
  auth_config jsonb NOT NULL DEFAULT '{}' CONSTRAINT fhir_endpoints_auth_config_check
    CHECK (jsonb_typeof(auth_config) = 'object' AND NOT jsonb_path_exists(auth_config,
      '$.** ? (@.type() == "object").keyvalue()
        ? (@.key like_regex "secret|password|passphrase|token$|api_?key|authorization" flag "i")')),
  supported_resources text[] NOT NULL DEFAULT '{}',
  supported_operations text[] NOT NULL DEFAULT '{}',
  sync_enabled boolean NOT NULL DEFAULT true,
  sync_frequency_minutes integer NOT NULL DEFAULT 60
    CONSTRAINT fhir_endpoints_frequency_check CHECK (sync_frequency_minutes BETWEEN 1 AND 525600),
  last_sync timestamptz,
  sync_errors jsonb,
  rate_limit_requests integer NOT NULL DEFAULT 100
    CONSTRAINT fhir_endpoints_requests_check CHECK (rate_limit_requests > 0),
  rate_limit_window_minutes integer NOT NULL DEFAULT 60
    CONSTRAINT fhir_endpoints_window_check CHECK (rate_limit_window_minutes > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.fhir_endpoints IS
  'FHIR servers Guardian talks to. No role but the owner reads it; save_fhir_endpoint and fhir_connection do.';
COMMENT ON COLUMN public.fhir_endpoints.base_url IS 'https, without user name, password, query or fragment.';
COMMENT ON COLUMN public.fhir_endpoints.auth_config IS
  'What is not secret, for example audience; keys that sound like a secret are refused.';
COMMENT ON COLUMN public.fhir_endpoints.sync_frequency_minutes IS 'Minutes between two synchronisations.';
COMMENT ON COLUMN public.fhir_endpoints.rate_limit_requests IS 'Requests allowed within rate_limit_window_minutes.';

-- A JWE in compact serialization (RFC 7516, 3.1) has five parts, a bare token never has. The key stays with the caller.
CREATE TABLE public.fhir_oauth_configs (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_oauth_configs_pkey PRIMARY KEY,
  endpoint_id uuid NOT NULL CONSTRAINT fhir_oauth_configs_endpoint_key UNIQUE
    CONSTRAINT fhir_oauth_configs_endpoint_id_fkey REFERENCES public.fhir_endpoints (id) ON DELETE CASCADE,
  authorization_url text NOT NULL
    CONSTRAINT fhir_oauth_configs_authorization_url_check CHECK (authorization_url ~ '^https://[^\s?#@]+$'),
  token_url text NOT NULL CONSTRAINT fhir_oauth_configs_token_url_check CHECK (token_url ~ '^https://[^\s?#@]+$'),
  client_id text NOT NULL,
  client_secret text CONSTRAINT fhir_oauth_configs_client_secret_check
    CHECK (client_secret ~ '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'),
  scope text NOT NULL DEFAULT 'patient/*.read',
  access_token text CONSTRAINT fhir_oauth_configs_access_token_check
    CHECK (access_token ~ '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'),
  refresh_token text CONSTRAINT fhir_oauth_configs_refresh_token_check
    CHECK (refresh_token ~ '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'),
  token_expires_at timestamptz,
  smart_enabled boolean NOT NULL DEFAULT false,
  launch_url text CONSTRAINT fhir_oauth_configs_launch_url_check CHECK (launch_url ~ '^https://[^\s?#@]+$'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.fhir_oauth_configs IS
  'How Guardian authorises itself at an endpoint. No role but the owner reads it; secrets are ciphertext besides.';
COMMENT ON COLUMN public.fhir_oauth_configs.client_secret IS
  'JWE made by the caller, whose key never reaches the database; anything else is refused.';
COMMENT ON COLUMN public.fhir_oauth_configs.access_token IS 'JWE as client_secret.';
COMMENT ON COLUMN public.fhir_oauth_configs.refresh_token IS 'JWE as client_secret.';
COMMENT ON COLUMN public.fhir_oauth_configs.smart_enabled IS 'Whether the endpoint launches by SMART App Launch.';

CREATE TABLE public.fhir_sync_jobs (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_sync_jobs_pkey PRIMARY KEY,
  endpoint_id uuid NOT NULL
    CONSTRAINT fhir_sync_jobs_endpoint_id_fkey REFERENCES public.fhir_endpoints (id) ON DELETE CASCADE,
  resource_type text NOT NULL
    CONSTRAINT fhir_sync_jobs_resource_type_check CHECK (resource_type ~ '^[A-Z][A-Za-z]{1,63}$'),
  operation text NOT NULL
    CONSTRAINT fhir_sync_jobs_operation_check CHECK (operation IN ('import', 'export', 'sync')),
  patient_filter uuid,
  date_filter jsonb,
  resource_filter jsonb,
  status text NOT NULL DEFAULT 'pending' CONSTRAINT fhir_sync_jobs_status_check
    CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  started_at timestamptz,
  completed_at timestamptz,
  total_resources integer NOT NULL DEFAULT 0 CONSTRAINT fhir_sync_jobs_total_check CHECK (total_resources >= 0),
  processed_resources integer NOT NULL DEFAULT 0
    CONSTRAINT fhir_sync_jobs_processed_check CHECK (processed_resources >= 0),
  failed_resources integer NOT NULL DEFAULT 0 CONSTRAINT fhir_sync_jobs_failed_check CHECK (failed_resources >= 0),
  success_count integer NOT NULL DEFAULT 0 CONSTRAINT fhir_sync_jobs_success_check CHECK (success_count >= 0),
  error_count integer NOT NULL DEFAULT 0 CONSTRAINT fhir_sync_jobs_error_check CHECK (error_count >= 0),
  warnings jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT fhir_sync_jobs_warnings_check CHECK (jsonb_typeof(warnings) = 'array'),
  errors jsonb NOT NULL DEFAULT '[]' CONSTRAINT fhir_sync_jobs_errors_check CHECK (jsonb_typeof(errors) = 'array'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.fhir_sync_jobs IS 'Exchanges with an endpoint, run by the server side.';
COMMENT ON COLUMN public.fhir_sync_jobs.patient_filter IS 'The one account it is about; NULL: many.';
COMMENT ON COLUMN public.fhir_sync_jobs.errors IS 'What went wrong: element and code, never a value.';

CREATE TABLE public.fhir_validation_results (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_validation_results_pkey PRIMARY KEY,
  resource_type text NOT NULL,
  resource_id text,
  source_system text NOT NULL,
  guardian_patient_id uuid,
  is_valid boolean NOT NULL,
  validation_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT fhir_validation_results_errors_check CHECK (jsonb_typeof(validation_errors) = 'array'),
  validation_warnings jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT fhir_validation_results_warnings_check CHECK (jsonb_typeof(validation_warnings) = 'array'),
  validation_profile text,
  completeness_score numeric(3, 2)
    CONSTRAINT fhir_validation_results_completeness_check CHECK (completeness_score BETWEEN 0 AND 1),
  consistency_score numeric(3, 2)
    CONSTRAINT fhir_validation_results_consistency_check CHECK (consistency_score BETWEEN 0 AND 1),
  accuracy_score numeric(3, 2)
    CONSTRAINT fhir_validation_results_accuracy_check CHECK (accuracy_score BETWEEN 0 AND 1),
  mapping_status text NOT NULL DEFAULT 'pending' CONSTRAINT fhir_validation_results_mapping_status_check
    CHECK (mapping_status IN ('pending', 'mapped', 'failed', 'partial')),
  mapping_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT fhir_validation_results_mapping_errors_check CHECK (jsonb_typeof(mapping_errors) = 'array'),
  guardian_resource_id uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fhir_validation_results_errors_agree CHECK (is_valid = (validation_errors = '[]'))
);
COMMENT ON TABLE public.fhir_validation_results IS
  'What validate_fhir_resource found. Elements, codes and sentences; never a value of the resource.';
COMMENT ON COLUMN public.fhir_validation_results.resource_id IS
  'Id of the resource; NULL where it has none, which is legal before it is created.';
COMMENT ON COLUMN public.fhir_validation_results.guardian_patient_id IS
  'The account the resource is about, where that is known; its deletion takes the result with it.';
COMMENT ON COLUMN public.fhir_validation_results.validation_errors IS 'Array of {path, code, message}.';
COMMENT ON COLUMN public.fhir_validation_results.completeness_score IS
  'Share of the elements a reader of this type needs, weighted, 0 to 1.';
COMMENT ON COLUMN public.fhir_validation_results.consistency_score IS
  '1, less a tenth for each broken rule between elements, down to 0.';
COMMENT ON COLUMN public.fhir_validation_results.accuracy_score IS
  'Agreement with the source record, 0 to 1; NULL until somebody compared.';
COMMENT ON COLUMN public.fhir_validation_results.mapping_status IS
  'mapped where the resource is stored here already, failed where it is not valid.';
COMMENT ON COLUMN public.fhir_validation_results.guardian_resource_id IS 'Row of the mapping table that holds it.';

CREATE TABLE public.fhir_api_audit (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_api_audit_pkey PRIMARY KEY,
  endpoint_id uuid NOT NULL,
  operation text NOT NULL CONSTRAINT fhir_api_audit_operation_check CHECK (operation ~ '^[A-Za-z$][A-Za-z_-]{0,62}$'),
  resource_type text CONSTRAINT fhir_api_audit_resource_type_check CHECK (resource_type ~ '^[A-Z][A-Za-z]{1,63}$'),
  resource_id text CONSTRAINT fhir_api_audit_resource_id_check CHECK (resource_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  request_url text NOT NULL
    CONSTRAINT fhir_api_audit_request_url_check
    CHECK (request_url ~ '^https://[^\s?#@]+$' AND length(request_url) <= 1000),
  response_status integer CONSTRAINT fhir_api_audit_status_check CHECK (response_status BETWEEN 100 AND 599),
  response_time_ms integer CONSTRAINT fhir_api_audit_time_check CHECK (response_time_ms >= 0),
  data_transferred_bytes integer CONSTRAINT fhir_api_audit_bytes_check CHECK (data_transferred_bytes >= 0),
  guardian_user_id uuid,
  initiated_by text NOT NULL DEFAULT current_user,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.fhir_api_audit IS
  'Calls to endpoints. Append-only, keys and figures; no foreign key, it outlives endpoint and account.';
COMMENT ON COLUMN public.fhir_api_audit.request_url IS
  'Without query and fragment: search parameters carry names and dates of birth.';
COMMENT ON COLUMN public.fhir_api_audit.guardian_user_id IS 'The account whose data went over the wire.';
COMMENT ON COLUMN public.fhir_api_audit.initiated_by IS 'Database role that recorded it.';

CREATE TABLE public.fhir_test_cases (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_test_cases_pkey PRIMARY KEY,
  test_name text NOT NULL CONSTRAINT fhir_test_cases_test_name_key UNIQUE,
  description text,
  resource_type text NOT NULL,
  test_data jsonb NOT NULL,
  expected_valid boolean NOT NULL DEFAULT true,
  expected_errors text[] NOT NULL DEFAULT '{}',
  is_active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.fhir_test_cases IS 'Synthetic resources for run_fhir_test_cases; never a patient''s.';
COMMENT ON COLUMN public.fhir_test_cases.test_data IS 'The resource to validate.';
COMMENT ON COLUMN public.fhir_test_cases.expected_errors IS 'Paths that must be among the errors found.';

CREATE TABLE public.hl7_messages (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT hl7_messages_pkey PRIMARY KEY,
  message_type text NOT NULL
    CONSTRAINT hl7_messages_type_check CHECK (message_type ~ '^[A-Z0-9]{3}(\^[A-Z0-9]{3}(\^[A-Z0-9_]{3,10})?)?$'),
  message_control_id text NOT NULL,
  sending_application text,
  sending_facility text,
  receiving_application text,
  receiving_facility text,
  raw_message text NOT NULL,
  message_segments jsonb,
  processing_status text NOT NULL DEFAULT 'received' CONSTRAINT hl7_messages_status_check
    CHECK (processing_status IN ('received', 'parsing', 'parsed', 'processing', 'processed', 'failed', 'rejected')),
  processing_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT hl7_messages_errors_check CHECK (jsonb_typeof(processing_errors) = 'array'),
  patient_identifier text,
  guardian_patient_id uuid,
  message_timestamp timestamptz,
  received_at timestamptz NOT NULL DEFAULT now(),
  processed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.hl7_messages IS 'HL7 v2 messages as received, for the server side only.';
COMMENT ON COLUMN public.hl7_messages.message_type IS 'MSH-9, for example ADT^A08 or ORU^R01.';
COMMENT ON COLUMN public.hl7_messages.message_control_id IS 'MSH-10; the same one twice from a sender is one message.';
COMMENT ON COLUMN public.hl7_messages.patient_identifier IS 'PID-3 as sent.';
COMMENT ON COLUMN public.hl7_messages.guardian_patient_id IS
  'The account it is about, once known; its deletion takes the message with it.';

CREATE TABLE public.hl7_to_fhir_conversions (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT hl7_to_fhir_conversions_pkey PRIMARY KEY,
  hl7_message_id uuid NOT NULL
    CONSTRAINT hl7_to_fhir_conversions_message_fkey REFERENCES public.hl7_messages (id) ON DELETE CASCADE,
  guardian_patient_id uuid,
  fhir_resources jsonb NOT NULL
    CONSTRAINT hl7_to_fhir_conversions_resources_check CHECK (jsonb_typeof(fhir_resources) = 'array'),
  conversion_status text NOT NULL DEFAULT 'pending' CONSTRAINT hl7_to_fhir_conversions_status_check
    CHECK (conversion_status IN ('pending', 'completed', 'failed', 'partial')),
  conversion_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT hl7_to_fhir_conversions_errors_check CHECK (jsonb_typeof(conversion_errors) = 'array'),
  conversion_rules_version text,
  target_profile text,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.hl7_to_fhir_conversions IS 'FHIR resources made of a message, for the server side only.';
COMMENT ON COLUMN public.hl7_to_fhir_conversions.guardian_patient_id IS
  'As in the message, kept so by triggers: an erasure reaches the row on its own, in the archive too.';
COMMENT ON COLUMN public.hl7_to_fhir_conversions.target_profile IS 'Canonical URL of the profile aimed at.';

CREATE TABLE public.legacy_system_mappings (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT legacy_system_mappings_pkey PRIMARY KEY,
  system_name text NOT NULL,
  source_entity text NOT NULL,
  source_field text NOT NULL,
  fhir_resource_type text NOT NULL
    CONSTRAINT legacy_system_mappings_type_check CHECK (fhir_resource_type ~ '^[A-Z][A-Za-z]{1,63}$'),
  fhir_path text NOT NULL,
  transformation jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT legacy_system_mappings_transformation_check CHECK (jsonb_typeof(transformation) = 'object'),
  is_active boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT legacy_system_mappings_field_key
    UNIQUE (system_name, source_entity, source_field, fhir_resource_type, fhir_path)
);
COMMENT ON TABLE public.legacy_system_mappings IS 'Which field of an older system goes to which FHIR element.';
COMMENT ON COLUMN public.legacy_system_mappings.source_entity IS 'Table, file or segment of that system.';
COMMENT ON COLUMN public.legacy_system_mappings.fhir_path IS 'FHIRPath of the element, for example Patient.birthDate.';
COMMENT ON COLUMN public.legacy_system_mappings.transformation IS 'How the value is turned, for the importer.';

CREATE TABLE public.legacy_import_jobs (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT legacy_import_jobs_pkey PRIMARY KEY,
  system_name text NOT NULL,
  fhir_resource_type text NOT NULL
    CONSTRAINT legacy_import_jobs_type_check CHECK (fhir_resource_type ~ '^[A-Z][A-Za-z]{1,63}$'),
  status text NOT NULL DEFAULT 'pending' CONSTRAINT legacy_import_jobs_status_check
    CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  total_records integer NOT NULL DEFAULT 0 CONSTRAINT legacy_import_jobs_total_check CHECK (total_records >= 0),
  imported_records integer NOT NULL DEFAULT 0
    CONSTRAINT legacy_import_jobs_imported_check CHECK (imported_records >= 0),
  failed_records integer NOT NULL DEFAULT 0 CONSTRAINT legacy_import_jobs_failed_check CHECK (failed_records >= 0),
  errors jsonb NOT NULL DEFAULT '[]' CONSTRAINT legacy_import_jobs_errors_check CHECK (jsonb_typeof(errors) = 'array'),
  started_at timestamptz,
  completed_at timestamptz,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.legacy_import_jobs IS 'Imports from an older system by legacy_system_mappings.';
COMMENT ON COLUMN public.legacy_import_jobs.errors IS 'What went wrong: element and code, never a value.';
COMMENT ON COLUMN public.legacy_import_jobs.created_by IS 'Account that started it; NULL: the server side.';

-- Every key to v6 has an index: deleting an account or a v6 row looks each of them up.
CREATE INDEX fhir_patient_mappings_user_idx ON public.fhir_patient_mappings (guardian_user_id);
CREATE INDEX fhir_observations_patient_idx ON public.fhir_observations (guardian_patient_id, effective_datetime DESC);
CREATE INDEX fhir_observations_code_idx ON public.fhir_observations USING gin (code jsonb_path_ops);
CREATE INDEX fhir_observations_lab_result_idx ON public.fhir_observations (guardian_lab_result_id)
  WHERE guardian_lab_result_id IS NOT NULL;
CREATE INDEX fhir_observations_vital_idx ON public.fhir_observations (guardian_vital_id)
  WHERE guardian_vital_id IS NOT NULL;
CREATE INDEX fhir_medication_requests_patient_idx
  ON public.fhir_medication_requests (guardian_patient_id, authored_on DESC);
CREATE INDEX fhir_medication_requests_medication_idx ON public.fhir_medication_requests (guardian_medication_id)
  WHERE guardian_medication_id IS NOT NULL;
CREATE INDEX fhir_document_references_patient_idx ON public.fhir_document_references (guardian_patient_id, date DESC);
CREATE INDEX fhir_document_references_document_idx ON public.fhir_document_references (guardian_document_id)
  WHERE guardian_document_id IS NOT NULL;
CREATE INDEX consent_fhir_mappings_patient_idx ON public.consent_fhir_mappings (guardian_patient_id);
CREATE INDEX fhir_sync_jobs_endpoint_idx ON public.fhir_sync_jobs (endpoint_id, created_at);
CREATE INDEX fhir_sync_jobs_open_idx ON public.fhir_sync_jobs (created_at) WHERE status IN ('pending', 'running');
CREATE INDEX fhir_sync_jobs_patient_idx ON public.fhir_sync_jobs (patient_filter) WHERE patient_filter IS NOT NULL;
CREATE INDEX fhir_validation_results_resource_idx
  ON public.fhir_validation_results (resource_type, resource_id, created_at DESC);
CREATE INDEX fhir_validation_results_patient_idx ON public.fhir_validation_results (guardian_patient_id)
  WHERE guardian_patient_id IS NOT NULL;
CREATE INDEX fhir_api_audit_created_idx ON public.fhir_api_audit (created_at, endpoint_id);
CREATE INDEX fhir_api_audit_user_idx ON public.fhir_api_audit (guardian_user_id, created_at)
  WHERE guardian_user_id IS NOT NULL;
CREATE UNIQUE INDEX hl7_messages_control_key ON public.hl7_messages
  (sending_application, sending_facility, message_control_id) NULLS NOT DISTINCT;
CREATE INDEX hl7_messages_patient_idx ON public.hl7_messages (guardian_patient_id)
  WHERE guardian_patient_id IS NOT NULL;
CREATE INDEX hl7_messages_open_idx ON public.hl7_messages (received_at)
  WHERE processing_status NOT IN ('processed', 'rejected');
CREATE INDEX hl7_to_fhir_conversions_message_idx ON public.hl7_to_fhir_conversions (hl7_message_id);
CREATE INDEX hl7_to_fhir_conversions_patient_idx ON public.hl7_to_fhir_conversions (guardian_patient_id)
  WHERE guardian_patient_id IS NOT NULL;
CREATE INDEX legacy_import_jobs_created_by_idx ON public.legacy_import_jobs (created_by) WHERE created_by IS NOT NULL;

CREATE VIEW public.fhir_performance_metrics WITH (security_invoker = true) AS
SELECT a.endpoint_id, a.resource_type, a.operation, count(*) AS requests,
  round(avg(a.response_time_ms), 1) AS average_ms,
  percentile_cont(0.95) WITHIN GROUP (ORDER BY a.response_time_ms) AS p95_ms,
  count(*) FILTER (WHERE a.response_status >= 400 OR a.response_status IS NULL) AS errors,
  round(avg(a.data_transferred_bytes)) AS average_bytes
FROM public.fhir_api_audit AS a
WHERE a.created_at > now() - interval '24 hours'
GROUP BY a.endpoint_id, a.resource_type, a.operation;
COMMENT ON VIEW public.fhir_performance_metrics IS 'Calls of the last 24 hours by endpoint, type and operation.';
COMMENT ON COLUMN public.fhir_performance_metrics.errors IS 'Calls answered with 400 or more, or not at all.';

------------------------------------------------------------------------------- 2 resources built from v6 rows
-- One view a type, one statement for all rows. They run with the reader's rights (security_invoker), so v6's own row
-- security decides. A row without an owner is nobody's and is not built. Members without a value are stripped: FHIR
-- JSON has no null, no empty object, array or string (R4, json.html). Where v6 contradicts itself the resource says
-- nothing rather than something wrong, and a note keeps what was recorded. The README has the tables of values.

-- Allowed in a FHIR string are all characters from U+0020, tab, CR and LF (R4, datatypes.html#string). OCR leaves form
-- feeds and no-break spaces.
CREATE FUNCTION public.fhir_text(p_text text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN nullif(btrim(regexp_replace(p_text, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u00A0]', ' ', 'g'),
    E' \t\r\n'), '');
END
$$;
COMMENT ON FUNCTION public.fhir_text(text) IS
  'A text as FHIR admits it, without blanks around it; NULL if nothing is left.';

-- The literals are written out twice: as expressions they are parsed once a session, as variables once a call.
CREATE FUNCTION public.fhir_blood_pressure(p_systolic numeric, p_diastolic numeric) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN jsonb_build_array(
    '{"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Systolic blood pressure"}]}}'
      || CASE
        WHEN p_systolic IS NULL THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown", "display": "Unknown"}]}}'
        WHEN p_systolic NOT BETWEEN 1 AND 400 THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error", "display": "Error"}]}}'
        ELSE jsonb_build_object('valueQuantity', jsonb_build_object('value', p_systolic, 'unit', 'mmHg',
          'system', 'http://unitsofmeasure.org', 'code', 'mm[Hg]')) END,
    '{"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4", "display": "Diastolic blood pressure"}]}}'
      || CASE
        WHEN p_diastolic IS NULL THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown", "display": "Unknown"}]}}'
        WHEN p_diastolic NOT BETWEEN 1 AND 400 THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error", "display": "Error"}]}}'
        ELSE jsonb_build_object('valueQuantity', jsonb_build_object('value', p_diastolic, 'unit', 'mmHg',
          'system', 'http://unitsofmeasure.org', 'code', 'mm[Hg]')) END);
END
$$;
COMMENT ON FUNCTION public.fhir_blood_pressure(numeric, numeric) IS
  'Components of a blood pressure panel (LOINC 85354-9), in mmHg; the profile wants both, a missing one says so.';

-- result_value decides, never v6's numeric_value, which is the first number in the text (120 for 120/80). A thousands
-- comma is read as one only where nothing else is possible (1,234.5); 1,234 may be German and stays a text.
CREATE VIEW public.guardian_fhir_lab_observations WITH (security_invoker = true) AS
SELECT l.id AS source_id, l.user_id AS patient_id, l.id::text AS fhir_id,
  '1 ' || coalesce(extract(epoch FROM l.updated_at)::text, '') AS source_version,
  CASE WHEN l.test_date BETWEEN '0001-01-01' AND '9999-12-31' THEN l.test_date END AS effective_date,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'Observation',
    'id', l.id,
    'status', CASE WHEN l.confidence_score >= 0.7 THEN 'final' ELSE 'unknown' END,
    'category', CASE WHEN p.pair IS NULL THEN '[{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory", "display": "Laboratory"}]}]'
      ELSE '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "vital-signs", "display": "Vital Signs"}]}]' END::jsonb,
    'code', jsonb_build_object(
      'coding', CASE
        WHEN p.pair IS NOT NULL THEN '[{"system": "http://loinc.org", "code": "85354-9",
          "display": "Blood pressure panel with all children optional"}]'::jsonb
        WHEN t.code ~ '^[0-9]{1,7}-[0-9]$'
          THEN jsonb_build_array(jsonb_build_object('system', 'http://loinc.org', 'code', t.code))
        WHEN t.code ~ '^[0-9]{4}[0-9A-Z]$'
          THEN jsonb_build_array(jsonb_build_object('system', 'http://www.ama-assn.org/go/cpt', 'code', t.code)) END,
      'text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || l.user_id),
    'effectiveDateTime', CASE WHEN l.test_date BETWEEN '0001-01-01' AND '9999-12-31' THEN l.test_date END,
    'performer', CASE WHEN t.facility IS NOT NULL
      THEN jsonb_build_array(jsonb_build_object('display', t.facility)) END,
    'valueQuantity', CASE WHEN p.number IS NOT NULL THEN jsonb_build_object(
      'value', replace(p.number[2], ',', '')::numeric,
      'comparator', CASE p.number[1] WHEN '≤' THEN '<=' WHEN '≥' THEN '>=' ELSE p.number[1] END,
      'unit', t.unit,
      'system', CASE WHEN u.code IS NOT NULL THEN 'http://unitsofmeasure.org' END,
      'code', u.code) END,
    'valueString', CASE WHEN p.number IS NULL AND p.pair IS NULL AND t.value IS NOT NULL
      THEN concat_ws(' ', t.value, t.unit) END,
    'component', CASE WHEN p.pair IS NOT NULL
      THEN public.fhir_blood_pressure(p.pair[1]::numeric, p.pair[2]::numeric) END,
    'dataAbsentReason', CASE WHEN t.value IS NULL THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown",
      "display": "Unknown"}]}'::jsonb END,
    'interpretation', i.concept,
    'referenceRange', CASE WHEN t.range IS NOT NULL THEN jsonb_build_array(jsonb_build_object('text', t.range)) END,
    'derivedFrom', jsonb_build_array(jsonb_build_object('reference', 'DocumentReference/' || l.source_document_id))
  )) AS resource
FROM public.patient_lab_results AS l
-- OFFSET 0 keeps the planner from writing each expression out wherever it is used.
CROSS JOIN LATERAL (
  SELECT public.fhir_text(l.test_name) AS name, public.fhir_text(l.test_code) AS code,
    public.fhir_text(l.result_value) AS value, public.fhir_text(l.unit) AS unit,
    public.fhir_text(l.reference_range) AS range, public.fhir_text(l.lab_facility) AS facility
  OFFSET 0
) AS t
CROSS JOIN LATERAL (
  SELECT regexp_match(t.value,
      '^(<=|>=|<|>|≤|≥)?\s*(-?[0-9]{1,12}(?:\.[0-9]{1,8})?'
      '|[0-9]{1,3}(?:,[0-9]{3}){1,3}\.[0-9]{1,8}|[0-9]{1,3}(?:,[0-9]{3}){2,3})$') AS number,
    CASE WHEN t.name ~* '\mblood pressure\M|^bp$' AND coalesce(lower(t.unit), 'mmhg') IN ('mmhg', 'mm hg', 'mm[hg]')
      THEN (SELECT m FROM regexp_match(t.value, '^([0-9]{2,3})\s*/\s*([0-9]{2,3})$') AS m
        WHERE m[1]::integer >= m[2]::integer) END AS pair
  OFFSET 0
) AS p
-- UCUM codes of units as laboratories write them (https://ucum.org), in lower case; another unit goes without a code.
LEFT JOIN (VALUES ('%', '%'), ('g/l', 'g/L'), ('g/dl', 'g/dL'), ('mg/l', 'mg/L'), ('mg/dl', 'mg/dL'), ('µg/l', 'ug/L'),
  ('μg/l', 'ug/L'), ('ug/l', 'ug/L'), ('ng/l', 'ng/L'), ('ng/ml', 'ng/mL'), ('pg/ml', 'pg/mL'), ('mmol/l', 'mmol/L'),
  ('µmol/l', 'umol/L'), ('μmol/l', 'umol/L'), ('umol/l', 'umol/L'), ('nmol/l', 'nmol/L'), ('pmol/l', 'pmol/L'),
  ('mmol/mol', 'mmol/mol'), ('u/l', 'U/L'), ('iu/l', '[IU]/L'), ('miu/l', 'm[IU]/L'), ('10^9/l', '10*9/L'),
  ('x10^9/l', '10*9/L'), ('10*9/l', '10*9/L'), ('10^12/l', '10*12/L'), ('x10^12/l', '10*12/L'), ('10*12/l', '10*12/L'),
  ('fl', 'fL'), ('pg', 'pg'), ('mmhg', 'mm[Hg]'), ('mm/h', 'mm/h'), ('ml/min', 'mL/min'),
  ('ml/min/1.73m2', 'mL/min/{1.73_m2}'), ('ml/min/1.73 m2', 'mL/min/{1.73_m2}'), ('s', 's')
) AS u (unit, code) ON u.unit = lower(t.unit)
LEFT JOIN (VALUES
  ('normal', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "N", "display": "Normal"}]}]'::jsonb),
  ('abnormal', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "A", "display": "Abnormal"}]}]'),
  ('critical', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "AA", "display": "Critical abnormal"}]}]'),
  ('high', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "H", "display": "High"}]}]'),
  ('low', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "L", "display": "Low"}]}]')
) AS i (status, concept) ON i.status = l.result_status
WHERE l.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_lab_observations IS
  'Observations of patient_lab_results. final from a confidence of 0.7, else unknown; v6 writes NULL for zero.';
COMMENT ON COLUMN public.guardian_fhir_lab_observations.source_version IS
  'Version of the builder and updated_at of the row; a mapping with another one is built anew. So in the other views.';
COMMENT ON COLUMN public.guardian_fhir_lab_observations.effective_date IS
  'test_date where FHIR can say it: years 1 to 9999.';

-- One wide row becomes an Observation a measure. Beyond what a living body has (98.6 °C, no unit) the value is left
-- out as an error and the note keeps it.
CREATE VIEW public.guardian_fhir_vital_observations WITH (security_invoker = true) AS
SELECT v.id AS source_id, v.user_id AS patient_id, v.id || '-' || m.measure AS fhir_id,
  '1 ' || coalesce(extract(epoch FROM v.updated_at)::text, '') AS source_version,
  CASE WHEN v.measurement_date BETWEEN '0001-01-01' AND '9999-12-31' THEN v.measurement_date END AS effective_date,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'Observation',
    'id', v.id || '-' || m.measure,
    'status', CASE WHEN v.confidence_score >= 0.7 THEN 'final' ELSE 'unknown' END,
    'category', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "vital-signs", "display": "Vital Signs"}]}]'::jsonb,
    'code', m.concept,
    'subject', jsonb_build_object('reference', 'Patient/' || v.user_id),
    'effectiveDateTime',
      CASE WHEN v.measurement_date BETWEEN '0001-01-01' AND '9999-12-31' THEN v.measurement_date END,
    'valueQuantity', CASE WHEN m.value BETWEEN m.low AND m.high THEN jsonb_build_object('value', m.value,
      'unit', m.unit, 'system', 'http://unitsofmeasure.org', 'code', m.ucum) END,
    'component', CASE WHEN m.measure = 'blood-pressure'
      THEN public.fhir_blood_pressure(v.blood_pressure_systolic, v.blood_pressure_diastolic) END,
    'dataAbsentReason', CASE WHEN m.value IS NOT NULL AND (m.value BETWEEN m.low AND m.high) IS NOT TRUE
      THEN '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error",
        "display": "Error"}]}'::jsonb END,
    'note', CASE
      WHEN m.value IS NOT NULL AND (m.value BETWEEN m.low AND m.high) IS NOT TRUE
        THEN jsonb_build_array(jsonb_build_object('text', concat_ws('; ', c.context,
          format('recorded as %s %s, which cannot be', m.value, coalesce(m.unit, 'without a unit')))))
      WHEN c.context IS NOT NULL THEN jsonb_build_array(jsonb_build_object('text', c.context)) END,
    'derivedFrom', jsonb_build_array(jsonb_build_object('reference', 'DocumentReference/' || v.source_document_id))
  )) AS resource
FROM public.patient_vitals AS v
CROSS JOIN LATERAL (SELECT public.fhir_text(v.measurement_context) AS context OFFSET 0) AS c
CROSS JOIN LATERAL (VALUES
  ('blood-pressure', '{"coding": [{"system": "http://loinc.org", "code": "85354-9",
    "display": "Blood pressure panel with all children optional"}], "text": "Blood pressure"}'::jsonb,
    NULL::numeric, NULL, NULL, NULL::numeric, NULL::numeric),
  ('heart-rate', '{"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
    "text": "Heart rate"}', v.heart_rate, 'beats/minute', '/min', 1, 500),
  ('body-temperature', '{"coding": [{"system": "http://loinc.org", "code": "8310-5", "display": "Body temperature"}],
    "text": "Body temperature"}', v.temperature,
    CASE v.temperature_unit WHEN 'F' THEN '°F' WHEN 'C' THEN '°C' END,
    CASE v.temperature_unit WHEN 'F' THEN '[degF]' WHEN 'C' THEN 'Cel' END,
    CASE v.temperature_unit WHEN 'F' THEN 68 WHEN 'C' THEN 20 END,
    CASE v.temperature_unit WHEN 'F' THEN 122 WHEN 'C' THEN 50 END),
  ('body-weight', '{"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}],
    "text": "Body weight"}', v.weight,
    CASE v.weight_unit WHEN 'lbs' THEN 'lb' WHEN 'kg' THEN 'kg' END,
    CASE v.weight_unit WHEN 'lbs' THEN '[lb_av]' WHEN 'kg' THEN 'kg' END,
    CASE v.weight_unit WHEN 'lbs' THEN 0.2 WHEN 'kg' THEN 0.1 END,
    CASE v.weight_unit WHEN 'lbs' THEN 1540 WHEN 'kg' THEN 700 END),
  ('body-height', '{"coding": [{"system": "http://loinc.org", "code": "8302-2", "display": "Body height"}],
    "text": "Body height"}', v.height, v.height_unit,
    CASE v.height_unit WHEN 'in' THEN '[in_i]' WHEN 'cm' THEN 'cm' END,
    CASE v.height_unit WHEN 'in' THEN 4 WHEN 'cm' THEN 10 END,
    CASE v.height_unit WHEN 'in' THEN 118 WHEN 'cm' THEN 300 END),
  ('bmi', '{"coding": [{"system": "http://loinc.org", "code": "39156-5",
    "display": "Body mass index (BMI) [Ratio]"}], "text": "Body mass index"}', v.bmi, 'kg/m2', 'kg/m2', 3, 300)
) AS m (measure, concept, value, unit, ucum, low, high)
WHERE v.user_id IS NOT NULL
  AND (m.value IS NOT NULL OR m.measure = 'blood-pressure'
    AND num_nonnulls(v.blood_pressure_systolic, v.blood_pressure_diastolic) > 0);
COMMENT ON VIEW public.guardian_fhir_vital_observations IS
  'Observations of patient_vitals, up to six a row; fhir_id is the v6 id and the measure.';

CREATE VIEW public.guardian_fhir_medication_statements WITH (security_invoker = true) AS
SELECT m.id AS source_id, m.user_id AS patient_id, m.id::text AS fhir_id,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'MedicationStatement',
    'id', m.id,
    'basedOn', jsonb_build_array(jsonb_build_object('reference', 'MedicationRequest/' || m.id)),
    'status', CASE m.status WHEN 'active' THEN 'active' WHEN 'completed' THEN 'completed'
      WHEN 'discontinued' THEN 'stopped' ELSE 'unknown' END,
    'medicationCodeableConcept', jsonb_build_object('text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || m.user_id),
    'effectivePeriod', CASE WHEN num_nonnulls(t.start_date, t.end_date) > 0
      THEN jsonb_build_object('start', t.start_date, 'end', t.end_date) END,
    'dateAsserted', to_char(t.asserted AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'dosage', CASE WHEN num_nonnulls(t.dose, t.route) > 0 THEN jsonb_build_array(jsonb_build_object(
      'text', t.dose, 'route', CASE WHEN t.route IS NOT NULL THEN jsonb_build_object('text', t.route) END)) END,
    'note', CASE WHEN m.end_date < m.start_date THEN jsonb_build_array(jsonb_build_object('text',
      'An end before the start is recorded and left out: ' || (to_jsonb(m.end_date) #>> '{}'))) END,
    'derivedFrom', (SELECT jsonb_agg(jsonb_build_object('reference', 'DocumentReference/' || d))
      FROM unnest(m.source_document_ids) AS d WHERE d IS NOT NULL)
  )) AS resource
FROM public.patient_medications AS m
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(m.medication_name), public.fhir_text(m.normalized_name)) AS name,
    public.fhir_text(concat_ws(' ', m.dosage, m.frequency)) AS dose, public.fhir_text(m.route) AS route,
    CASE WHEN m.start_date BETWEEN '0001-01-01' AND '9999-12-31' THEN m.start_date END AS start_date,
    CASE WHEN m.end_date BETWEEN '0001-01-01' AND '9999-12-31' AND (m.end_date < m.start_date) IS NOT TRUE
      THEN m.end_date END AS end_date,
    CASE WHEN coalesce(m.last_confirmed_at, m.created_at) BETWEEN '0001-01-02Z' AND '9999-12-31Z'
      THEN coalesce(m.last_confirmed_at, m.created_at) END AS asserted
  OFFSET 0
) AS t
WHERE m.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_medication_statements IS
  'MedicationStatements of patient_medications: what documents say that a patient takes.';

CREATE VIEW public.guardian_fhir_medication_requests WITH (security_invoker = true) AS
SELECT m.id AS source_id, m.user_id AS patient_id, m.id::text AS fhir_id,
  '1 ' || coalesce(extract(epoch FROM m.updated_at)::text, '') AS source_version, t.start_date,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'MedicationRequest',
    'id', m.id,
    'status', CASE m.status WHEN 'active' THEN 'active' WHEN 'completed' THEN 'completed'
      WHEN 'discontinued' THEN 'stopped' ELSE 'unknown' END,
    'intent', CASE WHEN t.prescriber IS NULL THEN 'plan' ELSE 'order' END,
    'reportedBoolean', true,
    'medicationCodeableConcept', jsonb_build_object('text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || m.user_id),
    'authoredOn', t.start_date,
    'requester', CASE WHEN t.prescriber IS NOT NULL THEN jsonb_build_object('display', t.prescriber) END,
    'dosageInstruction', CASE WHEN num_nonnulls(t.dose, t.route) > 0 THEN jsonb_build_array(jsonb_build_object(
      'text', t.dose, 'route', CASE WHEN t.route IS NOT NULL THEN jsonb_build_object('text', t.route) END)) END,
    'supportingInformation', (SELECT jsonb_agg(jsonb_build_object('reference', 'DocumentReference/' || d))
      FROM unnest(m.source_document_ids) AS d WHERE d IS NOT NULL)
  )) AS resource
FROM public.patient_medications AS m
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(m.medication_name), public.fhir_text(m.normalized_name)) AS name,
    public.fhir_text(concat_ws(' ', m.dosage, m.frequency)) AS dose, public.fhir_text(m.route) AS route,
    public.fhir_text(m.prescriber) AS prescriber,
    CASE WHEN m.start_date BETWEEN '0001-01-01' AND '9999-12-31' THEN m.start_date END AS start_date
  OFFSET 0
) AS t
WHERE m.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_medication_requests IS
  'MedicationRequests of patient_medications, reported and not authored here; a plan where no prescriber is known.';

-- v6 documents have no updated_at: a digest of the columns used stands for it. The address is Binary/<id>, which the
-- server side answers by a signed URL; the storage path stays inside.
CREATE VIEW public.guardian_fhir_document_references WITH (security_invoker = true) AS
SELECT d.id AS source_id, d.user_id AS patient_id, d.id::text AS fhir_id,
  '1 ' || md5(ROW(d.status, d.original_name, d.mime_type, extract(epoch FROM d.created_at),
    d.medical_data -> 'documentType')::text) AS source_version,
  t.created_at,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'DocumentReference',
    'id', d.id,
    'status', 'current',
    'docStatus', CASE WHEN d.status = 'failed' THEN 'preliminary' END,
    'type', CASE WHEN t.type IS NOT NULL THEN jsonb_build_object('text', t.type) END,
    'subject', jsonb_build_object('reference', 'Patient/' || d.user_id),
    'date', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'content', jsonb_build_array(jsonb_build_object('attachment', jsonb_build_object(
      'contentType', CASE WHEN t.mime_type ~ '^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$' THEN t.mime_type END,
      'url', 'Binary/' || d.id,
      'title', t.name,
      'creation', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))))
  )) AS resource
FROM public.documents AS d
CROSS JOIN LATERAL (
  SELECT public.fhir_text(d.original_name) AS name, public.fhir_text(d.mime_type) AS mime_type,
    CASE WHEN jsonb_typeof(d.medical_data -> 'documentType') = 'string'
      THEN public.fhir_text(d.medical_data ->> 'documentType') END AS type,
    CASE WHEN d.created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN d.created_at END AS created_at
  OFFSET 0
) AS t
WHERE d.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_document_references IS 'DocumentReferences of documents.';

-- con-4: no abatement beside an active clinicalStatus. The date of a diagnosis is no onset: extension assertedDate.
CREATE VIEW public.guardian_fhir_conditions WITH (security_invoker = true) AS
SELECT c.id AS source_id, c.user_id AS patient_id, c.id::text AS fhir_id,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'Condition',
    'id', c.id,
    'extension', CASE WHEN t.diagnosed IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
      'url', 'http://hl7.org/fhir/StructureDefinition/condition-assertedDate', 'valueDateTime', t.diagnosed)) END,
    'clinicalStatus', CASE
      WHEN c.status IN ('active', 'chronic', 'acute') THEN '{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active", "display": "Active"}]}'::jsonb
      WHEN c.status = 'resolved' THEN '{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved", "display": "Resolved"}]}'
      WHEN c.status = 'in_remission' THEN '{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "remission", "display": "Remission"}]}' END,
    'verificationStatus', CASE WHEN coalesce(c.status, 'unknown') = 'unknown' THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "unconfirmed",
      "display": "Unconfirmed"}]}'::jsonb END,
    'category', CASE WHEN t.category IS NOT NULL THEN jsonb_build_array(jsonb_build_object('text', t.category)) END,
    'code', jsonb_build_object(
      'coding', CASE WHEN t.icd10 ~ '^[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$' THEN jsonb_build_array(
        jsonb_build_object('system', 'http://hl7.org/fhir/sid/icd-10', 'code', t.icd10)) END,
      'text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || c.user_id),
    'abatementDateTime', CASE WHEN c.status IN ('resolved', 'in_remission') THEN t.resolved END,
    'recordedDate', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'evidence', (SELECT jsonb_build_array(jsonb_build_object('detail',
        jsonb_agg(jsonb_build_object('reference', 'DocumentReference/' || d))))
      FROM unnest(c.source_document_ids) AS d WHERE d IS NOT NULL HAVING count(*) > 0),
    'note', CASE WHEN num_nonnulls(t.description, t.odd_end) > 0
      THEN jsonb_build_array(jsonb_build_object('text', concat_ws('; ', t.description, t.odd_end))) END
  )) AS resource
FROM public.patient_conditions AS c
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(c.condition_name), public.fhir_text(c.normalized_condition)) AS name,
    regexp_replace(upper(public.fhir_text(c.icd10_code)), '^([A-Z][0-9][0-9A-Z])([0-9A-Z]{1,4})$', '\1.\2') AS icd10,
    public.fhir_text(c.condition_category) AS category, public.fhir_text(c.description) AS description,
    CASE WHEN c.diagnosis_date BETWEEN '0001-01-01' AND '9999-12-31' THEN c.diagnosis_date END AS diagnosed,
    CASE WHEN c.resolution_date BETWEEN '0001-01-01' AND '9999-12-31' THEN c.resolution_date END AS resolved,
    CASE WHEN c.resolution_date IS NOT NULL AND coalesce(c.status NOT IN ('resolved', 'in_remission'), true)
      THEN format('recorded as resolved on %s with status %s', to_jsonb(c.resolution_date) #>> '{}',
        coalesce(c.status, 'not recorded')) END AS odd_end,
    CASE WHEN c.created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN c.created_at END AS created_at
  OFFSET 0
) AS t
WHERE c.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_conditions IS 'Conditions of patient_conditions.';

-- ait-1 wants a clinicalStatus: an allergy nobody confirmed is active and unconfirmed, never absent.
CREATE VIEW public.guardian_fhir_allergy_intolerances WITH (security_invoker = true) AS
SELECT a.id AS source_id, a.user_id AS patient_id, a.id::text AS fhir_id,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'AllergyIntolerance',
    'id', a.id,
    'clinicalStatus', CASE WHEN a.status = 'resolved' THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "resolved", "display": "Resolved"}]}'
      ELSE '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
      "code": "active", "display": "Active"}]}' END::jsonb,
    'verificationStatus', CASE WHEN coalesce(a.status, 'unconfirmed') = 'unconfirmed' THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "code": "unconfirmed",
      "display": "Unconfirmed"}]}'::jsonb END,
    'category', CASE
      WHEN a.allergy_type ~* '(drug|medic|antibiotic)' THEN '["medication"]'::jsonb
      WHEN a.allergy_type ~* '(food|nut|dairy)' THEN '["food"]'
      WHEN a.allergy_type ~* '(environ|pollen|dust|animal|insect|latex)' THEN '["environment"]'
      WHEN a.allergy_type ~* '(biologic|vaccine)' THEN '["biologic"]' END,
    'criticality', CASE WHEN a.severity IN ('severe', 'life-threatening') THEN 'high' END,
    'code', jsonb_build_object('text', coalesce(t.name, 'not recorded')),
    'patient', jsonb_build_object('reference', 'Patient/' || a.user_id),
    'onsetDateTime', CASE WHEN a.onset_date BETWEEN '0001-01-01' AND '9999-12-31' THEN a.onset_date END,
    'recordedDate', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'reaction', CASE WHEN t.reaction IS NOT NULL OR a.severity IN ('mild', 'moderate', 'severe', 'life-threatening')
      THEN jsonb_build_array(jsonb_build_object(
        'manifestation', jsonb_build_array(CASE WHEN t.reaction IS NOT NULL THEN jsonb_build_object('text', t.reaction)
          ELSE '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown",
            "display": "Unknown"}]}' END),
        'severity', CASE WHEN a.severity IN ('mild', 'moderate', 'severe') THEN a.severity
          WHEN a.severity = 'life-threatening' THEN 'severe' END)) END
  )) AS resource
FROM public.patient_allergies AS a
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(a.allergen), public.fhir_text(a.normalized_allergen)) AS name,
    public.fhir_text(a.reaction_description) AS reaction,
    CASE WHEN a.created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN a.created_at END AS created_at
  OFFSET 0
) AS t
WHERE a.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_allergy_intolerances IS 'AllergyIntolerances of patient_allergies.';

CREATE VIEW public.guardian_fhir_practitioners WITH (security_invoker = true) AS
SELECT p.id AS source_id, p.user_id AS patient_id, p.id::text AS fhir_id, t.type AS resource_type,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', t.type,
    'id', p.id,
    'name', CASE WHEN t.type = 'Organization' THEN to_jsonb(coalesce(t.name, 'not recorded'))
      ELSE jsonb_build_array(jsonb_build_object('text', coalesce(t.name, 'not recorded'))) END,
    'telecom', CASE WHEN t.phone IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('system', 'phone', 'value', t.phone, 'use', 'work')) END,
    'address', CASE WHEN t.address IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('use', 'work', 'text', t.address)) END,
    'qualification', CASE WHEN t.type = 'Practitioner' AND t.specialty IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('code', jsonb_build_object('text', t.specialty))) END,
    'type', CASE WHEN t.type = 'Organization' AND t.kind IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('text', t.kind)) END
  )) AS resource
FROM public.patient_providers AS p
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(p.provider_name), public.fhir_text(p.facility_name)) AS name,
    public.fhir_text(p.specialty) AS specialty, public.fhir_text(p.phone) AS phone,
    public.fhir_text(p.address) AS address, public.fhir_text(p.provider_type) AS kind,
    CASE WHEN p.provider_type ~* '(clinic|hospital|laborator|pharmacy|facility|centre|center|organi[sz]ation)\M'
      THEN 'Organization' ELSE 'Practitioner' END AS type
  OFFSET 0
) AS t
WHERE p.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_practitioners IS
  'Practitioners of patient_providers, or an Organization where the v6 row is a clinic, hospital or the like.';

CREATE VIEW public.guardian_fhir_resources WITH (security_invoker = true) AS
SELECT 'Observation' AS resource_type, source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_lab_observations
UNION ALL SELECT 'Observation', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_vital_observations
UNION ALL SELECT 'MedicationStatement', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_medication_statements
UNION ALL SELECT 'MedicationRequest', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_medication_requests
UNION ALL SELECT 'DocumentReference', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_document_references
UNION ALL SELECT 'Condition', source_id, patient_id, fhir_id, resource FROM public.guardian_fhir_conditions
UNION ALL SELECT 'AllergyIntolerance', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_allergy_intolerances
UNION ALL SELECT resource_type, source_id, patient_id, fhir_id, resource FROM public.guardian_fhir_practitioners;
COMMENT ON VIEW public.guardian_fhir_resources IS
  'Every resource built from clinical rows and documents that the reader may see; Patient and Consent aside.';
COMMENT ON COLUMN public.guardian_fhir_resources.source_id IS 'The v6 row it is built of.';
COMMENT ON COLUMN public.guardian_fhir_resources.patient_id IS 'The account that owns the row.';
COMMENT ON COLUMN public.guardian_fhir_resources.fhir_id IS
  'Id of the resource: the row''s, for vitals with the measure.';

-- user_profiles is optional in v6 and its columns are not certain, hence the text. What is missing reads as NULL. Where
-- its user_id is not unique the first row in order of its values is taken; where it is, a plain join lets the planner
-- choose.
CREATE FUNCTION public.fhir_patient_query() RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_table regclass := to_regclass('public.user_profiles');
  v_key int2 := (SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = v_table AND a.attname = 'user_id'
    AND a.atttypid = 'uuid'::regtype AND NOT a.attisdropped);
  v_profile text := 'SELECT NULL::uuid AS user_id, NULL::text AS first_name, NULL::text AS last_name, '
    'NULL::text AS phone, NULL::date AS date_of_birth WHERE false';
  -- fhir_text written out: over all accounts its calls would cost half the time.
  c_text constant text := $e$nullif(btrim(regexp_replace(%s,
    '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u00A0]', ' ', 'g'), E' \t\r\n'), '')$e$;
BEGIN
  IF v_key IS NOT NULL THEN
    SELECT format('SELECT %s user_id, %s FROM %s %s',
      CASE WHEN NOT k.is_unique THEN 'DISTINCT ON (user_id)' END,
      string_agg(CASE WHEN a.attname IS NULL THEN format('NULL::%s AS %I', w.type, w.name)
        ELSE format('%I::%s', w.name, w.type) END, ', ' ORDER BY w.place),
      v_table, CASE WHEN NOT k.is_unique THEN 'ORDER BY user_id, 2, 3, 4, 5' END)
    INTO v_profile
    FROM (VALUES (1, 'first_name', 'text'), (2, 'last_name', 'text'), (3, 'phone', 'text'),
      (4, 'date_of_birth', 'date')) AS w (place, name, type)
    LEFT JOIN (pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid) ON a.attrelid = v_table
      AND a.attname = w.name AND NOT a.attisdropped
      AND CASE w.type WHEN 'date' THEN t.oid = 'date'::regtype ELSE t.typcategory = 'S' END
    CROSS JOIN (SELECT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = v_table AND i.indisunique
      AND i.indnkeyatts = 1 AND i.indkey[0] = v_key AND i.indpred IS NULL) AS is_unique) AS k
    GROUP BY k.is_unique;
  END IF;
  RETURN $q$
    SELECT u.id AS patient_id,
      '1 ' || md5(ROW(u.email, u.phone, u.deleted_at IS NULL, u.raw_user_meta_data -> 'name', p.first_name,
        p.last_name, p.phone, extract(epoch FROM p.date_of_birth))::text) AS source_version,
      jsonb_strip_nulls(jsonb_build_object(
        'resourceType', 'Patient',
        'id', u.id,
        'identifier', jsonb_build_array(jsonb_build_object(
          'use', 'usual', 'system', 'https://guardian.health/patient-id', 'value', u.id)),
        'active', u.deleted_at IS NULL,
        'name', CASE
          WHEN num_nonnulls(t.family, t.given) > 0 THEN jsonb_build_array(jsonb_build_object('use', 'official',
            'family', t.family, 'given', CASE WHEN t.given IS NOT NULL THEN jsonb_build_array(t.given) END))
          WHEN t.display IS NOT NULL THEN jsonb_build_array(jsonb_build_object('use', 'usual', 'text', t.display)) END,
        'telecom', CASE
          WHEN t.email IS NOT NULL AND t.phone IS NOT NULL THEN jsonb_build_array(
            jsonb_build_object('system', 'email', 'value', t.email, 'use', 'home'),
            jsonb_build_object('system', 'phone', 'value', t.phone))
          WHEN t.email IS NOT NULL
            THEN jsonb_build_array(jsonb_build_object('system', 'email', 'value', t.email, 'use', 'home'))
          WHEN t.phone IS NOT NULL THEN jsonb_build_array(jsonb_build_object('system', 'phone', 'value', t.phone)) END,
        'birthDate',
          CASE WHEN p.date_of_birth BETWEEN '0001-01-01' AND '9999-12-31' THEN p.date_of_birth END)) AS resource
    FROM auth.users AS u
    LEFT JOIN ($q$ || v_profile || $q$) AS p ON p.user_id = u.id
    CROSS JOIN LATERAL (
      SELECT $q$ || format(c_text, 'p.last_name') || ' AS family, ' || format(c_text, 'p.first_name') || ' AS given, '
        || format(c_text, 'u.email') || ' AS email, '
        || format('coalesce(%s, %s) AS phone, ', format(c_text, 'p.phone'), format(c_text, 'u.phone'))
        || $q$CASE WHEN jsonb_typeof(u.raw_user_meta_data -> 'name') = 'string'
          THEN $q$ || format(c_text, 'u.raw_user_meta_data ->> ''name''') || $q$ END AS display
      OFFSET 0
    ) AS t $q$;
END
$$;
COMMENT ON FUNCTION public.fhir_patient_query() IS
  'The query that builds the Patient of every account (patient_id, source_version, resource), for this database.';

---------------------------------------------------------------------------------------------------------- 3 callers
CREATE FUNCTION public.guardian_fhir_patients(p_user_ids uuid[] DEFAULT NULL)
RETURNS TABLE (patient_id uuid, source_version text, resource jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (p_user_ids = ARRAY[auth.uid()]) IS NOT TRUE AND NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a user may export himself only';
  END IF;
  -- Without a list no condition at all, so that the planner knows the size of what comes.
  RETURN QUERY EXECUTE public.fhir_patient_query()
    || CASE WHEN p_user_ids IS NULL THEN '' ELSE 'WHERE u.id = ANY ($1)' END USING p_user_ids;
END
$$;
COMMENT ON FUNCTION public.guardian_fhir_patients(uuid[]) IS
  'The Patient of the accounts named, or of all. Users may ask for themselves, server side and operators for anyone.';

CREATE FUNCTION public.guardian_to_fhir_patient(p_user_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_resource jsonb;
BEGIN
  SELECT p.resource INTO v_resource FROM public.guardian_fhir_patients(ARRAY[p_user_id]) AS p;
  IF v_resource IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'there is no such account';
  END IF;
  RETURN v_resource;
END
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_patient(uuid) IS
  'The Patient of an account. Users may ask for themselves, the server side and operators for anyone.';

CREATE FUNCTION public.guardian_to_fhir_observation(p_lab_result_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT o.resource FROM public.guardian_fhir_lab_observations AS o WHERE o.source_id = p_lab_result_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_observation(uuid) IS
  'The Observation of a laboratory result; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_vital_observations(p_vital_id uuid) RETURNS SETOF jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT o.resource FROM public.guardian_fhir_vital_observations AS o WHERE o.source_id = p_vital_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_vital_observations(uuid) IS
  'The Observations of a row of vitals, one a measure; none if the caller may not read it.';

CREATE FUNCTION public.guardian_to_fhir_medication_statement(p_medication_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.resource FROM public.guardian_fhir_medication_statements AS m WHERE m.source_id = p_medication_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_medication_statement(uuid) IS
  'The MedicationStatement of a medication; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_medication_request(p_medication_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.resource FROM public.guardian_fhir_medication_requests AS m WHERE m.source_id = p_medication_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_medication_request(uuid) IS
  'The MedicationRequest of a medication; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_document_reference(p_document_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.resource FROM public.guardian_fhir_document_references AS d WHERE d.source_id = p_document_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_document_reference(uuid) IS
  'The DocumentReference of a document; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_condition(p_condition_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.resource FROM public.guardian_fhir_conditions AS c WHERE c.source_id = p_condition_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_condition(uuid) IS
  'The Condition of a condition; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_allergy_intolerance(p_allergy_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.resource FROM public.guardian_fhir_allergy_intolerances AS a WHERE a.source_id = p_allergy_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_allergy_intolerance(uuid) IS
  'The AllergyIntolerance of an allergy; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_practitioner(p_provider_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.resource FROM public.guardian_fhir_practitioners AS p WHERE p.source_id = p_provider_id
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_practitioner(uuid) IS
  'The Practitioner of a provider, or its Organization; NULL if there is none that the caller may read.';

-- patient_consents comes with module 004: plpgsql looks it up when called. Row security of that table applies.
CREATE FUNCTION public.guardian_fhir_consents(p_patient_id uuid DEFAULT NULL, p_consent_ids uuid[] DEFAULT NULL)
RETURNS TABLE (consent_id uuid, patient_id uuid, source_version text, resource jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regclass('public.patient_consents') IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT c.id, c.patient_id, '1 ' || s.state || ' ' || extract(epoch FROM c.updated_at),
    jsonb_strip_nulls(jsonb_build_object(
      'resourceType', 'Consent',
      'id', c.id,
      'status', CASE s.state WHEN 'granted' THEN 'active' WHEN 'pending' THEN 'proposed' WHEN 'refused' THEN 'rejected'
        ELSE 'inactive' END,
      'scope', CASE WHEN c.consent_type = 'research_participation'
        THEN '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research",
          "display": "Research"}]}'
        ELSE '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy",
          "display": "Privacy Consent"}]}' END::jsonb,
      'category', '[{"coding": [{"system": "http://loinc.org", "code": "59284-0",
          "display": "Consent Document"}]}]'::jsonb
        || CASE c.consent_type
          WHEN 'research_participation' THEN '[{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "research",
            "display": "Research Information Access"}]}]'
          WHEN 'emergency_access' THEN '[{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "emrgonly",
            "display": "Emergency Only"}]}]'
          WHEN 'data_sharing' THEN '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "IDSCL", "display": "information disclosure"}]}]'
          ELSE '[]' END::jsonb,
      'patient', jsonb_build_object('reference', 'Patient/' || c.patient_id),
      'dateTime', to_char(coalesce(c.revoked_at, c.updated_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'performer', CASE WHEN c.explicit_consent
        THEN jsonb_build_array(jsonb_build_object('reference', 'Patient/' || c.patient_id)) END,
      'policyRule', jsonb_build_object('text', 'GDPR Article 6(1)(' || CASE c.legal_basis WHEN 'consent' THEN 'a'
        WHEN 'contract' THEN 'b' WHEN 'legal_obligation' THEN 'c' WHEN 'vital_interests' THEN 'd'
        WHEN 'public_task' THEN 'e' ELSE 'f' END || '), ' || replace(c.legal_basis, '_', ' ')),
      'provision', jsonb_build_object(
        'type', CASE WHEN s.state = 'refused' THEN 'deny' ELSE 'permit' END,
        'period', CASE WHEN c.granted OR s.state IN ('revoked', 'expired') THEN jsonb_build_object(
          'start', to_char(c.valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
          'end', to_char(CASE WHEN s.ends < c.valid_from THEN c.valid_from ELSE s.ends END AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS"Z"')) END,
        'actor', CASE WHEN c.granted_to IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
          'role', '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
            "code": "IRCP", "display": "information recipient"}]}'::jsonb,
          'reference', jsonb_build_object('identifier', jsonb_build_object(
            'system', 'https://guardian.health/user-id', 'value', c.granted_to)))) END,
        'purpose', jsonb_build_array(jsonb_build_object(
          'system', 'https://guardian.health/consent-purpose', 'code', c.purpose)) || coalesce(a.coding, '[]'),
        'code', CASE WHEN c.resource_type IS NOT NULL
          THEN jsonb_build_array(jsonb_build_object('text', c.resource_type)) END,
        'class', k.coding)))
  FROM public.patient_consents AS c
  CROSS JOIN LATERAL (SELECT CASE WHEN c.revoked_at IS NOT NULL THEN 'revoked'
    WHEN NOT c.granted THEN c.consent_metadata ->> 'state' WHEN c.valid_until <= now() THEN 'expired'
    ELSE 'granted' END AS state, least(c.valid_until, c.revoked_at) AS ends OFFSET 0) AS s
  LEFT JOIN (VALUES
    ('healthcare_services', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT",
      "display": "treatment"}]'::jsonb),
    ('research', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH",
      "display": "healthcare research"}]'),
    ('payment', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT",
      "display": "healthcare payment"}]'),
    ('emergency', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "ETREAT",
      "display": "Emergency Treatment"}]'),
    ('marketing', '[{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HMARKT",
      "display": "healthcare marketing"}]')
  ) AS a (purpose, coding) ON a.purpose = c.purpose
  LEFT JOIN (VALUES
    ('medications', '[{"system": "http://hl7.org/fhir/resource-types", "code": "MedicationStatement"},
      {"system": "http://hl7.org/fhir/resource-types", "code": "MedicationRequest"}]'::jsonb),
    ('lab_results', '[{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]'),
    ('vitals', '[{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]'),
    ('conditions', '[{"system": "http://hl7.org/fhir/resource-types", "code": "Condition"}]'),
    ('allergies', '[{"system": "http://hl7.org/fhir/resource-types", "code": "AllergyIntolerance"}]'),
    ('documents', '[{"system": "http://hl7.org/fhir/resource-types", "code": "DocumentReference"}]')
  ) AS k (resource_type, coding) ON k.resource_type = c.resource_type
  WHERE (p_patient_id IS NULL OR c.patient_id = p_patient_id)
    AND (p_consent_ids IS NULL OR c.id = ANY (p_consent_ids));
END
$$;
COMMENT ON FUNCTION public.guardian_fhir_consents(uuid, uuid[]) IS
  'The Consent of every consent the caller may read, of one patient, or of those named; nothing without module 004.';

CREATE FUNCTION public.generate_fhir_consent_resource(p_consent_id uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.resource FROM public.guardian_fhir_consents(NULL, ARRAY[p_consent_id]) AS c
$$;
COMMENT ON FUNCTION public.generate_fhir_consent_resource(uuid) IS
  'The Consent of a consent; NULL if there is none that the caller may read.';

CREATE FUNCTION public.guardian_to_fhir_bundle(p_user_id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_patient jsonb := public.guardian_to_fhir_patient(p_user_id);
BEGIN
  RETURN (
    SELECT jsonb_build_object('resourceType', 'Bundle', 'type', 'collection',
      'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'entry', jsonb_agg(jsonb_build_object(
        'fullUrl', 'https://guardian.health/fhir/' || r.resource_type || '/' || r.fhir_id, 'resource', r.resource)
        ORDER BY r.place, r.resource_type, r.fhir_id))
    FROM (
      SELECT 0 AS place, 'Patient' AS resource_type, p_user_id::text AS fhir_id, v_patient AS resource
      UNION ALL
      SELECT 1, g.resource_type, g.fhir_id, g.resource FROM public.guardian_fhir_resources AS g
        WHERE g.patient_id = p_user_id
      UNION ALL
      SELECT 1, 'Consent', c.consent_id::text, c.resource FROM public.guardian_fhir_consents(p_user_id) AS c
    ) AS r
  );
END
$$;
COMMENT ON FUNCTION public.guardian_to_fhir_bundle(uuid) IS
  'A patient''s whole record as a Bundle of type collection, Patient first; references between its entries resolve '
  'in it. For the patient and the server side.';

------------------------------------------------------------------------------------------------------ 4 validation
CREATE FUNCTION public.fhir_time(p_text text) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE
    WHEN p_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN (p_text || 'T00:00:00Z')::timestamptz
    WHEN p_text ~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?'
      '(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$')
      THEN p_text::timestamptz END;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
  RETURN NULL; -- the 31st of February
END
$$;
COMMENT ON FUNCTION public.fhir_time(text) IS
  'A FHIR date (as midnight UTC), dateTime or instant; NULL where it is less precise than a day, or is none. '
  'Text of this form means the same under every setting, hence IMMUTABLE.';

-- One line an element: type, element, kind, whether it is required, and for codes the value set (R4, required binding)
-- or for references the types allowed. What is not listed is not looked into.
CREATE FUNCTION public.fhir_element_rules(p_resource_type text)
RETURNS TABLE (element text, kind text, required boolean, allowed text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT r.element, r.kind, r.required, r.allowed FROM (VALUES
    ('Patient', 'identifier', 'objects', true, NULL),
    ('Patient', 'active', 'boolean', false, NULL),
    ('Patient', 'name', 'objects', false, NULL),
    ('Patient', 'telecom', 'objects', false, NULL),
    ('Patient', 'gender', 'code', false, 'male|female|other|unknown'),
    ('Patient', 'birthDate', 'date', false, NULL),
    ('Patient', 'deceasedBoolean', 'boolean', false, NULL),
    ('Patient', 'deceasedDateTime', 'dateTime', false, NULL),
    ('Patient', 'address', 'objects', false, NULL),
    ('Patient', 'maritalStatus', 'concept', false, NULL),
    ('Patient', 'contact', 'objects', false, NULL),
    ('Patient', 'communication', 'objects', false, NULL),
    ('Patient', 'generalPractitioner', 'references', false, 'Organization|Practitioner|PractitionerRole'),
    ('Patient', 'managingOrganization', 'reference', false, 'Organization'),
    ('Practitioner', 'identifier', 'objects', false, NULL),
    ('Practitioner', 'active', 'boolean', false, NULL),
    ('Practitioner', 'name', 'objects', true, NULL),
    ('Practitioner', 'telecom', 'objects', false, NULL),
    ('Practitioner', 'address', 'objects', false, NULL),
    ('Practitioner', 'gender', 'code', false, 'male|female|other|unknown'),
    ('Practitioner', 'birthDate', 'date', false, NULL),
    ('Practitioner', 'qualification', 'objects', false, NULL),
    ('Organization', 'identifier', 'objects', false, NULL),
    ('Organization', 'active', 'boolean', false, NULL),
    ('Organization', 'name', 'string', false, NULL),
    ('Organization', 'type', 'concepts', false, NULL),
    ('Organization', 'telecom', 'objects', false, NULL),
    ('Organization', 'address', 'objects', false, NULL),
    ('Observation', 'identifier', 'objects', false, NULL),
    ('Observation', 'status', 'code', true,
      'registered|preliminary|final|amended|corrected|cancelled|entered-in-error|unknown'),
    ('Observation', 'category', 'concepts', false, NULL),
    ('Observation', 'code', 'concept', true, NULL),
    ('Observation', 'subject', 'reference', false, 'Patient|Group|Device|Location'),
    ('Observation', 'encounter', 'reference', false, 'Encounter'),
    ('Observation', 'effectiveDateTime', 'dateTime', false, NULL),
    ('Observation', 'effectivePeriod', 'object', false, NULL),
    ('Observation', 'effectiveTiming', 'object', false, NULL),
    ('Observation', 'effectiveInstant', 'instant', false, NULL),
    ('Observation', 'issued', 'instant', false, NULL),
    ('Observation', 'performer', 'references', false,
      'Practitioner|PractitionerRole|Organization|CareTeam|Patient|RelatedPerson'),
    ('Observation', 'valueQuantity', 'object', false, NULL),
    ('Observation', 'valueCodeableConcept', 'concept', false, NULL),
    ('Observation', 'valueString', 'string', false, NULL),
    ('Observation', 'valueBoolean', 'boolean', false, NULL),
    ('Observation', 'valueInteger', 'integer', false, NULL),
    ('Observation', 'valueRange', 'object', false, NULL),
    ('Observation', 'valueRatio', 'object', false, NULL),
    ('Observation', 'valueSampledData', 'object', false, NULL),
    ('Observation', 'valueTime', 'time', false, NULL),
    ('Observation', 'valueDateTime', 'dateTime', false, NULL),
    ('Observation', 'valuePeriod', 'object', false, NULL),
    ('Observation', 'dataAbsentReason', 'concept', false, NULL),
    ('Observation', 'interpretation', 'concepts', false, NULL),
    ('Observation', 'note', 'objects', false, NULL),
    ('Observation', 'bodySite', 'concept', false, NULL),
    ('Observation', 'method', 'concept', false, NULL),
    ('Observation', 'specimen', 'reference', false, 'Specimen'),
    ('Observation', 'device', 'reference', false, 'Device|DeviceMetric'),
    ('Observation', 'referenceRange', 'objects', false, NULL),
    ('Observation', 'hasMember', 'references', false, 'Observation|QuestionnaireResponse|MolecularSequence'),
    ('Observation', 'derivedFrom', 'references', false,
      'DocumentReference|ImagingStudy|Media|QuestionnaireResponse|Observation|MolecularSequence'),
    ('Observation', 'component', 'objects', false, NULL),
    ('MedicationStatement', 'basedOn', 'references', false, 'MedicationRequest|CarePlan|ServiceRequest'),
    ('MedicationStatement', 'status', 'code', true,
      'active|completed|entered-in-error|intended|stopped|on-hold|unknown|not-taken'),
    ('MedicationStatement', 'medicationCodeableConcept', 'concept', false, NULL),
    ('MedicationStatement', 'medicationReference', 'reference', false, 'Medication'),
    ('MedicationStatement', 'subject', 'reference', true, 'Patient|Group'),
    ('MedicationStatement', 'effectiveDateTime', 'dateTime', false, NULL),
    ('MedicationStatement', 'effectivePeriod', 'object', false, NULL),
    ('MedicationStatement', 'dateAsserted', 'dateTime', false, NULL),
    ('MedicationStatement', 'informationSource', 'reference', false,
      'Patient|Practitioner|PractitionerRole|RelatedPerson|Organization'),
    ('MedicationStatement', 'derivedFrom', 'references', false, NULL),
    ('MedicationStatement', 'note', 'objects', false, NULL),
    ('MedicationStatement', 'dosage', 'objects', false, NULL),
    ('MedicationRequest', 'status', 'code', true,
      'active|on-hold|cancelled|completed|entered-in-error|stopped|draft|unknown'),
    ('MedicationRequest', 'intent', 'code', true,
      'proposal|plan|order|original-order|reflex-order|filler-order|instance-order|option'),
    ('MedicationRequest', 'category', 'concepts', false, NULL),
    ('MedicationRequest', 'priority', 'code', false, 'routine|urgent|asap|stat'),
    ('MedicationRequest', 'doNotPerform', 'boolean', false, NULL),
    ('MedicationRequest', 'reportedBoolean', 'boolean', false, NULL),
    ('MedicationRequest', 'medicationCodeableConcept', 'concept', false, NULL),
    ('MedicationRequest', 'medicationReference', 'reference', false, 'Medication'),
    ('MedicationRequest', 'subject', 'reference', true, 'Patient|Group'),
    ('MedicationRequest', 'authoredOn', 'dateTime', false, NULL),
    ('MedicationRequest', 'requester', 'reference', false,
      'Practitioner|PractitionerRole|Organization|Patient|RelatedPerson|Device'),
    ('MedicationRequest', 'supportingInformation', 'references', false, NULL),
    ('MedicationRequest', 'note', 'objects', false, NULL),
    ('MedicationRequest', 'dosageInstruction', 'objects', false, NULL),
    ('DocumentReference', 'status', 'code', true, 'current|superseded|entered-in-error'),
    ('DocumentReference', 'docStatus', 'code', false, 'preliminary|final|amended|entered-in-error'),
    ('DocumentReference', 'type', 'concept', false, NULL),
    ('DocumentReference', 'category', 'concepts', false, NULL),
    ('DocumentReference', 'subject', 'reference', false, 'Patient|Practitioner|Group|Device'),
    ('DocumentReference', 'date', 'instant', false, NULL),
    ('DocumentReference', 'description', 'string', false, NULL),
    ('DocumentReference', 'content', 'objects', true, NULL),
    ('Condition', 'clinicalStatus', 'concept', false, 'active|recurrence|relapse|inactive|remission|resolved'),
    ('Condition', 'verificationStatus', 'concept', false,
      'unconfirmed|provisional|differential|confirmed|refuted|entered-in-error'),
    ('Condition', 'category', 'concepts', false, NULL),
    ('Condition', 'severity', 'concept', false, NULL),
    ('Condition', 'code', 'concept', false, NULL),
    ('Condition', 'subject', 'reference', true, 'Patient|Group'),
    ('Condition', 'onsetDateTime', 'dateTime', false, NULL),
    ('Condition', 'abatementDateTime', 'dateTime', false, NULL),
    ('Condition', 'recordedDate', 'dateTime', false, NULL),
    ('Condition', 'evidence', 'objects', false, NULL),
    ('Condition', 'note', 'objects', false, NULL),
    ('AllergyIntolerance', 'clinicalStatus', 'concept', false, 'active|inactive|resolved'),
    ('AllergyIntolerance', 'verificationStatus', 'concept', false, 'unconfirmed|confirmed|refuted|entered-in-error'),
    ('AllergyIntolerance', 'type', 'code', false, 'allergy|intolerance'),
    ('AllergyIntolerance', 'category', 'codes', false, 'food|medication|environment|biologic'),
    ('AllergyIntolerance', 'criticality', 'code', false, 'low|high|unable-to-assess'),
    ('AllergyIntolerance', 'code', 'concept', false, NULL),
    ('AllergyIntolerance', 'patient', 'reference', true, 'Patient'),
    ('AllergyIntolerance', 'onsetDateTime', 'dateTime', false, NULL),
    ('AllergyIntolerance', 'recordedDate', 'dateTime', false, NULL),
    ('AllergyIntolerance', 'note', 'objects', false, NULL),
    ('AllergyIntolerance', 'reaction', 'objects', false, NULL),
    ('Consent', 'status', 'code', true, 'draft|proposed|active|rejected|inactive|entered-in-error'),
    ('Consent', 'scope', 'concept', true, NULL),
    ('Consent', 'category', 'concepts', true, NULL),
    ('Consent', 'patient', 'reference', false, 'Patient'),
    ('Consent', 'dateTime', 'dateTime', false, NULL),
    ('Consent', 'performer', 'references', false,
      'Organization|Patient|Practitioner|RelatedPerson|PractitionerRole'),
    ('Consent', 'policy', 'objects', false, NULL),
    ('Consent', 'policyRule', 'concept', false, NULL),
    ('Consent', 'provision', 'object', false, NULL),
    ('Bundle', 'type', 'code', true,
      'document|message|transaction|transaction-response|batch|batch-response|history|searchset|collection'),
    ('Bundle', 'timestamp', 'instant', false, NULL),
    ('Bundle', 'entry', 'objects', false, NULL)
  ) AS r (resource_type, element, kind, required, allowed)
  WHERE r.resource_type = p_resource_type
$$;
COMMENT ON FUNCTION public.fhir_element_rules(text) IS
  'What validate_fhir_resource asks of the elements of a type; no rows for a type it does not know.';

CREATE FUNCTION public.fhir_resource_issues(p_resource_type text, p_resource jsonb)
RETURNS TABLE (severity text, path text, code text, message text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.fhir_element_rules(p_resource_type)) THEN
    RETURN QUERY SELECT 'error', 'resourceType', 'not-supported', 'this type is not validated here';
    RETURN;
  ELSIF jsonb_typeof(p_resource) IS DISTINCT FROM 'object' THEN
    RETURN QUERY SELECT 'error', p_resource_type, 'structure', 'a resource is a JSON object';
    RETURN;
  ELSIF p_resource ->> 'resourceType' IS DISTINCT FROM p_resource_type THEN
    RETURN QUERY SELECT 'error', 'resourceType', 'value', 'resourceType is missing or another one';
    RETURN;
  END IF;

  -- Every element, wherever it is: FHIR JSON has nothing empty, references and dates have a shape.
  RETURN QUERY
  WITH RECURSIVE walk (path, key, value) AS (
    SELECT p_resource_type, p_resource_type, p_resource
    UNION ALL
    SELECT w.path || n.step, n.key, n.value FROM walk AS w CROSS JOIN LATERAL (
      SELECT '.' || o.key, o.key, o.value
      FROM jsonb_each(CASE WHEN jsonb_typeof(w.value) = 'object' THEN w.value ELSE '{}' END) AS o
      UNION ALL
      SELECT '[' || a.place - 1 || ']', w.key, a.value
      FROM jsonb_array_elements(CASE WHEN jsonb_typeof(w.value) = 'array' THEN w.value ELSE '[]' END)
        WITH ORDINALITY AS a (value, place)
    ) AS n (step, key, value)
    -- The resources of a Bundle are validated each on its own, below.
    WHERE NOT (p_resource_type = 'Bundle' AND w.key = 'resource')
  )
  SELECT 'error', left(w.path, 200), f.code, f.message FROM walk AS w CROSS JOIN LATERAL (
    SELECT 'value', 'null, empty object, empty array or blank string'
    WHERE w.value IN ('null', '{}', '[]') OR jsonb_typeof(w.value) = 'string' AND w.value #>> '{}' !~ '\S'
    UNION ALL
    SELECT 'value', 'a reference is Type/id, an absolute URL, a urn or a #fragment'
    WHERE w.key = 'reference' AND jsonb_typeof(w.value) = 'string' AND w.value #>> '{}' !~ '\S\s+\S'
      AND w.value #>> '{}' !~ ('^([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?'
        '|https?://\S+|urn:\S+|#\S*)$')
    UNION ALL
    SELECT 'value', 'a reference has no blanks'
    WHERE w.key = 'reference' AND jsonb_typeof(w.value) = 'string' AND w.value #>> '{}' ~ '\S\s+\S'
    UNION ALL
    SELECT 'invariant', 'per-1: a period does not end before it starts'
    WHERE w.key ~ 'eriod$' AND public.fhir_time(w.value ->> 'end') < public.fhir_time(w.value ->> 'start')
    UNION ALL
    SELECT 'invariant', 'qty-3: a unit''s code needs its system'
    WHERE w.key ~ 'Quantity$' AND w.value ? 'code' AND NOT w.value ? 'system'
    UNION ALL
    SELECT 'value', 'a system is an absolute URI'
    WHERE w.key = 'system' AND w.path !~ '\.telecom(\[[0-9]+\])?\.system$'
      AND (jsonb_typeof(w.value) <> 'string' OR w.value #>> '{}' !~ '^(https?://|urn:)\S+$')
  ) AS f (code, message);

  RETURN QUERY
  SELECT 'error', p_resource_type || '.' || r.element, f.code, f.message
  FROM public.fhir_element_rules(p_resource_type) AS r
  CROSS JOIN LATERAL (SELECT p_resource -> r.element, jsonb_typeof(p_resource -> r.element)) AS v (value, type)
  CROSS JOIN LATERAL (
    SELECT 'required', 'the element is required' WHERE r.required AND v.value IS NULL
    UNION ALL
    SELECT 'structure', 'expected ' || CASE r.kind WHEN 'concept' THEN 'a CodeableConcept' WHEN 'concepts'
      THEN 'an array of CodeableConcepts' WHEN 'reference' THEN 'a Reference' WHEN 'references'
      THEN 'an array of References' WHEN 'objects' THEN 'an array of objects' WHEN 'codes' THEN 'an array of codes'
      ELSE 'a FHIR ' || r.kind END
    WHERE v.value IS NOT NULL AND NOT CASE
      WHEN r.kind IN ('object', 'concept', 'reference') THEN v.type = 'object'
      WHEN r.kind IN ('objects', 'concepts', 'references') THEN v.type = 'array'
        AND NOT jsonb_path_exists(v.value, 'strict $[*] ? (@.type() != "object")')
      WHEN r.kind = 'codes' THEN v.type = 'array'
        AND NOT jsonb_path_exists(v.value, 'strict $[*] ? (@.type() != "string")')
      WHEN r.kind = 'boolean' THEN v.type = 'boolean'
      WHEN r.kind = 'integer' THEN v.type = 'number' AND v.value #>> '{}' ~ '^-?[0-9]{1,9}$'
      WHEN r.kind = 'date' THEN v.type = 'string' AND v.value #>> '{}' ~ '^[0-9]{4}(-(0[1-9]|1[0-2])(-[0-9]{2})?)?$'
        AND (length(v.value #>> '{}') < 10 OR public.fhir_time(v.value #>> '{}') IS NOT NULL)
      WHEN r.kind = 'dateTime' THEN v.type = 'string' AND (public.fhir_time(v.value #>> '{}') IS NOT NULL
        OR v.value #>> '{}' ~ '^[0-9]{4}(-(0[1-9]|1[0-2]))?$')
      WHEN r.kind = 'instant' THEN v.type = 'string' AND length(v.value #>> '{}') > 10
        AND public.fhir_time(v.value #>> '{}') IS NOT NULL
      WHEN r.kind = 'time'
        THEN v.type = 'string' AND v.value #>> '{}' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?$'
      ELSE v.type = 'string' END
    UNION ALL
    SELECT 'code-invalid', 'not in the value set: ' || replace(r.allowed, '|', ', ')
    WHERE r.kind IN ('code', 'codes', 'concept') AND r.allowed IS NOT NULL AND EXISTS (
      SELECT FROM jsonb_path_query(v.value, CASE r.kind WHEN 'code' THEN '$' WHEN 'codes' THEN '$[*]'
        ELSE '$.coding[*].code' END::jsonpath) AS given
      WHERE given #>> '{}' <> ALL (string_to_array(r.allowed, '|')))
    UNION ALL
    SELECT 'value', 'a CodeableConcept has a text or a coding with a code'
    WHERE r.kind IN ('concept', 'concepts')
      AND jsonb_path_exists(v.value, '$[*] ? (!exists(@.text) && !exists(@.coding[*].code))')
    UNION ALL
    SELECT 'value', 'a Reference has a reference, an identifier or a display'
    WHERE r.kind IN ('reference', 'references')
      AND jsonb_path_exists(v.value, '$[*] ? (!exists(@.reference) && !exists(@.identifier) && !exists(@.display))')
    UNION ALL
    SELECT 'value', 'may refer to: ' || replace(r.allowed, '|', ', ')
    WHERE r.kind IN ('reference', 'references') AND r.allowed IS NOT NULL AND EXISTS (
      SELECT FROM jsonb_path_query(v.value, '$[*].reference') AS given
      CROSS JOIN LATERAL (SELECT substring(given #>> '{}'
        FROM '(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/.*)?$')) AS t (type)
      WHERE t.type <> ALL (string_to_array(r.allowed, '|')))
  ) AS f (code, message);

  -- Rules between elements: each jsonpath finds what breaks the rule.
  RETURN QUERY
  SELECT r.severity, p_resource_type || r.element, r.code, r.message
  FROM (VALUES
    (NULL, 'error', '.id', 'value', '$.id ? (!(@ like_regex "^[A-Za-z0-9.-]{1,64}$"))',
      'an id has 1 to 64 letters, digits, hyphens and points'),
    (NULL, 'warning', '.coding', 'value', '$.**.coding[*] ? (exists(@.code) && !exists(@.system))',
      'a code without a system means nothing elsewhere'),
    ('Patient', 'error', '.identifier', 'required', '$.identifier[*] ? (!exists(@.value))',
      'an identifier has a value'),
    ('Patient', 'error', '.telecom', 'invariant', '$.telecom[*] ? (exists(@.value) && !exists(@.system))',
      'cpt-2: a system is required where there is a value'),
    ('Organization', 'error', '', 'invariant', '$ ? (!exists(@.name) && !exists(@.identifier))',
      'org-1: an organization has a name or an identifier'),
    ('Observation', 'error', '.dataAbsentReason', 'invariant',
      '$ ? (exists(@.dataAbsentReason) && exists(@.keyvalue() ? (@.key starts with "value")))',
      'obs-6: no dataAbsentReason beside a value'),
    ('Observation', 'error', '.component', 'required', '$.component[*] ? (!exists(@.code))', 'a component has a code'),
    ('Observation', 'error', '.referenceRange', 'invariant',
      '$.referenceRange[*] ? (!exists(@.low) && !exists(@.high) && !exists(@.text))',
      'obs-3: a reference range has low, high or text'),
    ('Observation', 'error', '.subject', 'required',
      '$ ? (exists(@.category[*].coding[*] ? (@.code == "vital-signs")) && !exists(@.subject))',
      'vital signs have a subject'),
    ('Observation', 'warning', '.value', 'incomplete', '$ ? (!exists(@.keyvalue() ? (@.key starts with "value"))
      && !exists(@.component) && !exists(@.hasMember) && !exists(@.dataAbsentReason))', 'neither a value nor a reason'),
    ('Observation', 'warning', '.valueQuantity', 'incomplete',
      '$.valueQuantity ? (exists(@.unit) && !exists(@.code))', 'a unit without a UCUM code'),
    ('MedicationStatement', 'error', '.medication', 'required',
      '$ ? (!exists(@.medicationCodeableConcept) && !exists(@.medicationReference))', 'medication[x] is required'),
    ('MedicationRequest', 'error', '.medication', 'required',
      '$ ? (!exists(@.medicationCodeableConcept) && !exists(@.medicationReference))', 'medication[x] is required'),
    ('DocumentReference', 'error', '.content', 'required', '$.content[*] ? (!exists(@.attachment))',
      'content has an attachment'),
    ('DocumentReference', 'error', '.content', 'invariant',
      '$.content[*].attachment ? (exists(@.data) && !exists(@.contentType))', 'att-1: data needs a contentType'),
    ('Condition', 'error', '.abatement', 'invariant', '$ ? (exists(@.keyvalue() ? (@.key starts with "abatement"))
      && exists(@.clinicalStatus.coding[*] ? (@.code == "active" || @.code == "recurrence" || @.code == "relapse")))',
      'con-4: an abated condition is inactive, in remission or resolved'),
    ('Condition', 'error', '.clinicalStatus', 'invariant', '$ ? (exists(@.clinicalStatus)
      && exists(@.verificationStatus.coding[*] ? (@.code == "entered-in-error")))',
      'con-5: no clinicalStatus where entered in error'),
    ('AllergyIntolerance', 'error', '.clinicalStatus', 'invariant', '$ ? (!exists(@.clinicalStatus)
      && !exists(@.verificationStatus.coding[*] ? (@.code == "entered-in-error")))',
      'ait-1: clinicalStatus is required unless entered in error'),
    ('AllergyIntolerance', 'error', '.clinicalStatus', 'invariant', '$ ? (exists(@.clinicalStatus)
      && exists(@.verificationStatus.coding[*] ? (@.code == "entered-in-error")))',
      'ait-2: no clinicalStatus where entered in error'),
    ('AllergyIntolerance', 'error', '.reaction', 'required', '$.reaction[*] ? (!exists(@.manifestation))',
      'a reaction has a manifestation'),
    ('AllergyIntolerance', 'error', '.reaction', 'code-invalid',
      '$.reaction[*].severity ? (!(@ like_regex "^(mild|moderate|severe)$"))',
      'not in the value set: mild, moderate, severe'),
    ('Consent', 'error', '.policy', 'invariant', '$ ? (!exists(@.policy) && !exists(@.policyRule))',
      'ppc-1: a consent has a policy or a policyRule'),
    ('Consent', 'error', '.patient', 'invariant',
      '$ ? (!exists(@.patient) && exists(@.scope.coding[*] ? (@.code == "patient-privacy")))',
      'ppc-2: a privacy consent has a patient'),
    ('Consent', 'error', '.scope', 'code-invalid', '$.scope.coding[*] ? (@.system ==
      "http://terminology.hl7.org/CodeSystem/consentscope"
      && !(@.code like_regex "^(adr|research|patient-privacy|treatment)$"))',
      'not in the code system: adr, research, patient-privacy, treatment'),
    ('Consent', 'error', '.category', 'code-invalid', '$.category[*].coding[*] ? (@.system ==
      "http://terminology.hl7.org/CodeSystem/consentcategorycodes"
      && !(@.code like_regex "^(acd|dnr|emrgonly|hcd|npp|polst|research|rsdid|rsreid)$"))',
      'not in the code system: acd, dnr, emrgonly, hcd, npp, polst, research, rsdid, rsreid'),
    ('Consent', 'error', '.provision', 'code-invalid', '$.provision.type ? (!(@ like_regex "^(permit|deny)$"))',
      'not in the value set: permit, deny'),
    ('Consent', 'error', '.provision.actor', 'required',
      '$.provision.actor[*] ? (!exists(@.role) || !exists(@.reference))', 'an actor has a role and a reference')
  ) AS r (resource_type, severity, element, code, breach, message)
  WHERE coalesce(r.resource_type, p_resource_type) = p_resource_type
    AND jsonb_path_exists(p_resource, r.breach::jsonpath, '{}', true);

  RETURN QUERY
  SELECT 'error', p_resource_type || '.' || c.name || '[x]', 'structure', 'only one of its types may be present'
  FROM jsonb_object_keys(p_resource) AS k
  CROSS JOIN LATERAL (SELECT substring(k FROM
    '^(value|effective|onset|abatement|medication|deceased|multipleBirth|reported|source)[A-Z]')) AS c (name)
  WHERE c.name IS NOT NULL GROUP BY c.name HAVING count(*) > 1;

  IF p_resource_type = 'Bundle' AND jsonb_typeof(p_resource -> 'entry') = 'array' THEN
    RETURN QUERY
    SELECT i.severity, left('Bundle.entry[' || e.place - 1 || ']: ' || i.path, 200), i.code, i.message
    FROM jsonb_array_elements(p_resource -> 'entry') WITH ORDINALITY AS e (entry, place)
    CROSS JOIN LATERAL public.fhir_resource_issues(e.entry #>> '{resource,resourceType}', e.entry -> 'resource') AS i
    WHERE e.entry ? 'resource';
  END IF;
END
$$;
COMMENT ON FUNCTION public.fhir_resource_issues(text, jsonb) IS
  'Everything wrong with a resource, as errors and warnings: path, FHIR issue type (R4, valueset-issue-type), '
  'sentence. No value of the resource is in it.';

-- Weights of the elements a reader needs; an Observation's value is any of value[x], component or dataAbsentReason.
CREATE FUNCTION public.fhir_completeness(p_resource_type text, p_resource jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT round(coalesce(sum(w.weight::numeric) FILTER (WHERE EXISTS (
    SELECT FROM jsonb_object_keys(CASE WHEN jsonb_typeof(p_resource) = 'object' THEN p_resource ELSE '{}' END) AS k
    WHERE k ~ ('^(' || w.elements || ')$') AND p_resource -> k NOT IN ('null', '{}', '[]', '""'))), 0)
    / sum(w.weight), 2)
  FROM (VALUES
    ('Patient', 'identifier', 5), ('Patient', 'name', 4), ('Patient', 'birthDate', 1), ('Patient', 'telecom', 1),
    ('Practitioner', 'name', 3), ('Practitioner', 'identifier', 1), ('Practitioner', 'qualification', 1),
    ('Organization', 'name', 3), ('Organization', 'identifier|telecom|address', 1),
    ('Observation', 'status', 1), ('Observation', 'code', 3), ('Observation', 'subject', 2),
    ('Observation', 'value[A-Z].*|component|dataAbsentReason|hasMember', 3), ('Observation', 'effective[A-Z].*', 2),
    ('Observation', 'category', 1),
    ('MedicationStatement', 'status', 1), ('MedicationStatement', 'medication[A-Z].*', 3),
    ('MedicationStatement', 'subject', 2), ('MedicationStatement', 'effective[A-Z].*', 1),
    ('MedicationStatement', 'dosage', 2),
    ('MedicationRequest', 'status', 1), ('MedicationRequest', 'intent', 1),
    ('MedicationRequest', 'medication[A-Z].*', 3), ('MedicationRequest', 'subject', 2),
    ('MedicationRequest', 'dosageInstruction', 2), ('MedicationRequest', 'requester', 1),
    ('DocumentReference', 'status', 1), ('DocumentReference', 'content', 3), ('DocumentReference', 'subject', 2),
    ('DocumentReference', 'type', 1), ('DocumentReference', 'date', 1),
    ('Condition', 'code', 3), ('Condition', 'subject', 2), ('Condition', 'clinicalStatus|verificationStatus', 2),
    ('Condition', 'onset[A-Z].*|recordedDate|extension', 1),
    ('AllergyIntolerance', 'code', 3), ('AllergyIntolerance', 'patient', 2),
    ('AllergyIntolerance', 'clinicalStatus', 2), ('AllergyIntolerance', 'criticality|reaction', 1),
    ('Consent', 'status', 1), ('Consent', 'scope', 1), ('Consent', 'category', 1), ('Consent', 'patient', 2),
    ('Consent', 'policy|policyRule', 1), ('Consent', 'provision', 2), ('Consent', 'dateTime', 1),
    ('Bundle', 'type', 1), ('Bundle', 'entry', 3)
  ) AS w (resource_type, elements, weight)
  WHERE w.resource_type = p_resource_type
$$;
COMMENT ON FUNCTION public.fhir_completeness(text, jsonb) IS
  'Share of the elements that a reader of this type needs, weighted, 0 to 1; NULL for a type not known here.';

CREATE FUNCTION public.validate_fhir_resource(p_resource_type text, p_resource jsonb, p_source_system text)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_id uuid;
  v_fhir_id text := CASE WHEN jsonb_typeof(p_resource -> 'id') = 'string' THEN left(p_resource ->> 'id', 64) END;
  v_patient text := CASE WHEN p_resource_type = 'Patient' THEN v_fhir_id ELSE substring(
    coalesce(p_resource #>> '{subject,reference}', p_resource #>> '{patient,reference}')
    FROM '(?:^|/)Patient/([A-Za-z0-9.-]{1,64})$') END;
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side validates resources';
  END IF;
  INSERT INTO public.fhir_validation_results (resource_type, resource_id, source_system, guardian_patient_id, is_valid,
    validation_errors, validation_warnings, validation_profile, completeness_score, consistency_score, mapping_status,
    guardian_resource_id)
  SELECT left(p_resource_type, 64), v_fhir_id, left(p_source_system, 200), m.patient_id, i.errors = '[]', i.errors,
    i.warnings, 'http://hl7.org/fhir/StructureDefinition/' || left(p_resource_type, 64),
    public.fhir_completeness(p_resource_type, p_resource), greatest(0, 1 - i.broken * 0.1),
    CASE WHEN i.errors <> '[]' THEN 'failed' WHEN m.id IS NOT NULL THEN 'mapped' ELSE 'pending' END, m.id
  FROM (
    SELECT coalesce(jsonb_agg(x.issue ORDER BY x.path, x.message) FILTER (WHERE x.severity = 'error'), '[]') AS errors,
      coalesce(jsonb_agg(x.issue ORDER BY x.path, x.message) FILTER (WHERE x.severity = 'warning'), '[]') AS warnings,
      count(*) FILTER (WHERE x.code = 'invariant') AS broken
    FROM (SELECT f.*, jsonb_build_object('path', f.path, 'code', f.code, 'message', f.message) AS issue
      FROM public.fhir_resource_issues(p_resource_type, p_resource) AS f) AS x
  ) AS i
  LEFT JOIN LATERAL (
    SELECT p.id, p.guardian_user_id AS patient_id FROM public.fhir_patient_mappings AS p
      WHERE p_resource_type = 'Patient' AND p.fhir_patient_id = v_fhir_id AND p.source_system = p_source_system
    UNION ALL SELECT o.id, o.guardian_patient_id FROM public.fhir_observations AS o
      WHERE p_resource_type = 'Observation' AND o.fhir_observation_id = v_fhir_id AND o.source_system = p_source_system
    UNION ALL SELECT r.id, r.guardian_patient_id FROM public.fhir_medication_requests AS r
      WHERE p_resource_type = 'MedicationRequest' AND r.fhir_request_id = v_fhir_id
        AND r.source_system = p_source_system
    UNION ALL SELECT d.id, d.guardian_patient_id FROM public.fhir_document_references AS d
      WHERE p_resource_type = 'DocumentReference' AND d.fhir_document_id = v_fhir_id
        AND d.source_system = p_source_system
    UNION ALL SELECT NULL, p.guardian_user_id FROM public.fhir_patient_mappings AS p
      WHERE p_resource_type <> 'Patient' AND p.fhir_patient_id = v_patient AND p.source_system = p_source_system
    UNION ALL SELECT NULL, u.id FROM auth.users AS u
      WHERE p_source_system = 'guardian'
        AND u.id = CASE WHEN v_patient ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN v_patient::uuid END
    LIMIT 1
  ) AS m ON true
  RETURNING id INTO v_id;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.validate_fhir_resource(text, jsonb, text) IS
  'Validates a resource of a source system against R4 as far as fhir_element_rules goes, and stores the result; its '
  'id. A resource that is not valid is a result, not an error.';

CREATE FUNCTION public.run_fhir_test_cases()
RETURNS TABLE (test_name text, passed boolean, found_errors text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT t.test_name, (f.paths = '{}') = t.expected_valid AND f.paths @> t.expected_errors, f.paths
  FROM public.fhir_test_cases AS t
  CROSS JOIN LATERAL (SELECT ARRAY(SELECT DISTINCT i.path
    FROM public.fhir_resource_issues(t.resource_type, t.test_data) AS i
    WHERE i.severity = 'error' ORDER BY 1)) AS f (paths)
  WHERE t.is_active AND public.caller_is_operator() ORDER BY t.test_name
$$;
COMMENT ON FUNCTION public.run_fhir_test_cases() IS 'Runs fhir_test_cases through the validator; for operators.';

---------------------------------------------------------------------------------------------------------- 5 import
-- Nothing here writes to auth.users or to a v6 table. Whom a Patient is, is said by the caller or was said before; an
-- e-mail address, a name or an identifier inside the resource proves nothing.

CREATE FUNCTION public.require_valid_fhir(p_resource_type text, p_resource jsonb, p_source_system text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_errors text;
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side imports resources';
  ELSIF coalesce(p_source_system, 'guardian') = 'guardian' THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = 'p_source_system names the system it came from, and not guardian';
  END IF;
  SELECT string_agg(DISTINCT format('%s: %s', i.path, i.message), '; ') INTO v_errors
  FROM public.fhir_resource_issues(p_resource_type, p_resource) AS i WHERE i.severity = 'error';
  IF v_errors IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('the %s is not valid: %s', p_resource_type, left(v_errors, 1000));
  ELSIF p_resource -> 'id' IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('the %s has no id, by which it would be known again', p_resource_type);
  END IF;
END
$$;
COMMENT ON FUNCTION public.require_valid_fhir(text, jsonb, text) IS
  'Refuses a caller who may not import, and a resource that is not valid, naming elements and no values.';

CREATE FUNCTION public.fhir_to_guardian_patient(p_resource jsonb, p_source_system text, p_user_id uuid DEFAULT NULL)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid;
  v_id uuid;
BEGIN
  PERFORM public.require_valid_fhir('Patient', p_resource, p_source_system);
  SELECT m.guardian_user_id INTO v_user FROM public.fhir_patient_mappings AS m
  WHERE m.fhir_patient_id = p_resource ->> 'id' AND m.source_system = p_source_system;
  IF coalesce(v_user, p_user_id) IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'this Patient is linked to no account',
      HINT = 'Give p_user_id once, after the account''s owner has proved that he is this Patient.';
  ELSIF v_user <> p_user_id THEN
    RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'this Patient is linked to another account';
  ELSIF v_user IS NULL AND NOT EXISTS (SELECT FROM auth.users AS u WHERE u.id = p_user_id) THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'there is no such account';
  END IF;
  INSERT INTO public.fhir_patient_mappings
    (guardian_user_id, fhir_patient_id, source_system, resource, birth_date, deceased_datetime)
  VALUES (coalesce(v_user, p_user_id), p_resource ->> 'id', p_source_system, p_resource,
    (public.fhir_time(p_resource ->> 'birthDate') AT TIME ZONE 'UTC')::date,
    public.fhir_time(p_resource ->> 'deceasedDateTime'))
  ON CONFLICT (fhir_patient_id, source_system) DO UPDATE SET resource = excluded.resource,
    birth_date = excluded.birth_date, deceased_datetime = excluded.deceased_datetime, last_sync = now(),
    sync_status = 'active', sync_errors = NULL
  -- Two first imports at once: the one that comes second must not change whom the other linked.
  WHERE fhir_patient_mappings.guardian_user_id = excluded.guardian_user_id
  RETURNING id, guardian_user_id INTO v_id, v_user;
  IF v_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'this Patient is linked to another account';
  END IF;
  PERFORM public.write_audit_log('public.fhir_patient_mappings', v_id::text, 'IMPORT', NULL);
  RETURN v_user;
END
$$;
COMMENT ON FUNCTION public.fhir_to_guardian_patient(jsonb, text, uuid) IS
  'Stores the Patient of another system as the mapping of an account, and returns the account. It never makes nor '
  'changes an account: the first time the caller names it by p_user_id, afterwards the mapping does. For the server '
  'side.';

-- patient_lab_results demands a source document, which an import has not: the Observation stays in fhir_observations.
CREATE FUNCTION public.fhir_to_guardian_observation(p_resource jsonb, p_source_system text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_patient uuid;
  v_id uuid;
BEGIN
  PERFORM public.require_valid_fhir('Observation', p_resource, p_source_system);
  SELECT m.guardian_user_id INTO v_patient FROM public.fhir_patient_mappings AS m
  WHERE m.source_system = p_source_system AND m.fhir_patient_id =
    substring(p_resource #>> '{subject,reference}' FROM '(?:^|/)Patient/([A-Za-z0-9.-]{1,64})$');
  IF v_patient IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002',
      MESSAGE = 'the subject is no Patient of this source that is linked to an account',
      HINT = 'Import the Patient first, by fhir_to_guardian_patient.';
  END IF;
  INSERT INTO public.fhir_observations (guardian_patient_id, fhir_observation_id, source_system, resource,
    effective_datetime, effective_instant, issued, value_datetime)
  VALUES (v_patient, p_resource ->> 'id', p_source_system, p_resource,
    public.fhir_time(p_resource ->> 'effectiveDateTime'), public.fhir_time(p_resource ->> 'effectiveInstant'),
    public.fhir_time(p_resource ->> 'issued'), public.fhir_time(p_resource ->> 'valueDateTime'))
  ON CONFLICT (fhir_observation_id, source_system) DO UPDATE SET resource = excluded.resource,
    effective_datetime = excluded.effective_datetime, effective_instant = excluded.effective_instant,
    issued = excluded.issued, value_datetime = excluded.value_datetime, last_sync = now(), sync_status = 'active',
    sync_errors = NULL
  WHERE fhir_observations.guardian_patient_id = excluded.guardian_patient_id
  RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'this Observation is another patient''s';
  END IF;
  PERFORM public.write_audit_log('public.fhir_observations', v_id::text, 'IMPORT', NULL);
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION public.fhir_to_guardian_observation(jsonb, text) IS
  'Stores an Observation of another system, of whatever category and value type, and returns its row of '
  'fhir_observations. Its subject must be a Patient imported before. For the server side.';

---------------------------------------------------------------------------------------------------------- 6 refresh
-- source_version is compared for being another, not a later one: v6's updated_at is the start of a transaction, so a
-- row may become visible long after a refresh with a time before it. Only rows that differ are built. Custom plans,
-- because one for all patients is no plan for a single one.
CREATE FUNCTION public.refresh_fhir_mappings(p_patient_id uuid DEFAULT NULL, p_limit integer DEFAULT NULL)
RETURNS TABLE (mapping text, written bigint, removed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = 'force_custom_plan' AS $$
DECLARE
  v_written bigint;
  v_removed bigint;
  v_consents uuid[];
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side refreshes the mappings';
  END IF;
  -- Two refreshes at once would build the same rows and wait for each other's keys.
  PERFORM pg_advisory_xact_lock(3, 'public.fhir_patient_mappings'::regclass::oid::integer);

  EXECUTE format($q$
    INSERT INTO public.fhir_patient_mappings
      (guardian_user_id, fhir_patient_id, source_system, resource, birth_date, source_version)
    SELECT b.patient_id, b.patient_id, 'guardian', b.resource, (b.resource ->> 'birthDate')::date, b.source_version
    FROM (%s %s) AS b
    LEFT JOIN public.fhir_patient_mappings AS m
      ON m.fhir_patient_id = b.patient_id::text AND m.source_system = 'guardian'
    WHERE m.source_version IS DISTINCT FROM b.source_version
    LIMIT $2
    ON CONFLICT (fhir_patient_id, source_system) DO UPDATE SET resource = excluded.resource,
      birth_date = excluded.birth_date, source_version = excluded.source_version, last_sync = now(),
      sync_status = 'active', sync_errors = NULL
    $q$, public.fhir_patient_query(), CASE WHEN p_patient_id IS NOT NULL THEN 'WHERE u.id = $1' END)
  USING p_patient_id, p_limit;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN QUERY SELECT 'fhir_patient_mappings', v_written, 0::bigint; -- a deleted account takes its row with it

  DELETE FROM public.fhir_observations AS m
  WHERE m.source_system = 'guardian' AND (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_lab_observations AS b
      WHERE b.fhir_id = m.fhir_observation_id AND b.patient_id = m.guardian_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_vital_observations AS b
      WHERE b.fhir_id = m.fhir_observation_id AND b.patient_id = m.guardian_patient_id);
  GET DIAGNOSTICS v_removed = ROW_COUNT;
  INSERT INTO public.fhir_observations (guardian_patient_id, fhir_observation_id, source_system, resource,
    effective_datetime, guardian_lab_result_id, guardian_vital_id, source_version)
  SELECT b.patient_id, b.fhir_id, 'guardian', b.resource, b.effective_date::timestamp AT TIME ZONE 'UTC', b.lab_id,
    b.vital_id, b.source_version
  FROM (
    SELECT l.patient_id, l.fhir_id, l.resource, l.effective_date, l.source_id AS lab_id, NULL::uuid AS vital_id,
      l.source_version FROM public.guardian_fhir_lab_observations AS l
    UNION ALL
    SELECT v.patient_id, v.fhir_id, v.resource, v.effective_date, NULL, v.source_id, v.source_version
      FROM public.guardian_fhir_vital_observations AS v
  ) AS b
  LEFT JOIN public.fhir_observations AS m ON m.fhir_observation_id = b.fhir_id AND m.source_system = 'guardian'
  WHERE m.source_version IS DISTINCT FROM b.source_version AND (p_patient_id IS NULL OR b.patient_id = p_patient_id)
  LIMIT p_limit
  ON CONFLICT (fhir_observation_id, source_system) DO UPDATE SET resource = excluded.resource,
    effective_datetime = excluded.effective_datetime, source_version = excluded.source_version, last_sync = now(),
    sync_status = 'active', sync_errors = NULL;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN QUERY SELECT 'fhir_observations', v_written, v_removed;

  DELETE FROM public.fhir_medication_requests AS m
  WHERE m.source_system = 'guardian' AND (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_medication_requests AS b
      WHERE b.source_id = m.guardian_medication_id AND b.patient_id = m.guardian_patient_id);
  GET DIAGNOSTICS v_removed = ROW_COUNT;
  INSERT INTO public.fhir_medication_requests (guardian_patient_id, fhir_request_id, source_system, resource,
    authored_on, guardian_medication_id, source_version)
  SELECT b.patient_id, b.fhir_id, 'guardian', b.resource, b.start_date::timestamp AT TIME ZONE 'UTC', b.source_id,
    b.source_version
  FROM public.guardian_fhir_medication_requests AS b
  LEFT JOIN public.fhir_medication_requests AS m ON m.fhir_request_id = b.fhir_id AND m.source_system = 'guardian'
  WHERE m.source_version IS DISTINCT FROM b.source_version AND (p_patient_id IS NULL OR b.patient_id = p_patient_id)
  LIMIT p_limit
  ON CONFLICT (fhir_request_id, source_system) DO UPDATE SET resource = excluded.resource,
    authored_on = excluded.authored_on, source_version = excluded.source_version, last_sync = now(),
    sync_status = 'active', sync_errors = NULL;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN QUERY SELECT 'fhir_medication_requests', v_written, v_removed;

  DELETE FROM public.fhir_document_references AS m
  WHERE m.source_system = 'guardian' AND (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
    AND NOT EXISTS (SELECT FROM public.guardian_fhir_document_references AS b
      WHERE b.source_id = m.guardian_document_id AND b.patient_id = m.guardian_patient_id);
  GET DIAGNOSTICS v_removed = ROW_COUNT;
  INSERT INTO public.fhir_document_references (guardian_patient_id, fhir_document_id, source_system, resource, date,
    guardian_document_id, source_version)
  SELECT b.patient_id, b.fhir_id, 'guardian', b.resource, b.created_at, b.source_id, b.source_version
  FROM public.guardian_fhir_document_references AS b
  LEFT JOIN public.fhir_document_references AS m ON m.fhir_document_id = b.fhir_id AND m.source_system = 'guardian'
  WHERE m.source_version IS DISTINCT FROM b.source_version AND (p_patient_id IS NULL OR b.patient_id = p_patient_id)
  LIMIT p_limit
  ON CONFLICT (fhir_document_id, source_system) DO UPDATE SET resource = excluded.resource, date = excluded.date,
    source_version = excluded.source_version, last_sync = now(), sync_status = 'active', sync_errors = NULL;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN QUERY SELECT 'fhir_document_references', v_written, v_removed;

  v_removed := 0;
  IF to_regclass('public.patient_consents') IS NOT NULL THEN
    DELETE FROM public.consent_fhir_mappings AS m
    WHERE (p_patient_id IS NULL OR m.guardian_patient_id = p_patient_id)
      AND NOT EXISTS (SELECT FROM public.patient_consents AS c WHERE c.id = m.consent_id);
    GET DIAGNOSTICS v_removed = ROW_COUNT;
    -- A consent also changes by time alone: at its end.
    v_consents := ARRAY(
      SELECT c.id FROM public.patient_consents AS c
      LEFT JOIN public.consent_fhir_mappings AS m ON m.consent_id = c.id
      WHERE (p_patient_id IS NULL OR c.patient_id = p_patient_id) AND (m.id IS NULL
        OR m.source_version NOT LIKE '1 % ' || extract(epoch FROM c.updated_at)
        OR m.fhir_status = 'active' AND c.valid_until <= now())
      LIMIT p_limit);
  END IF;
  INSERT INTO public.consent_fhir_mappings
    (consent_id, guardian_patient_id, fhir_resource_id, resource, source_version)
  SELECT b.consent_id, b.patient_id, b.consent_id, b.resource, b.source_version
  FROM public.guardian_fhir_consents(NULL, coalesce(v_consents, '{}')) AS b
  ON CONFLICT (consent_id) DO UPDATE SET resource = excluded.resource, source_version = excluded.source_version,
    last_fhir_sync = now(), fhir_sync_status = 'pending', fhir_sync_errors = NULL;
  GET DIAGNOSTICS v_written = ROW_COUNT;
  RETURN QUERY SELECT 'consent_fhir_mappings', v_written, v_removed;
END
$$;
COMMENT ON FUNCTION public.refresh_fhir_mappings(uuid, integer) IS
  'Brings the mapping rows built from Guardian''s own data up to date, of one patient or of all, at most p_limit '
  'written a table: call again until nothing is written. Says what it wrote and removed. For the server side.';

-------------------------------------------------------------------------------------------------------- 7 endpoints
-- No role reads the two tables. Operators write them, the server side gets what it needs for one call, and secrets are
-- ciphertext on the way in and out.
CREATE FUNCTION public.save_fhir_endpoint(p_system_name text, p_base_url text, p_auth_type text,
  p_settings jsonb DEFAULT '{}')
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row public.fhir_endpoints%ROWTYPE;
  c_known constant text[] := ARRAY['auth_config', 'supported_resources', 'supported_operations', 'sync_enabled',
    'sync_frequency_minutes', 'rate_limit_requests', 'rate_limit_window_minutes'];
BEGIN
  IF NOT public.caller_is_operator() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only operators change endpoints';
  ELSIF jsonb_typeof(p_settings) IS DISTINCT FROM 'object' OR p_settings - c_known <> '{}' THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = 'p_settings is an object with some of: ' || array_to_string(c_known, ', ');
  END IF;
  INSERT INTO public.fhir_endpoints (system_name, base_url, auth_type) VALUES (p_system_name, p_base_url, p_auth_type)
  ON CONFLICT (system_name) DO UPDATE SET base_url = excluded.base_url, auth_type = excluded.auth_type
  RETURNING * INTO v_row;
  v_row := jsonb_populate_record(v_row, p_settings);
  UPDATE public.fhir_endpoints AS e SET auth_config = v_row.auth_config,
    supported_resources = v_row.supported_resources, supported_operations = v_row.supported_operations,
    sync_enabled = v_row.sync_enabled, sync_frequency_minutes = v_row.sync_frequency_minutes,
    rate_limit_requests = v_row.rate_limit_requests, rate_limit_window_minutes = v_row.rate_limit_window_minutes
  WHERE e.id = v_row.id AND p_settings <> '{}';
  RETURN v_row.id;
END
$$;
COMMENT ON FUNCTION public.save_fhir_endpoint(text, text, text, jsonb) IS
  'Makes or changes the endpoint of that name and returns its id; settings not given stay. For operators.';

CREATE FUNCTION public.save_fhir_oauth_config(p_system_name text, p_authorization_url text, p_token_url text,
  p_client_id text, p_client_secret text DEFAULT NULL, p_scope text DEFAULT 'patient/*.read',
  p_launch_url text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_endpoint uuid := (SELECT e.id FROM public.fhir_endpoints AS e WHERE e.system_name = p_system_name);
BEGIN
  IF NOT public.caller_is_operator() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only operators change endpoints';
  ELSIF v_endpoint IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'there is no endpoint of that name';
  END IF;
  INSERT INTO public.fhir_oauth_configs
    (endpoint_id, authorization_url, token_url, client_id, client_secret, scope, smart_enabled, launch_url)
  VALUES (v_endpoint, p_authorization_url, p_token_url, p_client_id, p_client_secret, p_scope,
    p_launch_url IS NOT NULL, p_launch_url)
  ON CONFLICT (endpoint_id) DO UPDATE SET authorization_url = excluded.authorization_url,
    token_url = excluded.token_url, client_id = excluded.client_id,
    client_secret = coalesce(excluded.client_secret, fhir_oauth_configs.client_secret), scope = excluded.scope,
    smart_enabled = excluded.smart_enabled, launch_url = excluded.launch_url;
END
$$;
COMMENT ON FUNCTION public.save_fhir_oauth_config(text, text, text, text, text, text, text) IS
  'Sets how Guardian authorises itself at an endpoint; without p_client_secret (a JWE) the old one stays. Operators.';

CREATE FUNCTION public.store_fhir_tokens(p_system_name text, p_access_token text, p_refresh_token text,
  p_expires_at timestamptz)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side stores tokens';
  END IF;
  UPDATE public.fhir_oauth_configs AS o SET access_token = p_access_token,
    refresh_token = coalesce(p_refresh_token, o.refresh_token), token_expires_at = p_expires_at
  FROM public.fhir_endpoints AS e WHERE e.id = o.endpoint_id AND e.system_name = p_system_name;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.store_fhir_tokens(text, text, text, timestamptz) IS
  'The server side keeps the tokens (JWE) an endpoint gave it; false if there is no such configuration.';

CREATE FUNCTION public.fhir_connection(p_system_name text)
RETURNS TABLE (endpoint_id uuid, base_url text, auth_type text, auth_config jsonb, authorization_url text,
  token_url text, client_id text, client_secret text, scope text, access_token text, refresh_token text,
  token_expires_at timestamptz, rate_limit_requests integer, rate_limit_window_minutes integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT e.id, e.base_url, e.auth_type, e.auth_config, o.authorization_url, o.token_url, o.client_id, o.client_secret,
    o.scope, o.access_token, o.refresh_token, o.token_expires_at, e.rate_limit_requests, e.rate_limit_window_minutes
  FROM public.fhir_endpoints AS e LEFT JOIN public.fhir_oauth_configs AS o ON o.endpoint_id = e.id
  WHERE e.system_name = p_system_name AND e.sync_enabled AND public.caller_is_trusted()
$$;
COMMENT ON FUNCTION public.fhir_connection(text) IS
  'What the server side needs to call an enabled endpoint; secrets are JWEs, and their key is the caller''s.';

CREATE FUNCTION public.fhir_endpoint_status()
RETURNS TABLE (system_name text, base_url text, auth_type text, sync_enabled boolean, sync_frequency_minutes integer,
  last_sync timestamptz, has_secret boolean, token_expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT e.system_name, e.base_url, e.auth_type, e.sync_enabled, e.sync_frequency_minutes, e.last_sync,
    o.client_secret IS NOT NULL, o.token_expires_at
  FROM public.fhir_endpoints AS e LEFT JOIN public.fhir_oauth_configs AS o ON o.endpoint_id = e.id
  WHERE public.caller_is_operator() ORDER BY e.system_name
$$;
COMMENT ON FUNCTION public.fhir_endpoint_status() IS 'The endpoints without their secrets. For operators.';

--------------------------------------------------------------------------------------------------------- 8 triggers
CREATE FUNCTION public.hl7_conversion_patient() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_RELID = 'public.hl7_messages'::regclass THEN
    UPDATE public.hl7_to_fhir_conversions AS c SET guardian_patient_id = NEW.guardian_patient_id
    WHERE c.hl7_message_id = NEW.id;
    RETURN NULL;
  END IF;
  NEW.guardian_patient_id :=
    (SELECT m.guardian_patient_id FROM public.hl7_messages AS m WHERE m.id = NEW.hl7_message_id);
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.hl7_conversion_patient() IS
  'Trigger: a conversion is about the patient of its message, also when that becomes known later.';

CREATE TRIGGER hl7_messages_patient AFTER UPDATE OF guardian_patient_id ON public.hl7_messages
  FOR EACH ROW WHEN (OLD.guardian_patient_id IS DISTINCT FROM NEW.guardian_patient_id)
  EXECUTE FUNCTION public.hl7_conversion_patient();
CREATE TRIGGER hl7_to_fhir_conversions_patient BEFORE INSERT OR UPDATE ON public.hl7_to_fhir_conversions
  FOR EACH ROW EXECUTE FUNCTION public.hl7_conversion_patient();

CREATE TRIGGER fhir_patient_mappings_updated_at BEFORE UPDATE ON public.fhir_patient_mappings
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_observations_updated_at BEFORE UPDATE ON public.fhir_observations
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_medication_requests_updated_at BEFORE UPDATE ON public.fhir_medication_requests
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_document_references_updated_at BEFORE UPDATE ON public.fhir_document_references
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER consent_fhir_mappings_updated_at BEFORE UPDATE ON public.consent_fhir_mappings
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_endpoints_updated_at BEFORE UPDATE ON public.fhir_endpoints
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_oauth_configs_updated_at BEFORE UPDATE ON public.fhir_oauth_configs
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_sync_jobs_updated_at BEFORE UPDATE ON public.fhir_sync_jobs
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_test_cases_updated_at BEFORE UPDATE ON public.fhir_test_cases
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER legacy_system_mappings_updated_at BEFORE UPDATE ON public.legacy_system_mappings
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER legacy_import_jobs_updated_at BEFORE UPDATE ON public.legacy_import_jobs
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER fhir_endpoints_audit AFTER INSERT OR UPDATE OR DELETE ON public.fhir_endpoints
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER fhir_oauth_configs_audit AFTER INSERT OR UPDATE OR DELETE ON public.fhir_oauth_configs
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER fhir_api_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.fhir_api_audit
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');

------------------------------------------------------------------------------------------ 9 row security and rights
ALTER TABLE public.fhir_patient_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_observations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_medication_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_document_references ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.consent_fhir_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_oauth_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_sync_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_validation_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_api_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_test_cases ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.hl7_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.hl7_to_fhir_conversions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.legacy_system_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.legacy_import_jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY fhir_patient_mappings_own ON public.fhir_patient_mappings FOR SELECT TO authenticated
  USING (guardian_user_id = (SELECT auth.uid()));
CREATE POLICY fhir_patient_mappings_service ON public.fhir_patient_mappings FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_observations_own ON public.fhir_observations FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY fhir_observations_service ON public.fhir_observations FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_medication_requests_own ON public.fhir_medication_requests FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY fhir_medication_requests_service ON public.fhir_medication_requests FOR SELECT TO service_role
  USING (true);
CREATE POLICY fhir_document_references_own ON public.fhir_document_references FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY fhir_document_references_service ON public.fhir_document_references FOR SELECT TO service_role
  USING (true);
CREATE POLICY consent_fhir_mappings_own ON public.consent_fhir_mappings FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY consent_fhir_mappings_service ON public.consent_fhir_mappings FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_sync_jobs_read ON public.fhir_sync_jobs FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_sync_jobs_insert ON public.fhir_sync_jobs FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY fhir_sync_jobs_update ON public.fhir_sync_jobs FOR UPDATE TO service_role USING (true) WITH CHECK (true);
CREATE POLICY fhir_validation_results_service ON public.fhir_validation_results FOR SELECT TO service_role
  USING (true);
CREATE POLICY fhir_api_audit_read ON public.fhir_api_audit FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_api_audit_write ON public.fhir_api_audit FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY fhir_test_cases_service ON public.fhir_test_cases FOR SELECT TO service_role USING (true);
CREATE POLICY hl7_messages_read ON public.hl7_messages FOR SELECT TO service_role USING (true);
CREATE POLICY hl7_messages_insert ON public.hl7_messages FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY hl7_messages_update ON public.hl7_messages FOR UPDATE TO service_role USING (true) WITH CHECK (true);
CREATE POLICY hl7_to_fhir_conversions_read ON public.hl7_to_fhir_conversions FOR SELECT TO service_role USING (true);
CREATE POLICY hl7_to_fhir_conversions_insert ON public.hl7_to_fhir_conversions FOR INSERT TO service_role
  WITH CHECK (true);
CREATE POLICY hl7_to_fhir_conversions_update ON public.hl7_to_fhir_conversions FOR UPDATE TO service_role
  USING (true) WITH CHECK (true);
CREATE POLICY legacy_system_mappings_service ON public.legacy_system_mappings FOR SELECT TO service_role USING (true);
CREATE POLICY legacy_import_jobs_read ON public.legacy_import_jobs FOR SELECT TO service_role USING (true);
CREATE POLICY legacy_import_jobs_insert ON public.legacy_import_jobs FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY legacy_import_jobs_update ON public.legacy_import_jobs FOR UPDATE TO service_role
  USING (true) WITH CHECK (true);

REVOKE ALL ON public.fhir_patient_mappings, public.fhir_observations, public.fhir_medication_requests,
  public.fhir_document_references, public.consent_fhir_mappings, public.fhir_endpoints, public.fhir_oauth_configs,
  public.fhir_sync_jobs, public.fhir_validation_results, public.fhir_api_audit, public.fhir_test_cases,
  public.hl7_messages, public.hl7_to_fhir_conversions, public.legacy_system_mappings, public.legacy_import_jobs,
  public.fhir_performance_metrics, public.guardian_fhir_lab_observations, public.guardian_fhir_vital_observations,
  public.guardian_fhir_medication_statements, public.guardian_fhir_medication_requests,
  public.guardian_fhir_document_references, public.guardian_fhir_conditions,
  public.guardian_fhir_allergy_intolerances, public.guardian_fhir_practitioners, public.guardian_fhir_resources
  FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.fhir_patient_mappings, public.fhir_observations, public.fhir_medication_requests,
  public.fhir_document_references, public.consent_fhir_mappings, public.guardian_fhir_lab_observations,
  public.guardian_fhir_vital_observations, public.guardian_fhir_medication_statements,
  public.guardian_fhir_medication_requests, public.guardian_fhir_document_references, public.guardian_fhir_conditions,
  public.guardian_fhir_allergy_intolerances, public.guardian_fhir_practitioners, public.guardian_fhir_resources
  TO authenticated, service_role;
GRANT SELECT ON public.fhir_validation_results, public.fhir_api_audit, public.fhir_test_cases,
  public.legacy_system_mappings, public.fhir_performance_metrics TO service_role;
GRANT SELECT, INSERT, UPDATE ON public.fhir_sync_jobs, public.hl7_messages, public.hl7_to_fhir_conversions,
  public.legacy_import_jobs TO service_role;
GRANT INSERT (endpoint_id, operation, resource_type, resource_id, request_url, response_status, response_time_ms,
  data_transferred_bytes, guardian_user_id) ON public.fhir_api_audit TO service_role;

REVOKE ALL ON FUNCTION public.fhir_text(text), public.fhir_blood_pressure(numeric, numeric),
  public.fhir_patient_query(), public.guardian_fhir_patients(uuid[]), public.guardian_to_fhir_patient(uuid),
  public.guardian_to_fhir_observation(uuid), public.guardian_to_fhir_vital_observations(uuid),
  public.guardian_to_fhir_medication_statement(uuid), public.guardian_to_fhir_medication_request(uuid),
  public.guardian_to_fhir_document_reference(uuid), public.guardian_to_fhir_condition(uuid),
  public.guardian_to_fhir_allergy_intolerance(uuid), public.guardian_to_fhir_practitioner(uuid),
  public.guardian_fhir_consents(uuid, uuid[]), public.generate_fhir_consent_resource(uuid),
  public.guardian_to_fhir_bundle(uuid), public.fhir_time(text), public.fhir_element_rules(text),
  public.fhir_resource_issues(text, jsonb), public.fhir_completeness(text, jsonb),
  public.validate_fhir_resource(text, jsonb, text), public.run_fhir_test_cases(),
  public.require_valid_fhir(text, jsonb, text), public.fhir_to_guardian_patient(jsonb, text, uuid),
  public.fhir_to_guardian_observation(jsonb, text), public.refresh_fhir_mappings(uuid, integer),
  public.save_fhir_endpoint(text, text, text, jsonb),
  public.save_fhir_oauth_config(text, text, text, text, text, text, text),
  public.store_fhir_tokens(text, text, text, timestamptz), public.fhir_connection(text),
  public.fhir_endpoint_status(), public.hl7_conversion_patient()
  FROM PUBLIC, anon, authenticated, service_role;
-- The first two are called by the views, as whoever reads them.
GRANT EXECUTE ON FUNCTION public.fhir_text(text), public.fhir_blood_pressure(numeric, numeric),
  public.guardian_fhir_patients(uuid[]), public.guardian_to_fhir_patient(uuid),
  public.guardian_to_fhir_observation(uuid), public.guardian_to_fhir_vital_observations(uuid),
  public.guardian_to_fhir_medication_statement(uuid), public.guardian_to_fhir_medication_request(uuid),
  public.guardian_to_fhir_document_reference(uuid), public.guardian_to_fhir_condition(uuid),
  public.guardian_to_fhir_allergy_intolerance(uuid), public.guardian_to_fhir_practitioner(uuid),
  public.guardian_fhir_consents(uuid, uuid[]), public.generate_fhir_consent_resource(uuid),
  public.guardian_to_fhir_bundle(uuid) TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.validate_fhir_resource(text, jsonb, text),
  public.fhir_to_guardian_patient(jsonb, text, uuid), public.fhir_to_guardian_observation(jsonb, text),
  public.refresh_fhir_mappings(uuid, integer), public.store_fhir_tokens(text, text, text, timestamptz),
  public.fhir_connection(text) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.fhir_sync_jobs, public.fhir_validation_results, public.fhir_api_audit,
      public.fhir_test_cases, public.legacy_system_mappings, public.legacy_import_jobs,
      public.fhir_performance_metrics TO guardian_operator;
    ALTER POLICY fhir_validation_results_service ON public.fhir_validation_results TO service_role, guardian_operator;
    ALTER POLICY fhir_api_audit_read ON public.fhir_api_audit TO service_role, guardian_operator;
    ALTER POLICY fhir_test_cases_service ON public.fhir_test_cases TO service_role, guardian_operator;
    ALTER POLICY legacy_system_mappings_service ON public.legacy_system_mappings TO service_role, guardian_operator;
    ALTER POLICY fhir_sync_jobs_read ON public.fhir_sync_jobs TO service_role, guardian_operator;
    ALTER POLICY legacy_import_jobs_read ON public.legacy_import_jobs TO service_role, guardian_operator;
    GRANT EXECUTE ON FUNCTION public.validate_fhir_resource(text, jsonb, text), public.run_fhir_test_cases(),
      public.refresh_fhir_mappings(uuid, integer), public.save_fhir_endpoint(text, text, text, jsonb),
      public.save_fhir_oauth_config(text, text, text, text, text, text, text), public.fhir_endpoint_status()
      TO guardian_operator;
  END IF;
END
$$;

------------------------------------------------------------------------------------------------------- 10 keys to v6
-- From here on v6 is locked. A deleted account takes all that is about it along, a deleted v6 row what was built of it.
ALTER TABLE public.fhir_patient_mappings
  ADD CONSTRAINT fhir_patient_mappings_guardian_user_id_fkey
    FOREIGN KEY (guardian_user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_observations
  ADD CONSTRAINT fhir_observations_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_observations_guardian_lab_result_id_fkey
    FOREIGN KEY (guardian_lab_result_id) REFERENCES public.patient_lab_results (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_observations_guardian_vital_id_fkey
    FOREIGN KEY (guardian_vital_id) REFERENCES public.patient_vitals (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_medication_requests
  ADD CONSTRAINT fhir_medication_requests_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_medication_requests_guardian_medication_id_fkey
    FOREIGN KEY (guardian_medication_id) REFERENCES public.patient_medications (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_document_references
  ADD CONSTRAINT fhir_document_references_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_document_references_guardian_document_id_fkey
    FOREIGN KEY (guardian_document_id) REFERENCES public.documents (id) ON DELETE CASCADE;
ALTER TABLE public.consent_fhir_mappings
  ADD CONSTRAINT consent_fhir_mappings_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_sync_jobs
  ADD CONSTRAINT fhir_sync_jobs_patient_filter_fkey
    FOREIGN KEY (patient_filter) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_validation_results
  ADD CONSTRAINT fhir_validation_results_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.hl7_messages
  ADD CONSTRAINT hl7_messages_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.hl7_to_fhir_conversions
  ADD CONSTRAINT hl7_to_fhir_conversions_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.legacy_import_jobs
  ADD CONSTRAINT legacy_import_jobs_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES auth.users (id) ON DELETE SET NULL;
