-- Row security and rights.

ALTER TABLE public.fhir_patient_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_observations ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_medication_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_document_references ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.consent_fhir_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_oauth_configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_sync_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_validation_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_api_audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.fhir_test_cases ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.hl7_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.hl7_to_fhir_conversions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.legacy_system_mappings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.legacy_import_jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY fhir_patient_mappings_own ON public.fhir_patient_mappings FOR SELECT TO authenticated
  USING (guardian_user_id = (SELECT auth.uid()));
CREATE POLICY fhir_patient_mappings_service ON public.fhir_patient_mappings FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_observations_own ON public.fhir_observations FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY fhir_observations_service ON public.fhir_observations FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_medication_requests_own ON public.fhir_medication_requests FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY fhir_medication_requests_service ON public.fhir_medication_requests FOR SELECT TO service_role
  USING (true);
CREATE POLICY fhir_document_references_own ON public.fhir_document_references FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY fhir_document_references_service ON public.fhir_document_references FOR SELECT TO service_role
  USING (true);
CREATE POLICY consent_fhir_mappings_own ON public.consent_fhir_mappings FOR SELECT TO authenticated
  USING (guardian_patient_id = (SELECT auth.uid()));
CREATE POLICY consent_fhir_mappings_service ON public.consent_fhir_mappings FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_sync_jobs_read ON public.fhir_sync_jobs FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_sync_jobs_insert ON public.fhir_sync_jobs FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY fhir_sync_jobs_update ON public.fhir_sync_jobs FOR UPDATE TO service_role USING (true) WITH CHECK (true);
CREATE POLICY fhir_validation_results_service ON public.fhir_validation_results FOR SELECT TO service_role
  USING (true);
CREATE POLICY fhir_api_audit_read ON public.fhir_api_audit FOR SELECT TO service_role USING (true);
CREATE POLICY fhir_api_audit_write ON public.fhir_api_audit FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY fhir_test_cases_service ON public.fhir_test_cases FOR SELECT TO service_role USING (true);
CREATE POLICY hl7_messages_read ON public.hl7_messages FOR SELECT TO service_role USING (true);
CREATE POLICY hl7_messages_insert ON public.hl7_messages FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY hl7_messages_update ON public.hl7_messages FOR UPDATE TO service_role USING (true) WITH CHECK (true);
CREATE POLICY hl7_to_fhir_conversions_read ON public.hl7_to_fhir_conversions FOR SELECT TO service_role USING (true);
CREATE POLICY hl7_to_fhir_conversions_insert ON public.hl7_to_fhir_conversions FOR INSERT TO service_role
  WITH CHECK (true);
CREATE POLICY hl7_to_fhir_conversions_update ON public.hl7_to_fhir_conversions FOR UPDATE TO service_role
  USING (true) WITH CHECK (true);
CREATE POLICY legacy_system_mappings_service ON public.legacy_system_mappings FOR SELECT TO service_role USING (true);
CREATE POLICY legacy_import_jobs_read ON public.legacy_import_jobs FOR SELECT TO service_role USING (true);
CREATE POLICY legacy_import_jobs_insert ON public.legacy_import_jobs FOR INSERT TO service_role WITH CHECK (true);
CREATE POLICY legacy_import_jobs_update ON public.legacy_import_jobs FOR UPDATE TO service_role
  USING (true) WITH CHECK (true);

REVOKE ALL ON public.fhir_patient_mappings, public.fhir_observations, public.fhir_medication_requests,
  public.fhir_document_references, public.consent_fhir_mappings, public.fhir_endpoints, public.fhir_oauth_configs,
  public.fhir_sync_jobs, public.fhir_validation_results, public.fhir_api_audit, public.fhir_test_cases,
  public.hl7_messages, public.hl7_to_fhir_conversions, public.legacy_system_mappings, public.legacy_import_jobs,
  public.fhir_performance_metrics, public.guardian_fhir_lab_observations, public.guardian_fhir_vital_observations,
  public.guardian_fhir_medication_statements, public.guardian_fhir_medication_requests,
  public.guardian_fhir_document_references, public.guardian_fhir_conditions,
  public.guardian_fhir_allergy_intolerances, public.guardian_fhir_practitioners, public.guardian_fhir_resources
  FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.fhir_patient_mappings, public.fhir_observations, public.fhir_medication_requests,
  public.fhir_document_references, public.consent_fhir_mappings, public.guardian_fhir_lab_observations,
  public.guardian_fhir_vital_observations, public.guardian_fhir_medication_statements,
  public.guardian_fhir_medication_requests, public.guardian_fhir_document_references, public.guardian_fhir_conditions,
  public.guardian_fhir_allergy_intolerances, public.guardian_fhir_practitioners, public.guardian_fhir_resources
  TO authenticated, service_role;
GRANT SELECT ON public.fhir_validation_results, public.fhir_api_audit, public.fhir_test_cases,
  public.legacy_system_mappings, public.fhir_performance_metrics TO service_role;
