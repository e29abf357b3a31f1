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
  IF NEW.request_url !~ '^https://[^\s?#@\u0001-\u001F\u007F-\u009F]+$' OR length(NEW.request_url) > 1000 THEN
    RAISE EXCEPTION USING ERRCODE = '23514', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
      CONSTRAINT = 'fhir_api_audit_request_url_check', MESSAGE =
        'request_url is an https address without user name, query or fragment, of 1000 characters at most';
  END IF;
  -- The trail outlives the account: whose resource it was must not be read off it. A digest is not digested again.
  NEW.request_url := coalesce(left(NEW.request_url,
    nullif(strpos(NEW.request_url || '/', '/' || NEW.resource_type || '/'), 0) + length(NEW.resource_type)),
    substring(NEW.request_url FROM '^https://[^/]+'));
  IF NEW.resource_id !~ '^[0-9a-f]{64}$' THEN
    NEW.resource_id := encode(sha256(convert_to(NEW.resource_id, 'UTF8')), 'hex');
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.check_fhir_api_audit() IS
  'Trigger: refuses what the CHECK does, without telling the address; keeps the route of the address and the digest of the id.';

-- A job may be about many accounts, and then no erasure finds what its errors say of one.
CREATE FUNCTION public.check_fhir_job_errors() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_bad text;
BEGIN
  SELECT t.name INTO v_bad FROM unnest(TG_ARGV) AS t (name), jsonb_array_elements(to_jsonb(NEW) -> t.name) AS e (entry)
  WHERE CASE WHEN jsonb_typeof(e.entry) = 'object' THEN e.entry - '{path,code,count}'::text[] <> '{}'
      OR coalesce(e.entry ->> 'code', '') !~ '^[A-Za-z0-9_.:-]{1,64}$'
      OR e.entry ->> 'path' !~ '^[A-Z][A-Za-z]{1,63}([.][a-z][A-Za-z]{0,63}([[][0-9]{1,4}[]])?){0,16}$'
      OR e.entry ->> 'count' !~ '^[0-9]{1,18}$' ELSE true END
  LIMIT 1;
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23514', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = v_bad,
      CONSTRAINT = TG_NAME, MESSAGE = format('%I of %I.%I takes objects of path (an element), code and count, and no other words',
        v_bad, TG_TABLE_SCHEMA, TG_TABLE_NAME);
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.check_fhir_job_errors() IS
  'Trigger: refuses, in the columns that are its arguments, whatever could quote a value, without telling it.';

-- The server side writes these tables itself too, and a CHECK's own error would quote the message.
CREATE FUNCTION public.refuse_control_characters() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '23514', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME,
    MESSAGE = format('%s of %I.%I is refused: one of %s has control characters; each is one line', TG_OP, TG_TABLE_SCHEMA,
      TG_TABLE_NAME, TG_ARGV[0]);
END
$$;
COMMENT ON FUNCTION public.refuse_control_characters() IS
  'Trigger: refuses what the CHECKs named ..._line do, without telling the row; its argument names the columns.';

CREATE TRIGGER hl7_messages_lines BEFORE INSERT OR UPDATE ON public.hl7_messages FOR EACH ROW
  WHEN (concat(NEW.message_control_id, NEW.sending_application, NEW.sending_facility, NEW.receiving_application,
    NEW.receiving_facility, NEW.patient_identifier) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]')
  EXECUTE FUNCTION public.refuse_control_characters('message_control_id, sending_application, sending_facility, receiving_application, receiving_facility, patient_identifier');
CREATE TRIGGER hl7_to_fhir_conversions_lines BEFORE INSERT OR UPDATE ON public.hl7_to_fhir_conversions FOR EACH ROW
  WHEN (concat(NEW.conversion_rules_version, NEW.target_profile) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]')
  EXECUTE FUNCTION public.refuse_control_characters('conversion_rules_version, target_profile');
CREATE TRIGGER legacy_import_jobs_lines BEFORE INSERT OR UPDATE ON public.legacy_import_jobs FOR EACH ROW
  WHEN (NEW.system_name ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]')
  EXECUTE FUNCTION public.refuse_control_characters('system_name');
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
CREATE TRIGGER fhir_sync_jobs_errors BEFORE INSERT OR UPDATE OF errors, warnings ON public.fhir_sync_jobs
  FOR EACH ROW WHEN (NEW.errors <> '[]' OR NEW.warnings <> '[]') EXECUTE FUNCTION public.check_fhir_job_errors('errors', 'warnings');
CREATE TRIGGER legacy_import_jobs_errors BEFORE INSERT OR UPDATE OF errors ON public.legacy_import_jobs
  FOR EACH ROW WHEN (NEW.errors <> '[]') EXECUTE FUNCTION public.check_fhir_job_errors('errors');
CREATE TRIGGER fhir_api_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.fhir_api_audit
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');
