-- Triggers on our own tables.

CREATE FUNCTION public.hl7_conversion_patient() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_RELID = 'public.hl7_messages'::regclass THEN
    PERFORM public.require_read_committed();
    UPDATE public.hl7_to_fhir_conversions AS c SET guardian_patient_id = NEW.guardian_patient_id
    WHERE c.hl7_message_id = NEW.id;
    RETURN NULL;
  END IF;
  -- Locked: whoever names the message's patient meanwhile waits, and then finds this conversion, or is waited for.
  SELECT m.guardian_patient_id INTO NEW.guardian_patient_id FROM public.hl7_messages AS m
  WHERE m.id = NEW.hl7_message_id FOR SHARE;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.hl7_conversion_patient() IS
  'Trigger: a conversion is about the patient of its message, also when that becomes known later.';

-- The server side writes the table itself, and the CHECK's own error would quote an address with a token in it.
CREATE FUNCTION public.check_fhir_api_audit() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.request_url !~ '^https://[^\s?#@]+$' OR length(NEW.request_url) > 1000 THEN
    RAISE EXCEPTION USING ERRCODE = '23514', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
      CONSTRAINT = 'fhir_api_audit_request_url_check', MESSAGE =
        'request_url is an https address without user name, query or fragment, of 1000 characters at most';
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.check_fhir_api_audit() IS 'Trigger: refuses what the CHECK does, without telling the address.';

CREATE TRIGGER hl7_messages_patient AFTER UPDATE OF guardian_patient_id ON public.hl7_messages
  FOR EACH ROW WHEN (OLD.guardian_patient_id IS DISTINCT FROM NEW.guardian_patient_id)
  EXECUTE FUNCTION public.hl7_conversion_patient();
CREATE TRIGGER hl7_to_fhir_conversions_patient BEFORE INSERT OR UPDATE ON public.hl7_to_fhir_conversions
  FOR EACH ROW EXECUTE FUNCTION public.hl7_conversion_patient();

CREATE TRIGGER fhir_patient_mappings_updated_at BEFORE UPDATE ON public.fhir_patient_mappings
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_observations_updated_at BEFORE UPDATE ON public.fhir_observations
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_medication_requests_updated_at BEFORE UPDATE ON public.fhir_medication_requests
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_document_references_updated_at BEFORE UPDATE ON public.fhir_document_references
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER consent_fhir_mappings_updated_at BEFORE UPDATE ON public.consent_fhir_mappings
  FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_endpoints_updated_at BEFORE UPDATE ON public.fhir_endpoints
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_oauth_configs_updated_at BEFORE UPDATE ON public.fhir_oauth_configs
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_sync_jobs_updated_at BEFORE UPDATE ON public.fhir_sync_jobs
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER fhir_test_cases_updated_at BEFORE UPDATE ON public.fhir_test_cases
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER legacy_system_mappings_updated_at BEFORE UPDATE ON public.legacy_system_mappings
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER legacy_import_jobs_updated_at BEFORE UPDATE ON public.legacy_import_jobs
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();

CREATE TRIGGER fhir_endpoints_audit AFTER INSERT OR UPDATE OR DELETE ON public.fhir_endpoints
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER fhir_oauth_configs_audit AFTER INSERT OR UPDATE OR DELETE ON public.fhir_oauth_configs
  FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER fhir_api_audit_url BEFORE INSERT ON public.fhir_api_audit
  FOR EACH ROW EXECUTE FUNCTION public.check_fhir_api_audit();
CREATE TRIGGER fhir_api_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.fhir_api_audit
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');
