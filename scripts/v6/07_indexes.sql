-- Guardian v6: indexes, after the rows. v6 makes the clinical ones CONCURRENTLY; in an idle database that changes nothing
-- but the time. Run it as guardian_migrator with search_path public, extensions.
CREATE INDEX documents_user_id_idx ON documents (user_id);
CREATE INDEX documents_created_at_idx ON documents (created_at);
CREATE INDEX documents_status_idx ON documents (status);
CREATE INDEX documents_processed_at_idx ON documents (processed_at);
CREATE INDEX documents_ocr_confidence_idx ON documents (ocr_confidence);
CREATE INDEX documents_error_log_idx ON documents (error_log) WHERE error_log IS NOT NULL;
CREATE INDEX documents_medical_data_idx ON documents USING gin (medical_data);
CREATE INDEX documents_vision_confidence_idx ON documents (vision_confidence);
CREATE INDEX documents_overall_confidence_idx ON documents (overall_confidence);
CREATE INDEX documents_processing_method_idx ON documents (processing_method);
CREATE INDEX documents_patient_name_idx ON documents (extract_patient_name(medical_data));
CREATE INDEX documents_document_type_idx ON documents (extract_document_type(medical_data));
CREATE INDEX documents_normalization_status_idx ON documents (normalization_status);
CREATE INDEX documents_normalized_at_idx ON documents (normalized_at);
-- A B-tree that holds a whole jsonb: a document of more than about 2.7 kB cannot be completed (v6's own fault).
CREATE INDEX documents_normalization_monitoring_idx ON documents (status, normalization_status, medical_data)
  WHERE status = 'completed' AND medical_data IS NOT NULL;

CREATE INDEX patient_medications_active_idx ON patient_medications (user_id, status) WHERE status = 'active';
CREATE INDEX patient_allergies_active_idx ON patient_allergies (user_id, status) WHERE status = 'active';
CREATE INDEX patient_conditions_active_idx ON patient_conditions (user_id, status) WHERE status = 'active';
CREATE INDEX patient_lab_results_recent_idx ON patient_lab_results (user_id, test_date DESC);
CREATE INDEX patient_vitals_recent_idx ON patient_vitals (user_id, measurement_date DESC);
CREATE INDEX medications_dedup_idx ON patient_medications (user_id, normalized_name, status);
CREATE INDEX allergies_dedup_idx ON patient_allergies (user_id, normalized_allergen, status);
CREATE INDEX conditions_dedup_idx ON patient_conditions (user_id, normalized_condition, status);
CREATE INDEX providers_dedup_idx ON patient_providers (user_id, normalized_name, relationship_status);
CREATE INDEX medications_search_idx ON patient_medications USING gin (to_tsvector('english', medication_name));
CREATE INDEX conditions_search_idx ON patient_conditions USING gin (to_tsvector('english', condition_name));
CREATE INDEX allergies_search_idx ON patient_allergies USING gin (to_tsvector('english', allergen));
CREATE INDEX medications_source_docs_idx ON patient_medications USING gin (source_document_ids);
CREATE INDEX allergies_source_docs_idx ON patient_allergies USING gin (source_document_ids);
CREATE INDEX conditions_source_docs_idx ON patient_conditions USING gin (source_document_ids);
CREATE INDEX providers_source_docs_idx ON patient_providers USING gin (source_document_ids);
