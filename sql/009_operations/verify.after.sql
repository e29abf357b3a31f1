DO $$
DECLARE
  v_missing text;
BEGIN
  -- Helpers of the owner's: assert_module lets an operator execute anything.
  SELECT string_agg(f, ', ' ORDER BY f) INTO v_missing
  FROM unnest(ARRAY['v6_relations()', 'count_v6_rows(timestamptz)', 'time_v6_queries(integer, text[])',
    'compare_v6_queries(text[])']) AS f, pg_roles AS r
  WHERE r.rolname = 'guardian_operator' AND NOT r.rolsuper AND EXISTS (
    SELECT FROM pg_proc AS p, aclexplode(p.proacl) AS a
    WHERE p.oid = to_regprocedure('public.' || f) AND a.grantee = r.oid);
  IF v_missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module 009_operations: operators may execute %s', v_missing);
  END IF;
  SELECT string_agg(r.relation, ', ' ORDER BY r.relation) INTO v_missing FROM public.v6_relations() AS r
  WHERE NOT EXISTS (SELECT FROM public.v6_row_counts AS c WHERE c.entity = r.entity);
  IF v_missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module 009_operations: not counted: %s', v_missing);
  END IF;
END
$$;
