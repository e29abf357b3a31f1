-- The servers that resources are exchanged with.
-- No role reads the two tables. Operators write them, the server side gets what it needs for one call, and secrets are
-- ciphertext on the way in and out.

CREATE FUNCTION public.save_fhir_endpoint(p_system_name text, p_base_url text, p_auth_type text,
  p_settings jsonb DEFAULT '{}')
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row public.fhir_endpoints%ROWTYPE;
  v_constraint text;
  v_column text;
  c_known constant text[] := ARRAY['auth_config', 'supported_resources', 'supported_operations', 'sync_enabled',
    'sync_frequency_minutes', 'rate_limit_requests', 'rate_limit_window_minutes'];
BEGIN
  IF NOT public.caller_is_operator() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only operators change endpoints';
  ELSIF jsonb_typeof(p_settings) IS DISTINCT FROM 'object' OR p_settings - c_known <> '{}' THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = 'p_settings is an object with some of: ' || array_to_string(c_known, ', ');
  END IF;
  -- PostgreSQL's own error would quote the whole row, secrets included; so below.
  BEGIN
    INSERT INTO public.fhir_endpoints (system_name, base_url, auth_type) VALUES (p_system_name, p_base_url, p_auth_type)
    ON CONFLICT (lower(system_name)) DO UPDATE SET base_url = excluded.base_url, auth_type = excluded.auth_type
    RETURNING * INTO v_row;
    v_row := jsonb_populate_record(v_row, p_settings);
    UPDATE public.fhir_endpoints AS e SET auth_config = v_row.auth_config,
      supported_resources = v_row.supported_resources, supported_operations = v_row.supported_operations,
      sync_enabled = v_row.sync_enabled, sync_frequency_minutes = v_row.sync_frequency_minutes,
      rate_limit_requests = v_row.rate_limit_requests, rate_limit_window_minutes = v_row.rate_limit_window_minutes
    WHERE e.id = v_row.id AND p_settings <> '{}';
  EXCEPTION WHEN integrity_constraint_violation OR data_exception THEN
    GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
    PERFORM public.refuse_without_values(SQLSTATE, 'fhir_endpoints', v_constraint, v_column,
      'An address is https, without user name, query or fragment; auth_config holds no secret.');
  END;
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
  v_endpoint uuid := (SELECT e.id FROM public.fhir_endpoints AS e WHERE lower(e.system_name) = lower(p_system_name));
  v_constraint text;
  v_column text;
BEGIN
  IF NOT public.caller_is_operator() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only operators change endpoints';
  ELSIF v_endpoint IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'P0002', MESSAGE = 'there is no endpoint of that name';
  END IF;
  BEGIN
    INSERT INTO public.fhir_oauth_configs
      (endpoint_id, authorization_url, token_url, client_id, client_secret, scope, smart_enabled, launch_url)
    VALUES (v_endpoint, p_authorization_url, p_token_url, p_client_id, p_client_secret, p_scope,
      p_launch_url IS NOT NULL, p_launch_url)
    ON CONFLICT (endpoint_id) DO UPDATE SET authorization_url = excluded.authorization_url,
      token_url = excluded.token_url, client_id = excluded.client_id,
      client_secret = coalesce(excluded.client_secret, fhir_oauth_configs.client_secret), scope = excluded.scope,
      smart_enabled = excluded.smart_enabled, launch_url = excluded.launch_url;
  EXCEPTION WHEN integrity_constraint_violation OR data_exception THEN
    GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
    PERFORM public.refuse_without_values(SQLSTATE, 'fhir_oauth_configs', v_constraint, v_column,
      'Secrets are JWEs (RFC 7516), addresses https without user name, query or fragment.');
  END;
END
$$;
COMMENT ON FUNCTION public.save_fhir_oauth_config(text, text, text, text, text, text, text) IS
  'Sets how Guardian authorises itself at an endpoint; without p_client_secret (a JWE) the old one stays. Operators.';

CREATE FUNCTION public.store_fhir_tokens(p_system_name text, p_access_token text, p_refresh_token text,
  p_expires_at timestamptz)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_constraint text;
  v_column text;
BEGIN
  IF NOT public.caller_is_trusted() THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the server side stores tokens';
  END IF;
  BEGIN
    UPDATE public.fhir_oauth_configs AS o SET access_token = p_access_token,
      refresh_token = coalesce(p_refresh_token, o.refresh_token), token_expires_at = p_expires_at
    FROM public.fhir_endpoints AS e WHERE e.id = o.endpoint_id AND lower(e.system_name) = lower(p_system_name);
    RETURN FOUND;
  EXCEPTION WHEN integrity_constraint_violation OR data_exception THEN
    GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
    PERFORM public.refuse_without_values(SQLSTATE, 'fhir_oauth_configs', v_constraint, v_column,
      'Tokens are JWEs (RFC 7516).');
  END;
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
  WHERE lower(e.system_name) = lower(p_system_name) AND e.sync_enabled AND public.caller_is_trusted()
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
