-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
SELECT public.assert_module('001_feature_flags', e.facts)
FROM (SELECT ARRAY[
  'public.feature_flags: constraint feature_flags_configuration_check',
  'public.feature_flags: constraint feature_flags_enabled_for_users_check',
  'public.feature_flags: constraint feature_flags_feature_name_check',
  'public.feature_flags: constraint feature_flags_pkey',
  'public.feature_flags: constraint feature_flags_rollout_percentage_check',
  'public.feature_flags: policy feature_flags_read for SELECT to service_role using true',
  'public.feature_flags: row security',
  'public.feature_flags: service_role may SELECT',
  'public.feature_flags: trigger feature_flags_audit calls public.audit_row',
  'public.feature_flags: trigger feature_flags_audit_update calls public.audit_row',
  'public.feature_flags: trigger feature_flags_updated_at calls public.set_updated_at',
  'public.feature_flag_seed(): invoker, pinned',
  'public.feature_is_on(text, uuid): invoker, pinned',
  'public.is_feature_enabled_for_user(text, uuid): authenticated may EXECUTE',
  'public.is_feature_enabled_for_user(text, uuid): definer, pinned',
  'public.is_feature_enabled_for_user(text, uuid): service_role may EXECUTE',
  'public.my_feature_flags(): authenticated may EXECUTE',
  'public.my_feature_flags(): definer, pinned',
  'public.my_feature_flags(): service_role may EXECUTE',
  'public.enable_feature_for_user(text, uuid, integer): definer, pinned',
  'public.enable_feature_for_user(text, uuid, integer): service_role may EXECUTE',
  'public.disable_feature_for_user(text, uuid): definer, pinned',
  'public.disable_feature_for_user(text, uuid): service_role may EXECUTE',
  'definition of public.feature_flags: 84babec1',
  'definition of public.feature_flag_seed(): bb53ca82',
  'definition of public.feature_is_on(text, uuid): 939c054f',
  'definition of public.is_feature_enabled_for_user(text, uuid): c9e4ebfd',
  'definition of public.my_feature_flags(): ae114ac4',
  'definition of public.enable_feature_for_user(text, uuid, integer): 62a95ccc',
  'definition of public.disable_feature_for_user(text, uuid): ee06b272',
  'definition of feature_flags_updated_at on public.feature_flags: 95ca3220',
  'definition of feature_flags_audit on public.feature_flags: 593d4773',
  'definition of feature_flags_audit_update on public.feature_flags: 406c152f'
] AS facts) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.feature_flags', '; '),
    string_to_array('public.feature_flag_seed(); public.feature_is_on(text, uuid); public.is_feature_enabled_for_user(text, uuid); public.my_feature_flags(); public.enable_feature_for_user(text, uuid, integer); public.disable_feature_for_user(text, uuid)', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.feature_flags; public.feature_flag_seed(); public.feature_is_on(text, uuid); public.is_feature_enabled_for_user(text, uuid); public.my_feature_flags(); public.enable_feature_for_user(text, uuid, integer); public.disable_feature_for_user(text, uuid); feature_flags_updated_at on public.feature_flags; feature_flags_audit on public.feature_flags; feature_flags_audit_update on public.feature_flags', '; ')) AS f
  ORDER BY 1);
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
