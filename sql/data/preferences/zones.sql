-- The zones that this server knows, by the lower case of their names: reading them costs too much to do it every batch. Not
-- the same again with other leap seconds (right/), nor names that stand for no place. user_preferences takes all of them.
SELECT pg_catalog.jsonb_object_agg(n.folded, n.name) AS zones
FROM (
  SELECT pg_catalog.lower(z.name) AS folded, min(z.name) AS name
  FROM pg_catalog.pg_timezone_names z
  WHERE z.name !~ '^(posix|right|SystemV)/' AND z.name NOT IN ('Factory', 'localtime', 'posixrules') GROUP BY 1
) n
