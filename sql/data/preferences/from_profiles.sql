-- Language: kept if it is a well-formed BCP 47 tag, language and region in their usual case; else 'en' (RFC 5646, 2.1 and
-- 2.1.1; a language of more than three letters is none that is registered). A locale's name as POSIX writes it (en_AU.UTF-8)
-- is the tag that it means. Time zone: kept, in the server's spelling, if it is the name of a zone that the server knows
-- ($1 -> 'zones', by zones.sql); else 'UTC'.
SELECT
  u.id AS user_id,
  CASE
    WHEN l.tag ~ '^[A-Za-z]{2,3}$' THEN pg_catalog.lower(l.tag)
    WHEN l.tag ~ '^[A-Za-z]{2,3}-[A-Za-z]{2}$'
      THEN pg_catalog.lower(pg_catalog.split_part(l.tag, '-', 1)) || '-' || pg_catalog.upper(pg_catalog.split_part(l.tag, '-', 2))
    WHEN l.kept THEN l.tag
    ELSE 'en'
  END AS language,
  coalesce(z.name, 'UTC') AS timezone,
  '{"email": true, "sms": false, "push": true, "in_app": true}'::jsonb AS notification_channels,
  p.language IS NOT NULL AND NOT l.kept AS language_repaired,
  p.timezone IS NOT NULL AND z.name IS NULL AS timezone_repaired
FROM auth.users u
LEFT JOIN public.user_profiles p ON p.user_id = u.id AND in_range(p.user_id)
LEFT JOIN pg_catalog.jsonb_each_text($1::jsonb -> 'zones') z (folded, name) ON z.folded = pg_catalog.lower(p.timezone)
CROSS JOIN LATERAL (
  SELECT t.tag, pg_catalog.length(t.tag) <= 35 AND t.tag ~
    ('^[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*'
     '(-[0-9A-WY-Za-wy-z](-[A-Za-z0-9]{2,8})+)*(-[Xx](-[A-Za-z0-9]{1,8})+)?$') AS kept
  FROM (SELECT pg_catalog.replace(pg_catalog.regexp_replace(p.language,
    '^([A-Za-z]{2,3}_[A-Za-z]{2})([.][A-Za-z0-9-]+)?(@[A-Za-z]+)?$', '\1'), '_', '-')) t (tag)
) l
WHERE in_range(u.id)
