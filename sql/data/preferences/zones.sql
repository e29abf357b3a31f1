-- The Area/Location names and offsets (Etc/GMT±n) that this server knows, by their lower case: reading them costs too much to do it every batch.
SELECT pg_catalog.jsonb_object_agg(n.folded, n.name) AS zones
FROM (
  SELECT pg_catalog.lower(z.name) AS folded, min(z.name) AS name
  FROM pg_catalog.pg_timezone_names z
  WHERE z.name ~ '^[A-Z][A-Za-z]+/[A-Z][A-Za-z_-]*(/[A-Z][A-Za-z_-]*)?$' AND z.name !~ '^Etc/'
    OR z.name ~ '^Etc/GMT(-([1-9]|1[0-4])|[+]([1-9]|1[0-2]))$' GROUP BY 1
) n
