-- HL7 version 2 messages, what was made of them, and other systems' records.

CREATE TABLE public.hl7_messages (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT hl7_messages_pkey PRIMARY KEY,
  message_type text NOT NULL
    CONSTRAINT hl7_messages_type_check CHECK (message_type ~ '^[A-Z0-9]{3}(\^[A-Z0-9]{3}(\^[A-Z0-9_]{3,10})?)?$'),
  -- What is sent back in an acknowledgement: a CR would begin a segment of its own.
  message_control_id text NOT NULL CONSTRAINT hl7_messages_control_id_line CHECK (message_control_id !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  sending_application text CONSTRAINT hl7_messages_sending_application_line CHECK (sending_application !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  sending_facility text CONSTRAINT hl7_messages_sending_facility_line CHECK (sending_facility !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  receiving_application text
    CONSTRAINT hl7_messages_receiving_application_line CHECK (receiving_application !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  receiving_facility text CONSTRAINT hl7_messages_receiving_facility_line CHECK (receiving_facility !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  raw_message text NOT NULL
    CONSTRAINT hl7_messages_raw_message_bound CHECK (octet_length(raw_message) <= 16777216),
  message_segments jsonb
    CONSTRAINT hl7_messages_message_segments_bound CHECK (octet_length(message_segments::text) <= 33554432),
  processing_status text NOT NULL DEFAULT 'received' CONSTRAINT hl7_messages_status_check
    CHECK (processing_status IN ('received', 'parsing', 'parsed', 'processing', 'processed', 'failed', 'rejected')),
  processing_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT hl7_messages_errors_check CHECK (jsonb_typeof(processing_errors) = 'array'),
  patient_identifier text
    CONSTRAINT hl7_messages_patient_identifier_line CHECK (patient_identifier !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  guardian_patient_id uuid,
  message_timestamp timestamptz,
  received_at timestamptz NOT NULL DEFAULT now(),
  processed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT hl7_messages_times_check CHECK (isfinite(message_timestamp) AND isfinite(received_at)
    AND isfinite(processed_at) AND isfinite(created_at))
);
COMMENT ON TABLE public.hl7_messages IS
  'HL7 v2 messages as received, for the server side only; one of no account goes after 28 days (expire_fhir_exchange).';
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
    CONSTRAINT hl7_to_fhir_conversions_resources_check CHECK (jsonb_typeof(fhir_resources) = 'array')
    CONSTRAINT hl7_to_fhir_conversions_resources_bound CHECK (octet_length(fhir_resources::text) <= 33554432),
  conversion_status text NOT NULL DEFAULT 'pending' CONSTRAINT hl7_to_fhir_conversions_status_check
    CHECK (conversion_status IN ('pending', 'completed', 'failed', 'partial')),
  conversion_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT hl7_to_fhir_conversions_errors_check CHECK (jsonb_typeof(conversion_errors) = 'array'),
  conversion_rules_version text
    CONSTRAINT hl7_to_fhir_conversions_rules_line CHECK (conversion_rules_version !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  target_profile text CONSTRAINT hl7_to_fhir_conversions_profile_line CHECK (target_profile !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT hl7_to_fhir_conversions_times_check CHECK (isfinite(created_at))
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
  system_name text NOT NULL CONSTRAINT legacy_import_jobs_system_name_line CHECK (system_name !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
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
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT legacy_import_jobs_times_check CHECK (isfinite(started_at) AND isfinite(completed_at)
    AND isfinite(created_at) AND isfinite(updated_at))
);
COMMENT ON TABLE public.legacy_import_jobs IS 'Imports from an older system by legacy_system_mappings.';
COMMENT ON COLUMN public.legacy_import_jobs.errors IS 'What went wrong, as in fhir_sync_jobs.errors.';
COMMENT ON COLUMN public.legacy_import_jobs.created_by IS 'Account that started it; NULL: the server side.';
