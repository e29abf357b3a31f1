-- FHIR R4 exchange: what is built from v6 rows, what comes from other systems, and with whom. v6 relations are read by
-- views and functions; only the keys of the last part lock them.
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
    CONSTRAINT fhir_patient_mappings_resource_check CHECK (coalesce(resource ->> 'resourceType' = 'Patient', false))
    CONSTRAINT fhir_patient_mappings_resource_bound CHECK (octet_length(resource::text) <= 16777216),
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
    CONSTRAINT fhir_observations_resource_check CHECK (coalesce(resource ->> 'resourceType' = 'Observation', false))
    CONSTRAINT fhir_observations_resource_bound CHECK (octet_length(resource::text) <= 16777216),
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
