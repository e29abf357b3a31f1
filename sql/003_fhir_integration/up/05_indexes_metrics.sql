-- Indexes, and the one view over the tables alone.

-- Every key to v6 has an index: deleting an account or a v6 row looks each of them up.
CREATE UNIQUE INDEX fhir_endpoints_system_name_key ON public.fhir_endpoints (lower(system_name));
CREATE INDEX fhir_patient_mappings_user_idx ON public.fhir_patient_mappings (guardian_user_id);
CREATE INDEX fhir_observations_patient_idx ON public.fhir_observations (guardian_patient_id, effective_datetime DESC);
CREATE INDEX fhir_observations_code_idx ON public.fhir_observations USING gin (code jsonb_path_ops);
CREATE INDEX fhir_observations_lab_result_idx ON public.fhir_observations (guardian_lab_result_id)
  WHERE guardian_lab_result_id IS NOT NULL;
CREATE INDEX fhir_observations_vital_idx ON public.fhir_observations (guardian_vital_id)
  WHERE guardian_vital_id IS NOT NULL;
CREATE INDEX fhir_medication_requests_patient_idx
  ON public.fhir_medication_requests (guardian_patient_id, authored_on DESC);
CREATE INDEX fhir_medication_requests_medication_idx ON public.fhir_medication_requests (guardian_medication_id)
  WHERE guardian_medication_id IS NOT NULL;
CREATE INDEX fhir_document_references_patient_idx ON public.fhir_document_references (guardian_patient_id, date DESC);
CREATE INDEX fhir_document_references_document_idx ON public.fhir_document_references (guardian_document_id)
  WHERE guardian_document_id IS NOT NULL;
CREATE INDEX consent_fhir_mappings_patient_idx ON public.consent_fhir_mappings (guardian_patient_id);
CREATE INDEX fhir_sync_jobs_endpoint_idx ON public.fhir_sync_jobs (endpoint_id, created_at);
CREATE INDEX fhir_sync_jobs_open_idx ON public.fhir_sync_jobs (created_at) WHERE status IN ('pending', 'running');
CREATE INDEX fhir_sync_jobs_patient_idx ON public.fhir_sync_jobs (patient_filter) WHERE patient_filter IS NOT NULL;
CREATE INDEX fhir_validation_results_resource_idx
  ON public.fhir_validation_results (resource_type, resource_id, created_at DESC);
CREATE INDEX fhir_validation_results_patient_idx ON public.fhir_validation_results (guardian_patient_id)
  WHERE guardian_patient_id IS NOT NULL;
CREATE INDEX fhir_api_audit_created_idx ON public.fhir_api_audit (created_at, endpoint_id);
CREATE INDEX fhir_api_audit_user_idx ON public.fhir_api_audit (guardian_user_id, created_at)
  WHERE guardian_user_id IS NOT NULL;
CREATE UNIQUE INDEX hl7_messages_control_key ON public.hl7_messages
  (sending_application, sending_facility, message_control_id) NULLS NOT DISTINCT;
CREATE INDEX hl7_messages_patient_idx ON public.hl7_messages (guardian_patient_id)
  WHERE guardian_patient_id IS NOT NULL;
CREATE INDEX hl7_messages_open_idx ON public.hl7_messages (received_at)
  WHERE processing_status NOT IN ('processed', 'rejected');
CREATE INDEX hl7_to_fhir_conversions_message_idx ON public.hl7_to_fhir_conversions (hl7_message_id);
CREATE INDEX hl7_to_fhir_conversions_patient_idx ON public.hl7_to_fhir_conversions (guardian_patient_id)
  WHERE guardian_patient_id IS NOT NULL;
CREATE INDEX legacy_import_jobs_created_by_idx ON public.legacy_import_jobs (created_by) WHERE created_by IS NOT NULL;

CREATE VIEW public.fhir_performance_metrics WITH (security_invoker = true) AS
SELECT a.endpoint_id, a.resource_type, a.operation, count(*) AS requests,
  round(avg(a.response_time_ms), 1) AS average_ms,
  percentile_cont(0.95) WITHIN GROUP (ORDER BY a.response_time_ms) AS p95_ms,
  count(*) FILTER (WHERE a.response_status >= 400 OR a.response_status IS NULL) AS errors,
  round(avg(a.data_transferred_bytes)) AS average_bytes
FROM public.fhir_api_audit AS a
WHERE a.created_at > now() - interval '24 hours'
GROUP BY a.endpoint_id, a.resource_type, a.operation;
COMMENT ON VIEW public.fhir_performance_metrics IS 'Calls of the last 24 hours by endpoint, type and operation.';
COMMENT ON COLUMN public.fhir_performance_metrics.errors IS 'Calls answered with 400 or more, or not at all.';
