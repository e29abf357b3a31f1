-- The roles of a Supabase project, as far as Guardian meets them. Roles belong to the whole server and not to one
-- database, so this file may run again and again. Run it as a superuser.
DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('anon', 'NOLOGIN'),                          -- requests without a login
      ('authenticated', 'NOLOGIN'),                 -- requests of a user who is logged in
      ('service_role', 'NOLOGIN BYPASSRLS'),        -- the edge functions
      ('authenticator', 'LOGIN NOINHERIT'),         -- PostgREST logs in as this one and becomes one of the three
      ('supabase_auth_admin', 'NOLOGIN NOINHERIT'), -- the login service, owner of schema auth
      ('guardian_operator', 'NOLOGIN'),             -- whom module 009 grants to
      ('guardian_migrator', 'LOGIN BYPASSRLS')      -- what Supabase calls "postgres": no superuser
    ) AS r (name, options)
  LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) THEN
      EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.options);
    END IF;
  END LOOP;
END
$$;

GRANT anon, authenticated, service_role TO authenticator;
-- As on Supabase the owner of schema public may become the API roles (SET ROLE), but not the login service.
GRANT anon, authenticated, service_role TO guardian_migrator;
