-- The trail is append-only; row security, and the rights of API roles.

-- One statement trigger stops all three, TRUNCATE included; it fires even where no row matches.
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_log_read ON public.audit_log FOR SELECT TO service_role USING (true);

REVOKE ALL ON public.audit_log FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.audit_log TO service_role;
REVOKE ALL ON FUNCTION public.refuse_change(), public.set_updated_at(), public.caller_role(), public.caller_is_operator(), public.caller_is_trusted(),
  public.require_read_committed(), public.write_audit_log(text, text, text, text[]),
  public.refuse_without_values(text, text, text, text, text), public.is_passed_over(text, text),
  public.pass_over(text, text), public.audit_row(), public.is_ledger_batch(regclass),
  public.security_facts(text[], text[]), public.definition_facts(text[]), public.assert_module(text, text[])
  FROM PUBLIC, anon, authenticated, service_role;
-- A trigger's WHEN is evaluated as whoever writes.
GRANT EXECUTE ON FUNCTION public.is_ledger_batch(regclass) TO PUBLIC;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.audit_log TO guardian_operator;
    ALTER POLICY audit_log_read ON public.audit_log TO service_role, guardian_operator;
  END IF;
END
$$;
