-- v6 as it shipped has no profile table: every account gets the defaults. $1 is not used.
SELECT
  u.id AS user_id,
  'en'::text AS language,
  'UTC'::text AS timezone,
  '{"email": true, "sms": false, "push": true, "in_app": true}'::jsonb AS notification_channels
FROM auth.users u
WHERE in_range(u.id) AND $1::jsonb IS NOT NULL
