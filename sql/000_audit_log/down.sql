-- The engine has archived audit_log by now.
DROP FUNCTION public.assert_module(text, text[]);
DROP FUNCTION public.definition_facts(text[]);
DROP FUNCTION public.security_facts(text[], text[]);
DROP FUNCTION public.is_ledger_batch(regclass);
DROP FUNCTION public.audit_row();
DROP FUNCTION public.pass_over(text, text);
DROP FUNCTION public.is_passed_over(text, text);
DROP FUNCTION public.refuse_without_values(text, text, text, text, text);
DROP FUNCTION public.write_audit_log(text, text, text, text[]);
DROP FUNCTION public.require_read_committed();
DROP FUNCTION public.caller_is_trusted();
DROP FUNCTION public.caller_is_operator();
DROP FUNCTION public.caller_role();
DROP FUNCTION public.set_updated_at();
DROP FUNCTION public.refuse_change();
