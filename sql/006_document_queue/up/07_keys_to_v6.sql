-- From here on v6 is locked. A deleted document or account takes its work along; who made a pipeline is forgotten.
ALTER TABLE public.document_processing_pipelines
  ADD CONSTRAINT document_processing_pipelines_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES auth.users (id) ON DELETE SET NULL;
ALTER TABLE public.document_processing_queue
  ADD CONSTRAINT document_processing_queue_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES auth.users (id) ON DELETE CASCADE,
  ADD CONSTRAINT document_processing_queue_document_id_fkey
    FOREIGN KEY (document_id) REFERENCES public.documents (id) ON DELETE CASCADE;
