-- The other mapping tables: MedicationRequests, DocumentReferences, Consents.

CREATE TABLE public.fhir_medication_requests (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_medication_requests_pkey PRIMARY KEY,
  guardian_patient_id uuid NOT NULL,
  fhir_request_id text NOT NULL
    CONSTRAINT fhir_medication_requests_fhir_id_check CHECK (fhir_request_id ~ '^[A-Za-z0-9.-]{1,64}$'),
  source_system text NOT NULL
    CONSTRAINT fhir_medication_requests_source_check CHECK (source_system ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$'),
  resource jsonb NOT NULL CONSTRAINT fhir_medication_requests_resource_check
    CHECK (coalesce(resource ->> 'resourceType' = 'MedicationRequest', false))
    CONSTRAINT fhir_medication_requests_resource_bound CHECK (octet_length(resource::text) <= 16777216),
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
    CHECK (coalesce(resource ->> 'resourceType' = 'DocumentReference', false))
    CONSTRAINT fhir_document_references_resource_bound CHECK (octet_length(resource::text) <= 16777216),
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
    CONSTRAINT consent_fhir_mappings_resource_check CHECK (coalesce(resource ->> 'resourceType' = 'Consent', false))
    CONSTRAINT consent_fhir_mappings_resource_bound CHECK (octet_length(resource::text) <= 16777216),
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
  external_fhir_server text
    CONSTRAINT consent_fhir_mappings_server_line CHECK (external_fhir_server !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  external_resource_id text
    CONSTRAINT consent_fhir_mappings_resource_id_line CHECK (external_resource_id !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
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
