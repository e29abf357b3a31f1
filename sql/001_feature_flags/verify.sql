-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
DECLARE
  v_missing text;
BEGIN
  PERFORM public.assert_module('001_feature_flags', ARRAY[
    'public.feature_flags: row security',
    'public.feature_flags: service_role may SELECT',
    'public.feature_flags: policy feature_flags_read for SELECT to service_role using true',
    'public.feature_flags: trigger feature_flags_updated_at calls public.set_updated_at',
    'public.feature_flags: trigger feature_flags_audit calls public.audit_row',
    'public.feature_flags: trigger feature_flags_audit_update calls public.audit_row',
    'public.feature_flags: constraint feature_flags_pkey',
    'public.feature_flags: constraint feature_flags_feature_name_check',
    'public.feature_flags: constraint feature_flags_rollout_percentage_check',
    'public.feature_flags: constraint feature_flags_enabled_for_users_check',
    'public.feature_flags: constraint feature_flags_configuration_check',
    'public.feature_flag_seed(): invoker, pinned',
    'public.feature_is_on(text, uuid): invoker, pinned',
    'public.is_feature_enabled_for_user(text, uuid): definer, pinned',
    'public.is_feature_enabled_for_user(text, uuid): authenticated may EXECUTE',
    'public.is_feature_enabled_for_user(text, uuid): service_role may EXECUTE',
    'public.my_feature_flags(): definer, pinned',
    'public.my_feature_flags(): authenticated may EXECUTE',
    'public.my_feature_flags(): service_role may EXECUTE',
    'public.enable_feature_for_user(text, uuid, integer): definer, pinned',
    'public.enable_feature_for_user(text, uuid, integer): service_role may EXECUTE',
    'public.disable_feature_for_user(text, uuid): definer, pinned',
    'public.disable_feature_for_user(text, uuid): service_role may EXECUTE'
  ]);
  SELECT string_agg(s.feature_name, ', ' ORDER BY s.feature_name) INTO v_missing FROM public.feature_flag_seed() AS s
  WHERE NOT EXISTS (SELECT FROM public.feature_flags AS f WHERE f.feature_name = s.feature_name);
  IF v_missing IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module 001_feature_flags: missing flags: %s', v_missing);
  END IF;
END
$$;
