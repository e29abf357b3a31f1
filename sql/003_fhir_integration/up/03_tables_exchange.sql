-- Endpoints, their secrets and jobs, what was validated, what was asked for, and the validator's own test cases.

CREATE TABLE public.fhir_endpoints (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_endpoints_pkey PRIMARY KEY,
  system_name text NOT NULL CONSTRAINT fhir_endpoints_system_name_check
    CHECK (system_name ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$' AND lower(system_name) <> 'guardian'),
  base_url text NOT NULL
    CONSTRAINT fhir_endpoints_base_url_check CHECK (base_url ~ '^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s?#@\u0001-\u001F\u007F-\u009F]*)?$'),
  fhir_version text NOT NULL DEFAULT 'R4' CONSTRAINT fhir_endpoints_version_check CHECK (fhir_version = 'R4'),
  auth_type text NOT NULL
    CONSTRAINT fhir_endpoints_auth_type_check CHECK (auth_type IN ('oauth2', 'bearer', 'basic', 'none')),
  auth_config jsonb NOT NULL DEFAULT '{}' CONSTRAINT fhir_endpoints_auth_config_check
    CHECK (jsonb_typeof(auth_config) = 'object' AND NOT jsonb_path_exists(auth_config,
      '$.** ? (@.type() == "object").keyvalue()
        ? (@.key like_regex "secret|password|passphrase|token$|api_?key|authorization" flag "i")'))
    -- As text, JSON writes control characters as a backslash, itself not escaped, and a letter.
    CONSTRAINT fhir_endpoints_auth_config_line
      CHECK (auth_config::text !~ '(^|[^\\])(\\\\)*\\[bfnrtu]|[\u007F-\u009F\u2028\u2029]'),
  supported_resources text[] NOT NULL DEFAULT '{}'
    CONSTRAINT fhir_endpoints_resources_line CHECK (supported_resources::text !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  supported_operations text[] NOT NULL DEFAULT '{}'
    CONSTRAINT fhir_endpoints_operations_line CHECK (supported_operations::text !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
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
COMMENT ON COLUMN public.fhir_endpoints.system_name IS 'Name of the source, told from others without regard to case.';
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
    CONSTRAINT fhir_oauth_configs_authorization_url_check CHECK (authorization_url ~ '^https://[^\s?#@\u0001-\u001F\u007F-\u009F]+$'),
  token_url text NOT NULL CONSTRAINT fhir_oauth_configs_token_url_check CHECK (token_url ~ '^https://[^\s?#@\u0001-\u001F\u007F-\u009F]+$'),
  client_id text NOT NULL CONSTRAINT fhir_oauth_configs_client_id_line CHECK (client_id !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  client_secret text CONSTRAINT fhir_oauth_configs_client_secret_check
    CHECK (client_secret ~ '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'),
  scope text NOT NULL DEFAULT 'patient/*.read'
    CONSTRAINT fhir_oauth_configs_scope_line CHECK (scope !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  access_token text CONSTRAINT fhir_oauth_configs_access_token_check
    CHECK (access_token ~ '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'),
  refresh_token text CONSTRAINT fhir_oauth_configs_refresh_token_check
    CHECK (refresh_token ~ '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'),
  token_expires_at timestamptz CONSTRAINT fhir_oauth_configs_expiry_check CHECK (isfinite(token_expires_at)),
  smart_enabled boolean NOT NULL DEFAULT false,
  launch_url text CONSTRAINT fhir_oauth_configs_launch_url_check CHECK (launch_url ~ '^https://[^\s?#@\u0001-\u001F\u007F-\u009F]+$'),
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
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fhir_sync_jobs_times_check CHECK (isfinite(started_at) AND isfinite(completed_at)
    AND isfinite(created_at) AND isfinite(updated_at))
);
COMMENT ON TABLE public.fhir_sync_jobs IS 'Exchanges with an endpoint, run by the server side.';
COMMENT ON COLUMN public.fhir_sync_jobs.patient_filter IS 'The one account it is about; NULL: many.';
COMMENT ON COLUMN public.fhir_sync_jobs.resource_filter IS
  'Search parameters, which may name persons: expire_fhir_exchange takes them, and date_filter, from an ended job.';
COMMENT ON COLUMN public.fhir_sync_jobs.errors IS
  'What went wrong: objects of path, code and count, never a value; a trigger refuses other words. So are warnings.';

CREATE TABLE public.fhir_validation_results (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT fhir_validation_results_pkey PRIMARY KEY,
  resource_type text NOT NULL CONSTRAINT fhir_validation_results_type_line CHECK (resource_type !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  resource_id text CONSTRAINT fhir_validation_results_id_line CHECK (resource_id !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  source_system text NOT NULL
    CONSTRAINT fhir_validation_results_source_line CHECK (source_system !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  guardian_patient_id uuid,
  is_valid boolean NOT NULL,
  validation_errors jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT fhir_validation_results_errors_check CHECK (jsonb_typeof(validation_errors) = 'array'),
  validation_warnings jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT fhir_validation_results_warnings_check CHECK (jsonb_typeof(validation_warnings) = 'array'),
  validation_profile text
    CONSTRAINT fhir_validation_results_profile_line CHECK (validation_profile !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
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
  resource_id text CONSTRAINT fhir_api_audit_resource_id_check CHECK (resource_id ~ '^[0-9a-f]{64}$'),
  request_url text NOT NULL
    CONSTRAINT fhir_api_audit_request_url_check
    CHECK (request_url ~ '^https://[^\s?#@\u0001-\u001F\u007F-\u009F]+$' AND length(request_url) <= 1000)
    CONSTRAINT fhir_api_audit_route_check CHECK (strpos(substr(request_url, 9), '/') = 0 OR coalesce(
      strpos(request_url || '/', '/' || resource_type || '/') + length(resource_type) = length(request_url), false)),
  response_status integer CONSTRAINT fhir_api_audit_status_check CHECK (response_status BETWEEN 100 AND 599),
  response_time_ms integer CONSTRAINT fhir_api_audit_time_check CHECK (response_time_ms >= 0),
  data_transferred_bytes integer CONSTRAINT fhir_api_audit_bytes_check CHECK (data_transferred_bytes >= 0),
  guardian_user_id uuid,
  initiated_by text NOT NULL DEFAULT current_user,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.fhir_api_audit IS
  'Calls to endpoints. Append-only, keys and figures; no foreign key, it outlives endpoint and account.';
COMMENT ON COLUMN public.fhir_api_audit.resource_id IS
  'SHA-256 of the resource''s id, in hexadecimal: who has the id finds its calls, and nobody reads one off the trail.';
COMMENT ON COLUMN public.fhir_api_audit.request_url IS
  'The route: up to the resource type, or the server alone. Ids and search parameters are not kept.';
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
