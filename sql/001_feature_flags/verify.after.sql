DO $$
DECLARE
  v_missing text;
BEGIN
  SELECT string_agg(s.feature_name, ', ' ORDER BY s.feature_name) INTO v_missing FROM public.feature_flag_seed() AS s
  WHERE NOT EXISTS (SELECT FROM public.feature_flags AS f WHERE f.feature_name = s.feature_name);
  IF v_missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module 001_feature_flags: missing flags: %s', v_missing);
  END IF;
END
$$;
