-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  IF to_regprocedure('public.assert_module(text, text[])') IS NULL
    OR to_regprocedure('public.security_facts(text[], text[])') IS NULL
    OR to_regprocedure('public.definition_facts(text[])') IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001',
      MESSAGE = 'module 000_audit_log is not as it was made: missing assert_module, security_facts or definition_facts';
  END IF;
  PERFORM public.assert_module('000_audit_log', ARRAY[
    'public.audit_log: row security',
    'public.audit_log: service_role may SELECT',
    'public.audit_log: policy audit_log_read for SELECT to service_role using true',
    'public.audit_log: trigger audit_log_append_only calls public.refuse_change',
    'public.audit_log: constraint audit_log_pkey',
    'public.audit_log: constraint audit_log_table_name_check',
    'public.audit_log: constraint audit_log_record_key_check',
    'public.audit_log: constraint audit_log_action_check',
    'public.audit_log: index public.audit_log_record_idx',
    'public.audit_log: index public.audit_log_occurred_at_idx',
    'public.refuse_change(): invoker, pinned',
    'public.set_updated_at(): invoker, pinned',
    'public.changed_columns(jsonb, jsonb): invoker, pinned',
    'public.caller_role(): invoker, pinned',
    'public.caller_is_operator(): invoker, pinned',
    'public.caller_is_trusted(): invoker, pinned',
    'public.write_audit_log(text, text, text, text[]): invoker, pinned',
    'public.audit_row(): definer, pinned',
    'public.is_ledger_batch(regclass): invoker, pinned',
    'public.is_ledger_batch(regclass): PUBLIC may EXECUTE',
    'public.security_facts(text[], text[]): invoker, pinned',
    'public.definition_facts(text[]): invoker, pinned',
    'public.assert_module(text, text[]): invoker, pinned'
  ]);
END
$$;
