-- What Supabase puts into a project's database before Guardian comes: extensions, schema auth, default privileges.
-- Run it once in an empty database, as a superuser.
CREATE SCHEMA extensions;
CREATE EXTENSION "uuid-ossp" WITH SCHEMA extensions;
CREATE EXTENSION pgcrypto WITH SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO anon, authenticated, service_role, guardian_migrator;

-- Guardian's migration 004 creates extension http, which this server does not have. The names of the parameters are what
-- matters: v6 calls http_post with others (url, headers, body), so the call fails here as it does in production.
CREATE TYPE extensions.http_response AS (status integer, content_type varchar, content varchar);
CREATE FUNCTION extensions.http_post(uri varchar, content varchar, content_type varchar)
RETURNS extensions.http_response LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'http_post: this database has no network' USING ERRCODE = '08000';
END
$$;

CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
SET ROLE supabase_auth_admin;

CREATE TABLE auth.users (
  id uuid PRIMARY KEY,
  aud varchar(255),
  role varchar(255),
  email varchar(255),
  encrypted_password varchar(255),
  email_confirmed_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb,
  phone text,
  is_sso_user boolean NOT NULL DEFAULT false,
  deleted_at timestamptz,
  created_at timestamptz,
  updated_at timestamptz
);
COMMENT ON TABLE auth.users IS 'Accounts of the login service';
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;

-- The user id in the caller's token, NULL without one. PostgREST sets either form, and an ended transaction leaves ''.
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  )::uuid
$$;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
  )
$$;

-- API roles may call the functions but not read the accounts; the owner of public may do both.
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role, guardian_migrator;
GRANT ALL ON TABLE auth.users TO guardian_migrator;
RESET ROLE;

GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
GRANT USAGE, CREATE ON SCHEMA public TO guardian_migrator;
DO $$
DECLARE
  maker text;
  kind text;
BEGIN
  FOREACH maker IN ARRAY ARRAY[current_user::text, 'guardian_migrator'] LOOP
    FOREACH kind IN ARRAY ARRAY['TABLES', 'SEQUENCES', 'FUNCTIONS'] LOOP
      EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT ALL ON %s TO anon, authenticated, service_role',
        maker, kind);
    END LOOP;
  END LOOP;
END
$$;
