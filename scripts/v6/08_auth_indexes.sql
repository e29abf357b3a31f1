-- The login service's own indexes on its accounts, after the rows. Run it as supabase_auth_admin.
CREATE UNIQUE INDEX users_email_partial_key ON auth.users (email) WHERE is_sso_user = false;
COMMENT ON INDEX auth.users_email_partial_key IS 'An address may occur again among accounts that come by single sign-on';
CREATE UNIQUE INDEX users_phone_key ON auth.users (phone);
