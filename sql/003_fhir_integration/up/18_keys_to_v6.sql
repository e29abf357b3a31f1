-- From here on v6 is locked. A deleted account takes all that is about it along, a deleted v6 row what was built of it.
ALTER TABLE public.fhir_patient_mappings
  ADD CONSTRAINT fhir_patient_mappings_guardian_user_id_fkey
    FOREIGN KEY (guardian_user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_observations
  ADD CONSTRAINT fhir_observations_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_observations_guardian_lab_result_id_fkey
    FOREIGN KEY (guardian_lab_result_id) REFERENCES public.patient_lab_results (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_observations_guardian_vital_id_fkey
    FOREIGN KEY (guardian_vital_id) REFERENCES public.patient_vitals (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_medication_requests
  ADD CONSTRAINT fhir_medication_requests_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_medication_requests_guardian_medication_id_fkey
    FOREIGN KEY (guardian_medication_id) REFERENCES public.patient_medications (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_document_references
  ADD CONSTRAINT fhir_document_references_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fhir_document_references_guardian_document_id_fkey
    FOREIGN KEY (guardian_document_id) REFERENCES public.documents (id) ON DELETE CASCADE;
ALTER TABLE public.consent_fhir_mappings
  ADD CONSTRAINT consent_fhir_mappings_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_sync_jobs
  ADD CONSTRAINT fhir_sync_jobs_patient_filter_fkey
    FOREIGN KEY (patient_filter) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.fhir_validation_results
  ADD CONSTRAINT fhir_validation_results_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.hl7_messages
  ADD CONSTRAINT hl7_messages_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.hl7_to_fhir_conversions
  ADD CONSTRAINT hl7_to_fhir_conversions_guardian_patient_id_fkey
    FOREIGN KEY (guardian_patient_id) REFERENCES auth.users (id) ON DELETE CASCADE;
ALTER TABLE public.legacy_import_jobs
  ADD CONSTRAINT legacy_import_jobs_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES auth.users (id) ON DELETE SET NULL;
