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
