-- Guardian v6: functions and triggers, with v6's own faults: none pins search_path, and the HTTP call uses parameter
-- names that http_post does not have, so that every completed document ends with normalization_status 'failed'.
-- Run it as guardian_migrator with search_path public, extensions.

CREATE FUNCTION extract_patient_name(data jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN data -> 'patientInfo' ->> 'name';
END
$$;

CREATE FUNCTION extract_document_type(data jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN data ->> 'documentType';
END
$$;

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$$;

CREATE FUNCTION trigger_document_normalization() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  base text := coalesce(nullif(current_setting('app.supabase_url', true), ''), 'http://localhost:54321');
  service_key text := current_setting('app.service_role_key', true);
  answer record;
BEGIN
  IF NEW.status IS DISTINCT FROM 'completed' OR NEW.medical_data IS NULL
    OR coalesce(NEW.normalization_status, 'pending') <> 'pending' THEN
    RETURN NEW;
  END IF;
  BEGIN
    SELECT * INTO answer FROM http_post(
      url := base || '/functions/v1/document-normalizer',
      headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || service_key),
      body := jsonb_build_object('document_id', NEW.id, 'user_id', NEW.user_id)::text
    );
    IF answer.status NOT BETWEEN 200 AND 299 THEN
      RAISE EXCEPTION 'the normalizer answered %', answer.status;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    UPDATE documents
    SET normalization_status = 'failed',
        normalization_errors = jsonb_build_array(jsonb_build_object('error', SQLERRM, 'timestamp', now()))
    WHERE id = NEW.id;
  END;
  RETURN NEW;
END
$$;

CREATE FUNCTION manually_trigger_normalization(document_id_param uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  base text := coalesce(nullif(current_setting('app.supabase_url', true), ''), 'http://localhost:54321');
  doc documents%ROWTYPE;
  answer record;
BEGIN
  SELECT * INTO doc FROM documents WHERE id = document_id_param;
  IF NOT FOUND THEN
    RETURN jsonb_build_object('success', false, 'error', 'document not found');
  END IF;
  SELECT * INTO answer FROM http_post(
    url := base || '/functions/v1/document-normalizer',
    headers := jsonb_build_object('Content-Type', 'application/json'),
    body := jsonb_build_object('document_id', doc.id, 'user_id', doc.user_id)::text
  );
  RETURN jsonb_build_object('success', answer.status BETWEEN 200 AND 299, 'status', answer.status);
EXCEPTION WHEN OTHERS THEN
  RETURN jsonb_build_object('success', false, 'error', SQLERRM);
END
$$;

CREATE FUNCTION batch_normalize_documents(limit_count integer DEFAULT 10) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  doc record;
  outcome jsonb;
  done integer := 0;
  errors integer := 0;
BEGIN
  FOR doc IN
    SELECT id FROM documents
    WHERE status = 'completed' AND medical_data IS NOT NULL
      AND coalesce(normalization_status, 'pending') IN ('pending', 'failed')
    ORDER BY created_at DESC
    LIMIT limit_count
  LOOP
    outcome := manually_trigger_normalization(doc.id);
    IF (outcome ->> 'success')::boolean THEN
      done := done + 1;
    ELSE
      errors := errors + 1;
    END IF;
  END LOOP;
  RETURN jsonb_build_object('processed', done, 'errors', errors);
END
$$;

CREATE FUNCTION get_normalization_stats() RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object(
    'total_documents', count(*),
    'completed_documents', count(*) FILTER (WHERE status = 'completed'),
    'with_medical_data', count(*) FILTER (WHERE status = 'completed' AND medical_data IS NOT NULL),
    'normalized', count(*) FILTER (WHERE normalization_status = 'completed'),
    'pending', count(*) FILTER (WHERE normalization_status = 'pending'),
    'failed', count(*) FILTER (WHERE normalization_status = 'failed'),
    'percentage', round(100.0 * count(*) FILTER (WHERE normalization_status = 'completed')
      / nullif(count(*) FILTER (WHERE status = 'completed' AND medical_data IS NOT NULL), 0), 2)
  ) FROM documents
$$;

GRANT EXECUTE ON FUNCTION manually_trigger_normalization(uuid) TO authenticated;
GRANT EXECUTE ON FUNCTION get_normalization_stats() TO authenticated;

CREATE TRIGGER documents_normalization_trigger AFTER INSERT OR UPDATE ON documents
  FOR EACH ROW EXECUTE FUNCTION trigger_document_normalization();
CREATE TRIGGER update_patient_medications_updated_at BEFORE UPDATE ON patient_medications
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_patient_allergies_updated_at BEFORE UPDATE ON patient_allergies
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_patient_conditions_updated_at BEFORE UPDATE ON patient_conditions
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_patient_lab_results_updated_at BEFORE UPDATE ON patient_lab_results
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_patient_vitals_updated_at BEFORE UPDATE ON patient_vitals
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_patient_providers_updated_at BEFORE UPDATE ON patient_providers
  FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
