-- What a module is, as the catalogue has it: what every verify.sql compares.

CREATE FUNCTION public.security_facts(p_relations text[], p_functions text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH home AS (SELECT relowner FROM pg_class WHERE oid = 'public.audit_log'::regclass),
  rel AS (SELECT n AS name, c.* FROM unnest(p_relations) AS n JOIN pg_class AS c ON c.oid = to_regclass(n)),
  fun AS (SELECT n AS name, p.* FROM unnest(p_functions) AS n JOIN pg_proc AS p ON p.oid = to_regprocedure(n)),
  grants AS (
    SELECT r.name, r.relowner AS owner, '' AS col, 0 AS num, a.grantee, a.privilege_type AS may, a.is_grantable
    FROM rel AS r, aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS a
    UNION ALL
    SELECT r.name, r.relowner, t.attname, t.attnum, a.grantee, a.privilege_type, a.is_grantable
    FROM rel AS r JOIN pg_attribute AS t ON t.attrelid = r.oid, aclexplode(t.attacl) AS a
    UNION ALL
    SELECT f.name, f.proowner, '', 0, a.grantee, a.privilege_type, a.is_grantable
    FROM fun AS f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
  ),
  named AS (
    SELECT g.*, CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END
      || CASE WHEN is_grantable THEN ' (and pass on)' ELSE '' END AS who
    FROM grants AS g WHERE grantee <> owner
  )
  SELECT format('%s: %s%s', name,
    CASE WHEN relkind = 'v' THEN coalesce(array_to_string(reloptions, ','), 'no options')
      WHEN relrowsecurity THEN 'row security' ELSE 'NO row security' END,
    CASE WHEN relowner <> (SELECT relowner FROM home) THEN ', another owner' ELSE '' END)
  FROM rel
  UNION ALL
  SELECT format('%s: %s, %s%s', name, CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END,
    CASE WHEN 'search_path=pg_catalog, pg_temp' = ANY (proconfig) THEN 'pinned' ELSE 'search_path NOT pinned' END,
    CASE WHEN proowner <> (SELECT relowner FROM home) THEN ', another owner' ELSE '' END)
  FROM fun
  UNION ALL
  SELECT format('%s: %s may %s%s', name, who, may, ' of ' || string_agg(nullif(col, ''), ', ' ORDER BY num))
  FROM named WHERE NOT (who = 'guardian_operator' AND may IN ('SELECT', 'EXECUTE'))
  GROUP BY name, who, may, col = ''
  UNION ALL
  SELECT format('%s: policy %s for %s to %s%s%s', r.name, p.polname,
    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
      ELSE 'ALL' END,
    (SELECT string_agg(who, ', ' ORDER BY who)
     FROM unnest(p.polroles) AS o, LATERAL (SELECT CASE WHEN o = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o) END) AS w (who)
     WHERE who <> 'guardian_operator'),
    coalesce(' using ' || pg_get_expr(p.polqual, p.polrelid), ''),
    coalesce(' check ' || pg_get_expr(p.polwithcheck, p.polrelid), ''))
  FROM rel AS r JOIN pg_policy AS p ON p.polrelid = r.oid
  UNION ALL
  SELECT format('%s: trigger %s calls %s%s', r.name, t.tgname, t.tgfoid::regproc,
    CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ', DISABLED' END)
  FROM rel AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT format('%s: %s%s', r.name,
    CASE WHEN c.contype = 'f' THEN c.conname || ' ' || pg_get_constraintdef(c.oid) ELSE 'constraint ' || c.conname END,
    CASE WHEN c.contype = 'f' OR c.convalidated THEN '' ELSE ', NOT VALID' END)
  FROM rel AS r JOIN pg_constraint AS c ON c.conrelid = r.oid WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
    -- A key to a partitioned table is there once more for each of its partitions.
    AND NOT EXISTS (SELECT FROM pg_constraint AS w WHERE w.oid = c.conparentid AND w.conrelid = r.oid)
  UNION ALL
  SELECT format('%s: %sindex %s%s', r.name, CASE WHEN i.indisunique THEN 'unique ' ELSE '' END, i.indexrelid::regclass,
    CASE WHEN i.indisvalid THEN '' ELSE ', INVALID' END)
  FROM rel AS r JOIN pg_index AS i ON i.indrelid = r.oid
  WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.conrelid = r.oid)
$$;
COMMENT ON FUNCTION public.security_facts(text[], text[]) IS
  'What the catalogue says of relations and functions that matters for their safety, one line a fact; for verify.sql.';

-- The settings decide how the catalogue writes names, times and intervals. The order of columns does not count.
CREATE FUNCTION public.definition_facts(p_objects text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres SET datestyle = 'ISO, MDY'
SET timezone = 'UTC' SET quote_all_identifiers = off AS $$
  SELECT format('definition of %s: %s', o, coalesce(left(md5(CASE
    WHEN o LIKE '%(%' THEN (SELECT concat(p.provolatile, ' ', replace(p.prosrc, E'\r', '')) FROM pg_proc AS p
      WHERE p.oid = to_regprocedure(o))
    WHEN o LIKE '% on %' THEN (SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE NOT t.tgisinternal
      AND t.tgrelid = to_regclass(split_part(o, ' on ', 2)) AND t.tgname = split_part(o, ' on ', 1))
    ELSE (SELECT string_agg(d.line, ';' ORDER BY d.line COLLATE "C") FROM (
      SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(f.adbin, f.adrelid))
      FROM pg_attribute AS a LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
      WHERE a.attrelid = to_regclass(o) AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(o) AND c.contype IN ('c', 'p', 'u', 'x')
      UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index AS i WHERE i.indrelid = to_regclass(o)
      UNION ALL SELECT pg_get_viewdef(v.oid) FROM pg_class AS v WHERE v.oid = to_regclass(o) AND v.relkind = 'v'
    ) AS d (line)) END), 8), 'none'))
  FROM unnest(p_objects) AS o
$$;
COMMENT ON FUNCTION public.definition_facts(text[]) IS
  'A short hash of what functions, triggers ("name on table"), tables and views do: bodies, WHEN clauses, columns, checks, '
  'indexes. Names alone do not tell that something else was put in their place.';

CREATE FUNCTION public.assert_module(p_module text, p_expected text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_names text[] := ARRAY(SELECT DISTINCT split_part(e, ': ', 1) FROM unnest(p_expected) AS e);
  v_actual text[] := ARRAY(SELECT public.security_facts(
    ARRAY(SELECT n FROM unnest(v_names) AS n WHERE n NOT LIKE 'definition of %' AND n NOT LIKE '%(%'),
    ARRAY(SELECT n FROM unnest(v_names) AS n WHERE n NOT LIKE 'definition of %' AND n LIKE '%(%'))
    UNION ALL SELECT public.definition_facts(
      ARRAY(SELECT substr(n, 15) FROM unnest(v_names) AS n WHERE n LIKE 'definition of %')));
  v_bad text;
BEGIN
  SELECT string_agg(line, '; ' ORDER BY line) INTO v_bad FROM (
    SELECT 'missing [' || e || ']' AS line FROM unnest(p_expected) AS e WHERE e <> ALL (v_actual)
    UNION ALL
    SELECT 'not expected [' || a || ']' FROM unnest(v_actual) AS a WHERE a <> ALL (p_expected)
  ) AS bad;
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module %s is not as it was made: %s', p_module, v_bad);
  END IF;
END
$$;
COMMENT ON FUNCTION public.assert_module(text, text[]) IS
  'Raises GM001 that names every difference between security_facts, and where asked for definition_facts, of the objects '
  'named and what is expected of them.';
