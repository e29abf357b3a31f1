-- Language: kept if it is a well-formed BCP 47 tag, put into its usual case; else 'en' (RFC 5646, 2.1 and 2.1.1).
-- Time zone: kept, in the server's spelling, if it is an Area/Location name that the server knows; else 'UTC' (so are
-- GMT and the Etc zones that mean it). $1 is not used.
WITH zones AS MATERIALIZED (
  SELECT pg_catalog.lower(z.name) AS folded, min(z.name) AS name
  FROM pg_catalog.pg_timezone_names z
  WHERE z.name ~ '^[A-Z][A-Za-z]+/[A-Z][A-Za-z_-]*(/[A-Z][A-Za-z_-]*)?$' AND z.name !~ '^Etc/' GROUP BY 1
)
SELECT
  u.id AS user_id,
  CASE
    WHEN p.language ~ '^[A-Za-z]{2,3}$' THEN pg_catalog.lower(p.language)
    WHEN p.language ~ '^[A-Za-z]{2,3}-[A-Za-z]{2}$'
      THEN pg_catalog.lower(pg_catalog.split_part(p.language, '-', 1)) || '-' || pg_catalog.upper(pg_catalog.split_part(p.language, '-', 2))
    WHEN p.language ~ '^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?$' THEN p.language
    ELSE 'en'
  END AS language,
  coalesce(z.name, 'UTC') AS timezone,
  '{"email": true, "sms": false, "push": true, "in_app": true}'::jsonb AS notification_channels
FROM auth.users u
LEFT JOIN public.user_profiles p ON p.user_id = u.id
LEFT JOIN zones z ON z.folded = pg_catalog.lower(p.timezone)
WHERE $1::jsonb IS NOT NULL
