-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  IF to_regprocedure('public.assert_module(text, text[])') IS NULL
    OR to_regprocedure('public.security_facts(text[], text[])') IS NULL
    OR to_regprocedure('public.definition_facts(text[])') IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001',
      MESSAGE = 'module 000_audit_log is not as it was made: missing assert_module, security_facts or definition_facts';
  END IF;
END
$$;
SELECT public.assert_module('000_audit_log', e.facts)
FROM (SELECT ARRAY[
  'public.audit_log: constraint audit_log_action_check',
  'public.audit_log: constraint audit_log_pkey',
  'public.audit_log: constraint audit_log_record_key_check',
  'public.audit_log: constraint audit_log_table_name_check',
  'public.audit_log: index public.audit_log_occurred_at_idx',
  'public.audit_log: index public.audit_log_record_idx',
  'public.audit_log: policy audit_log_read for SELECT to service_role using true',
  'public.audit_log: row security',
  'public.audit_log: service_role may SELECT',
  'public.audit_log: trigger audit_log_append_only calls public.refuse_change',
  'public.refuse_change(): invoker, pinned',
  'public.set_updated_at(): invoker, pinned',
  'public.caller_role(): invoker, pinned',
  'public.caller_is_operator(): invoker, pinned',
  'public.caller_is_trusted(): invoker, pinned',
  'public.require_read_committed(): invoker, pinned',
  'public.write_audit_log(text, text, text, text[]): invoker, pinned',
  'public.refuse_without_values(text, text, text, text, text): invoker, pinned',
  'public.is_passed_over(text, text): invoker, pinned',
  'public.pass_over(text, text): invoker, pinned',
  'public.audit_row(): definer, pinned',
  'public.is_ledger_batch(regclass): PUBLIC may EXECUTE',
  'public.is_ledger_batch(regclass): invoker, pinned',
  'public.security_facts(text[], text[]): invoker, pinned',
  'public.definition_facts(text[]): invoker, pinned',
  'public.assert_module(text, text[]): invoker, pinned',
  'definition of public.audit_log: 11238799',
  'definition of public.refuse_change(): 228587cf',
  'definition of public.set_updated_at(): bc00e024',
  'definition of public.caller_role(): 313255bc',
  'definition of public.caller_is_operator(): 3b9f1188',
  'definition of public.caller_is_trusted(): 3756d04a',
  'definition of public.require_read_committed(): 7f2a253b',
  'definition of public.write_audit_log(text, text, text, text[]): 4b0e6986',
  'definition of public.refuse_without_values(text, text, text, text, text): de760c0f',
  'definition of public.is_passed_over(text, text): b679720e',
  'definition of public.pass_over(text, text): f45ab60c',
  'definition of public.audit_row(): 61e68808',
  'definition of public.is_ledger_batch(regclass): 72acceb7',
  'definition of public.security_facts(text[], text[]): 7d8356e0',
  'definition of public.definition_facts(text[]): 9d7e043f',
  'definition of public.assert_module(text, text[]): 4d352fb1',
  'definition of audit_log_append_only on public.audit_log: 7e66aa2d'
] AS facts) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.audit_log', '; '),
    string_to_array('public.refuse_change(); public.set_updated_at(); public.caller_role(); public.caller_is_operator(); public.caller_is_trusted(); public.require_read_committed(); public.write_audit_log(text, text, text, text[]); public.refuse_without_values(text, text, text, text, text); public.is_passed_over(text, text); public.pass_over(text, text); public.audit_row(); public.is_ledger_batch(regclass); public.security_facts(text[], text[]); public.definition_facts(text[]); public.assert_module(text, text[])', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.audit_log; public.refuse_change(); public.set_updated_at(); public.caller_role(); public.caller_is_operator(); public.caller_is_trusted(); public.require_read_committed(); public.write_audit_log(text, text, text, text[]); public.refuse_without_values(text, text, text, text, text); public.is_passed_over(text, text); public.pass_over(text, text); public.audit_row(); public.is_ledger_batch(regclass); public.security_facts(text[], text[]); public.definition_facts(text[]); public.assert_module(text, text[]); audit_log_append_only on public.audit_log', '; ')) AS f
  ORDER BY 1);
