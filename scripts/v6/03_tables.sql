-- Guardian v6 as it shipped: tables and policies. Run it as guardian_migrator with search_path public, extensions.

CREATE TABLE documents (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  s3_key text NOT NULL,
  original_name text,
  mime_type text,
  status text DEFAULT 'uploaded'
    CONSTRAINT documents_status_check CHECK (status IN ('uploaded', 'processing', 'completed', 'failed')),
  created_at timestamptz DEFAULT now(),
  extracted_text text,
  ocr_confidence numeric(5, 2),
  processed_at timestamptz,
  error_log text,
  medical_data jsonb,
  vision_confidence numeric(5, 2),
  overall_confidence numeric(5, 2),
  processing_method varchar(50) DEFAULT 'textract'
    CONSTRAINT documents_processing_method_check CHECK (processing_method IN ('textract', 'vision_plus_ocr', 'mock')),
  normalized_at timestamptz,
  normalization_status text DEFAULT 'pending'
    CONSTRAINT documents_normalization_status_check
    CHECK (normalization_status IN ('pending', 'processing', 'completed', 'failed')),
  normalization_errors jsonb
);
COMMENT ON COLUMN documents.s3_key IS 'Path in the storage bucket medical-docs: <user id>/<epoch ms>_<file name>';
COMMENT ON COLUMN documents.ocr_confidence IS 'Per cent, 0 to 100';
COMMENT ON COLUMN documents.error_log IS 'JSON as text, written by the edge function';
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY "user can read own docs" ON documents FOR SELECT USING (auth.uid() = user_id);
CREATE POLICY "user can insert own docs" ON documents FOR INSERT WITH CHECK (auth.uid() = user_id);
CREATE POLICY "user can update own docs" ON documents FOR UPDATE USING (auth.uid() = user_id);
CREATE POLICY "user can delete own docs" ON documents FOR DELETE USING (auth.uid() = user_id);

CREATE TABLE patient_medications (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  medication_name text NOT NULL,
  dosage text,
  frequency text,
  route text,
  prescriber text,
  status text DEFAULT 'active'
    CONSTRAINT patient_medications_status_check CHECK (status IN ('active', 'discontinued', 'completed', 'unknown')),
  start_date date,
  end_date date,
  source_document_ids uuid[] NOT NULL,
  confidence_score numeric(3, 2)
    CONSTRAINT patient_medications_confidence_check CHECK (confidence_score >= 0 AND confidence_score <= 1),
  last_confirmed_at timestamptz,
  normalized_name text,
  duplicate_group_id uuid,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE patient_allergies (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  allergen text NOT NULL,
  allergy_type text,
  severity text CONSTRAINT patient_allergies_severity_check
    CHECK (severity IN ('mild', 'moderate', 'severe', 'life-threatening', 'unknown')),
  reaction_description text,
  status text DEFAULT 'active'
    CONSTRAINT patient_allergies_status_check CHECK (status IN ('active', 'resolved', 'unconfirmed')),
  onset_date date,
  source_document_ids uuid[] NOT NULL,
  confidence_score numeric(3, 2)
    CONSTRAINT patient_allergies_confidence_check CHECK (confidence_score >= 0 AND confidence_score <= 1),
  last_confirmed_at timestamptz,
  normalized_allergen text,
  duplicate_group_id uuid,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE patient_conditions (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  condition_name text NOT NULL,
  icd10_code text,
  condition_category text,
  description text,
  status text DEFAULT 'active' CONSTRAINT patient_conditions_status_check
    CHECK (status IN ('active', 'resolved', 'in_remission', 'chronic', 'acute', 'unknown')),
  diagnosis_date date,
  resolution_date date,
  source_document_ids uuid[] NOT NULL,
  confidence_score numeric(3, 2)
    CONSTRAINT patient_conditions_confidence_check CHECK (confidence_score >= 0 AND confidence_score <= 1),
  last_confirmed_at timestamptz,
  normalized_condition text,
  duplicate_group_id uuid,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE patient_lab_results (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  test_name text NOT NULL,
  test_code text,
  result_value text NOT NULL,
  unit text,
  reference_range text,
  result_status text CONSTRAINT patient_lab_results_status_check
    CHECK (result_status IN ('normal', 'abnormal', 'critical', 'high', 'low', 'unknown')),
  test_date date NOT NULL,
  ordering_provider text,
  lab_facility text,
  source_document_id uuid NOT NULL REFERENCES documents (id),
  confidence_score numeric(3, 2)
    CONSTRAINT patient_lab_results_confidence_check CHECK (confidence_score >= 0 AND confidence_score <= 1),
  normalized_test_name text,
  numeric_value numeric(10, 3),
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
COMMENT ON COLUMN patient_lab_results.test_code IS 'LOINC or CPT code';
COMMENT ON COLUMN patient_lab_results.numeric_value IS 'The first number in result_value: 120/80 gives 120, <5 gives 5';

CREATE TABLE patient_vitals (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  measurement_date date NOT NULL,
  blood_pressure_systolic integer,
  blood_pressure_diastolic integer,
  heart_rate integer,
  temperature numeric(4, 1),
  weight numeric(5, 1),
  height numeric(5, 1),
  bmi numeric(4, 1),
  temperature_unit text DEFAULT 'F'
    CONSTRAINT patient_vitals_temperature_unit_check CHECK (temperature_unit IN ('F', 'C')),
  weight_unit text DEFAULT 'lbs' CONSTRAINT patient_vitals_weight_unit_check CHECK (weight_unit IN ('lbs', 'kg')),
  height_unit text DEFAULT 'in' CONSTRAINT patient_vitals_height_unit_check CHECK (height_unit IN ('in', 'cm')),
  measurement_context text,
  source_document_id uuid NOT NULL REFERENCES documents (id),
  confidence_score numeric(3, 2)
    CONSTRAINT patient_vitals_confidence_check CHECK (confidence_score >= 0 AND confidence_score <= 1),
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE patient_providers (
  id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
  user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
  provider_name text NOT NULL,
  specialty text,
  facility_name text,
  phone text,
  address text,
  provider_type text,
  relationship_status text DEFAULT 'active' CONSTRAINT patient_providers_relationship_check
    CHECK (relationship_status IN ('active', 'former', 'referred', 'unknown')),
  first_seen_date date,
  last_seen_date date,
  source_document_ids uuid[] NOT NULL,
  confidence_score numeric(3, 2)
    CONSTRAINT patient_providers_confidence_check CHECK (confidence_score >= 0 AND confidence_score <= 1),
  normalized_name text,
  duplicate_group_id uuid,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

ALTER TABLE patient_medications ENABLE ROW LEVEL SECURITY;
ALTER TABLE patient_allergies ENABLE ROW LEVEL SECURITY;
ALTER TABLE patient_conditions ENABLE ROW LEVEL SECURITY;
ALTER TABLE patient_lab_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE patient_vitals ENABLE ROW LEVEL SECURITY;
ALTER TABLE patient_providers ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users can only access their own medications" ON patient_medications USING (auth.uid() = user_id);
CREATE POLICY "Users can only access their own allergies" ON patient_allergies USING (auth.uid() = user_id);
CREATE POLICY "Users can only access their own conditions" ON patient_conditions USING (auth.uid() = user_id);
CREATE POLICY "Users can only access their own lab results" ON patient_lab_results USING (auth.uid() = user_id);
CREATE POLICY "Users can only access their own vitals" ON patient_vitals USING (auth.uid() = user_id);
CREATE POLICY "Users can only access their own providers" ON patient_providers USING (auth.uid() = user_id);