GRANT SELECT, INSERT, UPDATE ON public.fhir_sync_jobs, public.hl7_messages, public.hl7_to_fhir_conversions,
  public.legacy_import_jobs TO service_role;
GRANT INSERT (endpoint_id, operation, resource_type, resource_id, request_url, response_status, response_time_ms,
  data_transferred_bytes, guardian_user_id) ON public.fhir_api_audit TO service_role;

REVOKE ALL ON FUNCTION public.fhir_text(text), public.fhir_blood_pressure(numeric, numeric),
  public.fhir_patient_query(), public.guardian_fhir_patients(uuid[]), public.guardian_to_fhir_patient(uuid),
  public.guardian_to_fhir_observation(uuid), public.guardian_to_fhir_vital_observations(uuid),
  public.guardian_to_fhir_medication_statement(uuid), public.guardian_to_fhir_medication_request(uuid),
  public.guardian_to_fhir_document_reference(uuid), public.guardian_to_fhir_condition(uuid),
  public.guardian_to_fhir_allergy_intolerance(uuid), public.guardian_to_fhir_practitioner(uuid),
  public.guardian_fhir_consents(uuid, uuid[]), public.generate_fhir_consent_resource(uuid),
  public.guardian_to_fhir_bundle(uuid), public.fhir_time(text), public.fhir_element_rules(text),
  public.fhir_resource_issues(text, jsonb), public.fhir_completeness(text, jsonb),
  public.validate_fhir_resource(text, jsonb, text), public.run_fhir_test_cases(),
  public.require_valid_fhir(text, jsonb, text), public.fhir_server(text), public.fhir_referenced_patient(text, text),
  public.check_fhir_api_audit(), public.check_fhir_job_errors(), public.expire_fhir_exchange(integer),
  public.refuse_control_characters(), public.fhir_to_guardian_patient(jsonb, text, uuid),
  public.fhir_to_guardian_observation(jsonb, text), public.write_fhir_mapping(text, uuid, integer),
  public.refresh_fhir_mappings(uuid, integer), public.save_fhir_endpoint(text, text, text, jsonb),
  public.save_fhir_oauth_config(text, text, text, text, text, text, text),
  public.store_fhir_tokens(text, text, text, timestamptz), public.fhir_connection(text),
  public.fhir_endpoint_status(), public.hl7_conversion_patient()
  FROM PUBLIC, anon, authenticated, service_role;
-- The first two are called by the views, as whoever reads them.
GRANT EXECUTE ON FUNCTION public.fhir_text(text), public.fhir_blood_pressure(numeric, numeric),
  public.guardian_fhir_patients(uuid[]), public.guardian_to_fhir_patient(uuid),
  public.guardian_to_fhir_observation(uuid), public.guardian_to_fhir_vital_observations(uuid),
  public.guardian_to_fhir_medication_statement(uuid), public.guardian_to_fhir_medication_request(uuid),
  public.guardian_to_fhir_document_reference(uuid), public.guardian_to_fhir_condition(uuid),
  public.guardian_to_fhir_allergy_intolerance(uuid), public.guardian_to_fhir_practitioner(uuid),
  public.guardian_fhir_consents(uuid, uuid[]), public.generate_fhir_consent_resource(uuid),
  public.guardian_to_fhir_bundle(uuid) TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.validate_fhir_resource(text, jsonb, text),
  public.fhir_to_guardian_patient(jsonb, text, uuid), public.fhir_to_guardian_observation(jsonb, text),
  public.refresh_fhir_mappings(uuid, integer), public.store_fhir_tokens(text, text, text, timestamptz),
  public.fhir_connection(text), public.expire_fhir_exchange(integer) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.fhir_sync_jobs, public.fhir_validation_results, public.fhir_api_audit,
      public.fhir_test_cases, public.legacy_system_mappings, public.legacy_import_jobs,
      public.fhir_performance_metrics TO guardian_operator;
    ALTER POLICY fhir_validation_results_service ON public.fhir_validation_results TO service_role, guardian_operator;
    ALTER POLICY fhir_api_audit_read ON public.fhir_api_audit TO service_role, guardian_operator;
    ALTER POLICY fhir_test_cases_service ON public.fhir_test_cases TO service_role, guardian_operator;
    ALTER POLICY legacy_system_mappings_service ON public.legacy_system_mappings TO service_role, guardian_operator;
    ALTER POLICY fhir_sync_jobs_read ON public.fhir_sync_jobs TO service_role, guardian_operator;
    ALTER POLICY legacy_import_jobs_read ON public.legacy_import_jobs TO service_role, guardian_operator;
    GRANT EXECUTE ON FUNCTION public.validate_fhir_resource(text, jsonb, text), public.run_fhir_test_cases(),
      public.refresh_fhir_mappings(uuid, integer), public.save_fhir_endpoint(text, text, text, jsonb),
      public.save_fhir_oauth_config(text, text, text, text, text, text, text), public.fhir_endpoint_status(),
      public.expire_fhir_exchange(integer) TO guardian_operator;
  END IF;
END
$$;
