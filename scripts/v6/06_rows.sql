-- Synthetic rows for a v6 database; nobody in it exists. Run it as a superuser with triggers off (session_replication_role
-- replica), in a session that has the temporary table fixture (users, documents, clinical, profiles, seed, now): one row.
--
-- Every value follows from md5(seed, kind of row, number), so the same seed and the same now give the same rows on every
-- PostgreSQL version. The first rows of each table are specimens, one of every awkward kind, so that 100 users have them
-- all; among the later rows a small share is like them. OFFSET 0 keeps the planner from computing the digest again for
-- each column that uses it.

-- A version 4 uuid made of a digest.
CREATE FUNCTION pg_temp.key(digest text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (substr(digest, 1, 12) || '4' || substr(digest, 14, 3) || '8' || substr(digest, 18))::uuid
$$;
-- 0 … choices - 1, from seven hexadecimal digits of a digest beginning at `digit` (1 … 26).
CREATE FUNCTION pg_temp.pick(digest text, digit integer, choices integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(digest, digit, 7))::bit(28)::integer % choices
$$;

-- Users 1 and 13 to 20 and 2 % of the others are younger than a day: 10 minutes to 20 hours. All others are older than 30
-- hours, so that "older than a day" stays the same for hours.
INSERT INTO auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, last_sign_in_at,
  raw_app_meta_data, raw_user_meta_data, phone, is_sso_user, deleted_at, created_at, updated_at)
SELECT pg_temp.key(u.h), 'authenticated',
  CASE WHEN u.kind NOT IN (2, 4) THEN 'authenticated' END,
  CASE
    WHEN u.kind IN (3, 4) THEN NULL
    WHEN u.kind = 5 THEN 'user' || u.n + 1 || '@example.test' -- single sign-on, with the address of the next account
    WHEN u.kind = 7 THEN 'User' || u.n || '@Example.TEST'
    ELSE 'user' || u.n || '@example.test'
  END,
  'not-a-hash',
  CASE WHEN u.kind NOT IN (3, 4, 11) THEN f.now - u.age END,
  CASE WHEN pg_temp.pick(u.h, 20, 3) > 0 THEN f.now - u.age * 0.5 END,
  CASE
    WHEN u.kind = 12 THEN '{"provider": "email", "role": "admin"}'
    WHEN u.kind = 5 THEN '{"provider": "sso"}'
    ELSE '{"provider": "email"}'
  END::jsonb,
  CASE
    WHEN u.kind = 8 THEN jsonb_build_object('name', 'Zoë Ångström-李 ' || u.n)
    WHEN pg_temp.pick(u.h, 22, 2) = 0 THEN jsonb_build_object('name', 'Synthetic Person ' || u.n)
  END,
  CASE WHEN u.kind IN (3, 4) THEN '61000' || u.n END,
  u.kind = 5,
  CASE WHEN u.kind = 10 THEN f.now - u.age * 0.1 END,
  CASE WHEN u.kind <> 9 THEN f.now - u.age END,
  f.now - u.age * 0.5
FROM fixture f, generate_series(1, f.users) AS g (n),
  LATERAL (
    SELECT g.n, d.h, k.kind,
      CASE
        WHEN k.kind = 1 OR k.kind BETWEEN 13 AND 20 OR k.kind > 980
          THEN make_interval(mins => 10 + pg_temp.pick(d.h, 8, 1190))
        ELSE make_interval(mins => 1800 + pg_temp.pick(d.h, 8, 1500000))
      END AS age
    FROM (SELECT md5(f.seed || ' user ' || g.n) AS h OFFSET 0) d,
      LATERAL (SELECT CASE WHEN g.n <= 20 THEN g.n ELSE 1 + pg_temp.pick(d.h, 1, 1000) END AS kind OFFSET 0) k
    OFFSET 0
  ) u;

-- Seven users of ten have a profile, where the installation has profiles at all.
DO $load$
BEGIN
  IF NOT (SELECT profiles FROM fixture) THEN
    RETURN;
  END IF;
  INSERT INTO public.user_profiles (user_id, language, timezone, first_name, last_name, date_of_birth, phone,
    created_at, updated_at)
  SELECT pg_temp.key(md5(f.seed || ' user ' || p.n)),
    CASE p.kind
      WHEN 3 THEN 'en-AU' WHEN 4 THEN 'fr' WHEN 5 THEN 'EN' WHEN 6 THEN 'english' WHEN 7 THEN '' WHEN 8 THEN NULL
      WHEN 9 THEN 'xx!!' WHEN 17 THEN ' de ' WHEN 18 THEN 'en_US' WHEN 19 THEN 'zh-Hant-TW'
      ELSE (ARRAY['en', 'en', 'en', 'en', 'en', 'en-AU', 'en-AU', 'fr', 'de', 'es'])[1 + pg_temp.pick(p.h, 8, 10)]
    END,
    CASE p.kind
      WHEN 8 THEN 'Mars/Olympus_Mons' WHEN 13 THEN '' WHEN 14 THEN 'EST5EDT' WHEN 15 THEN 'utc' WHEN 16 THEN '+10:00'
      WHEN 19 THEN NULL WHEN 9 THEN 'australia/sydney'
      ELSE (ARRAY['Australia/Sydney', 'UTC', 'Europe/Paris', 'America/New_York', 'Asia/Kolkata'])
        [1 + pg_temp.pick(p.h, 12, 5)]
    END,
    CASE WHEN p.kind = 14 THEN 'Zoë' WHEN p.kind = 15 THEN '李' WHEN p.kind <> 16 THEN 'Synthetic' END,
    CASE WHEN p.kind <> 16 THEN 'Person ' || p.n END,
    date '1930-01-01' + pg_temp.pick(p.h, 16, 27000),
    NULL,
    f.now - make_interval(mins => 5 + pg_temp.pick(p.h, 20, 500000)),
    f.now - make_interval(mins => 5 + pg_temp.pick(p.h, 20, 500000) / 2)
  FROM fixture f, generate_series(1, f.users) AS g (n),
    LATERAL (
      SELECT g.n, d.h, CASE WHEN g.n <= 20 THEN g.n ELSE 1 + pg_temp.pick(d.h, 1, 1000) END AS kind
      FROM (SELECT md5(f.seed || ' profile ' || g.n) AS h OFFSET 0) d
      OFFSET 0
    ) p
  WHERE g.n % 10 >= 3;
END
$load$;

-- Documents, first as a list that the clinical rows refer to by number.
CREATE TEMPORARY TABLE fixture_documents ON COMMIT DROP AS
SELECT g.n, d.h, d.kind, pg_temp.key(d.h) AS id, d.owner,
  CASE WHEN d.kind <> 4 THEN u.id END AS user_id,
  f.now - (least(f.now - u.created_at, interval '3 years') * ((1 + pg_temp.pick(d.h, 15, 999)) / 1000.0)) AS created_at,
  CASE
    WHEN d.kind = 1 THEN 'uploaded' WHEN d.kind = 2 THEN 'processing' WHEN d.kind = 3 THEN 'failed'
    WHEN d.kind = 5 THEN NULL WHEN d.kind <= 10 THEN 'completed'
    ELSE (ARRAY['uploaded', 'processing', 'failed', 'completed', 'completed', 'completed', 'completed', 'completed',
      'completed', 'completed', 'completed', 'completed'])[1 + pg_temp.pick(d.h, 19, 12)]
  END AS status
FROM fixture f, generate_series(1, f.documents) AS g (n),
  LATERAL (
    SELECT h, CASE WHEN g.n <= 10 THEN g.n ELSE 1 + pg_temp.pick(h, 1, 500) END AS kind,
      1 + pg_temp.pick(h, 8, f.users) AS owner
    FROM (SELECT md5(f.seed || ' document ' || g.n) AS h OFFSET 0) x
    OFFSET 0
  ) d,
  auth.users u
WHERE u.id = pg_temp.key(md5(f.seed || ' user ' || d.owner));
UPDATE fixture_documents SET created_at = (SELECT now - interval '90 days' FROM fixture) WHERE created_at IS NULL;

INSERT INTO public.documents (id, user_id, s3_key, original_name, mime_type, status, created_at, extracted_text,
  ocr_confidence, processed_at, error_log, medical_data, vision_confidence, overall_confidence, processing_method,
  normalized_at, normalization_status, normalization_errors)
SELECT d.id, d.user_id,
  coalesce(d.user_id::text, 'nobody') || '/' || floor(extract(epoch FROM d.created_at) * 1000)::bigint || '_scan.pdf',
  CASE d.kind WHEN 6 THEN 'Röntgen-Befund 検査.pdf' WHEN 7 THEN 'LAB Report FINAL.PDF' WHEN 8 THEN NULL
    ELSE 'scan-' || d.n || '.pdf' END,
  CASE WHEN d.kind = 9 THEN 'image/jpeg' WHEN d.kind <> 8 THEN 'application/pdf' END,
  d.status, d.created_at,
  CASE WHEN d.status = 'completed' THEN 'Synthetic text of document ' || d.n || ', digest ' || d.h END,
  CASE WHEN d.status = 'completed' THEN 60 + pg_temp.pick(d.h, 3, 4000) / 100.0 END,
  CASE WHEN d.status IN ('completed', 'failed') THEN d.created_at + interval '2 minutes' END,
  CASE WHEN d.status = 'failed' THEN '{"error": "no text found", "stage": "ocr"}' END,
  CASE WHEN d.status = 'completed' THEN jsonb_build_object(
    'documentType', (ARRAY['lab_report', 'discharge_summary', 'prescription', 'referral'])[1 + pg_temp.pick(d.h, 5, 4)],
    'patientInfo', jsonb_build_object('name', 'Synthetic Person ' || d.owner, 'mrn', 'MRN-' || d.owner),
    'medicalData', jsonb_build_object(
      'medications', '[]'::jsonb,
      'labResults', jsonb_build_array(jsonb_build_object('test', 'Glucose', 'value', pg_temp.pick(d.h, 7, 90) + 60)),
      'vitals', jsonb_build_object('bloodPressure', '120/80')),
    'dates', jsonb_build_object('documentDate', d.created_at::date),
    'confidence', jsonb_build_object('overall', pg_temp.pick(d.h, 9, 100) / 100.0)) END,
  CASE WHEN d.status = 'completed' THEN pg_temp.pick(d.h, 4, 10000) / 100.0 END,
  CASE WHEN d.status = 'completed' THEN pg_temp.pick(d.h, 6, 10000) / 100.0 END,
  CASE d.kind WHEN 9 THEN 'mock' WHEN 10 THEN 'vision_plus_ocr' ELSE 'textract' END,
  CASE WHEN d.status = 'completed' AND pg_temp.pick(d.h, 11, 40) = 0 THEN d.created_at + interval '5 minutes' END,
  CASE
    WHEN d.status IS DISTINCT FROM 'completed' THEN 'pending'
    WHEN pg_temp.pick(d.h, 11, 40) = 0 THEN 'completed'
    ELSE 'failed'
  END,
  CASE WHEN d.status = 'completed' AND pg_temp.pick(d.h, 11, 40) <> 0
    THEN '[{"error": "function http_post(url => text, headers => jsonb, body => text) does not exist"}]'::jsonb END
FROM fixture_documents d;

-- Which document and owner a clinical row has: from the digest of kind and number. Of the rows, 30 % are laboratory
-- results, 25 % medications, 15 % conditions, 12 % vitals, 10 % allergies, the rest providers.
CREATE TEMPORARY TABLE fixture_clinical ON COMMIT DROP AS
SELECT q.name, g.n, pg_temp.key(md5(f.seed || ' ' || q.name || ' ' || g.n)) AS id, x.h, x.kind,
  d.id AS document_id, d.user_id, d.created_at,
  pg_temp.pick(x.h, 13, 101) / 100.0 AS confidence
FROM fixture f,
  LATERAL (
    SELECT name, share FROM (VALUES ('lab', f.clinical * 30 / 100), ('medication', f.clinical * 25 / 100),
      ('condition', f.clinical * 15 / 100), ('vital', f.clinical * 12 / 100), ('allergy', f.clinical * 10 / 100),
      ('provider', f.clinical - f.clinical * 30 / 100 - f.clinical * 25 / 100 - f.clinical * 15 / 100
        - f.clinical * 12 / 100 - f.clinical * 10 / 100)) AS v (name, share)
  ) q,
  generate_series(1, q.share) AS g (n),
  -- The fifth laboratory result and its like repeat the one before, as every repeated normalisation does in v6.
  LATERAL (
    SELECT g.n - CASE WHEN q.name = 'lab' AND (g.n = 5 OR g.n > 20 AND g.n % 40 = 0) THEN 1 ELSE 0 END AS source OFFSET 0
  ) s,
  LATERAL (
    SELECT h, CASE WHEN s.source <= 10 THEN s.source ELSE 1 + pg_temp.pick(h, 1, 500) END AS kind
    FROM (SELECT md5(f.seed || ' ' || q.name || ' content ' || s.source) AS h OFFSET 0) z
    OFFSET 0
  ) x,
  fixture_documents d
WHERE d.n = 1 + pg_temp.pick(x.h, 8, f.documents);

INSERT INTO public.patient_lab_results (id, user_id, test_name, test_code, result_value, unit, reference_range,
  result_status, test_date, ordering_provider, lab_facility, source_document_id, confidence_score,
  normalized_test_name, numeric_value, created_at, updated_at)
SELECT c.id, CASE WHEN c.kind <> 6 THEN c.user_id END, t.name, CASE WHEN c.kind = 8 THEN t.code END,
  t.value, t.unit, t.range,
  (ARRAY['normal', 'abnormal', 'critical', 'high', 'low', 'unknown', NULL])[1 + pg_temp.pick(c.h, 16, 7)],
  c.created_at::date, 'Dr Synthetic', 'Synthetic Laboratory', c.document_id, nullif(c.confidence, 0),
  lower(t.name), substring(t.value FROM '[0-9]+\.?[0-9]*')::numeric, c.created_at, c.created_at
FROM fixture_clinical c,
  LATERAL (
    SELECT * FROM (VALUES
      (1, 'C-Reactive Protein', '1988-5', '<5', 'mg/L', '<5'),
      (2, 'SARS-CoV-2 Antigen', NULL, 'Positive', NULL, 'Negative'),
      (3, 'Blood Pressure', NULL, '120/80', 'mmHg', NULL),
      (7, 'CREATININE', '14682-9', '72.5', 'µmol/L', '45-90'),
      (9, 'Urine culture', NULL, 'no growth', NULL, NULL),
      (10, 'Platelets', '777-3', '1,234.5', '10^9/L', '150-400')
    ) AS special (kind, name, code, value, unit, range)
    WHERE special.kind = c.kind
    UNION ALL
    SELECT 0, 'Hemoglobin A1c', '4548-4', (4 + pg_temp.pick(c.h, 20, 80) / 10.0)::numeric(4, 1)::text, '%', '4.0-5.6'
    WHERE c.kind NOT IN (1, 2, 3, 7, 9, 10)
    OFFSET 0
  ) t
WHERE c.name = 'lab';

INSERT INTO public.patient_medications (id, user_id, medication_name, dosage, frequency, route, prescriber, status,
  start_date, end_date, source_document_ids, confidence_score, last_confirmed_at, normalized_name, created_at, updated_at)
SELECT c.id, CASE WHEN c.kind <> 2 THEN c.user_id END, m.name,
  CASE WHEN c.kind <> 4 THEN 5 * (1 + pg_temp.pick(c.h, 16, 20)) || ' mg' END,
  CASE WHEN c.kind = 4 THEN 'as directed' ELSE 'once daily' END, CASE WHEN c.kind <> 5 THEN 'oral' END, 'Dr Synthetic',
  CASE c.kind WHEN 1 THEN 'unknown' WHEN 5 THEN NULL
    ELSE (ARRAY['active', 'active', 'active', 'discontinued', 'completed'])[1 + pg_temp.pick(c.h, 18, 5)] END,
  c.created_at::date - 30, CASE WHEN c.kind = 6 THEN c.created_at::date - 60 END, -- ends before it begins
  ARRAY[c.document_id], nullif(c.confidence, 0), c.created_at, lower(m.name), c.created_at, c.created_at
FROM fixture_clinical c,
  LATERAL (
    SELECT CASE c.kind WHEN 3 THEN 'METFORMIN Hydrochloride' WHEN 7 THEN 'Paracétamol' ELSE
      (ARRAY['Metformin', 'Lisinopril', 'Atorvastatin', 'Amlodipine'])[1 + pg_temp.pick(c.h, 20, 4)] END AS name
    OFFSET 0
  ) m
WHERE c.name = 'medication';

INSERT INTO public.patient_conditions (id, user_id, condition_name, icd10_code, condition_category, status,
  diagnosis_date, resolution_date, source_document_ids, confidence_score, normalized_condition, created_at, updated_at)
SELECT c.id, CASE WHEN c.kind <> 4 THEN c.user_id END, m.name, CASE WHEN c.kind = 5 THEN 'I10' END, 'chronic disease',
  CASE c.kind WHEN 1 THEN 'unknown' WHEN 2 THEN 'in_remission' WHEN 3 THEN 'acute' WHEN 6 THEN NULL
    ELSE (ARRAY['active', 'resolved', 'chronic'])[1 + pg_temp.pick(c.h, 16, 3)] END,
  c.created_at::date - 400, CASE WHEN c.kind = 7 THEN c.created_at::date END,
  ARRAY[c.document_id], nullif(c.confidence, 0), lower(m.name), c.created_at, c.created_at
FROM fixture_clinical c,
  LATERAL (
    SELECT (ARRAY['Essential Hypertension', 'Type 2 Diabetes Mellitus', 'asthma', 'Ménière disease'])
      [1 + pg_temp.pick(c.h, 20, 4)] AS name
    OFFSET 0
  ) m
WHERE c.name = 'condition';

INSERT INTO public.patient_vitals (id, user_id, measurement_date, blood_pressure_systolic, blood_pressure_diastolic,
  heart_rate, temperature, weight, height, bmi, temperature_unit, weight_unit, height_unit, measurement_context,
  source_document_id, confidence_score, created_at, updated_at)
SELECT c.id, CASE WHEN c.kind <> 3 THEN c.user_id END, c.created_at::date,
  CASE WHEN c.kind <> 6 THEN 100 + pg_temp.pick(c.h, 16, 60) END,
  CASE WHEN c.kind NOT IN (5, 6) THEN 60 + pg_temp.pick(c.h, 17, 40) END, -- 5: systolic alone
  CASE WHEN c.kind <> 6 THEN 50 + pg_temp.pick(c.h, 18, 60) END,
  CASE WHEN c.kind = 4 THEN 98.6 WHEN c.kind = 6 THEN NULL -- 4: a Fahrenheit reading that says Celsius
    WHEN m.metric THEN 36 + pg_temp.pick(c.h, 19, 30) / 10.0 ELSE 97 + pg_temp.pick(c.h, 19, 40) / 10.0 END,
  CASE WHEN c.kind <= 2 THEN CASE WHEN m.metric THEN 70.5 ELSE 155.4 END END,
  CASE WHEN c.kind <= 2 THEN CASE WHEN m.metric THEN 172 ELSE 67.7 END END,
  CASE WHEN c.kind <= 2 THEN 23.8 END,
  CASE WHEN m.metric THEN 'C' ELSE 'F' END, CASE WHEN m.metric THEN 'kg' ELSE 'lbs' END,
  CASE WHEN m.metric THEN 'cm' ELSE 'in' END, CASE WHEN c.kind = 1 THEN 'seated' END,
  c.document_id, nullif(c.confidence, 0), c.created_at, c.created_at
FROM fixture_clinical c,
  LATERAL (SELECT c.kind IN (2, 4) OR c.kind > 2 AND pg_temp.pick(c.h, 20, 2) = 0 AS metric OFFSET 0) m
WHERE c.name = 'vital';

INSERT INTO public.patient_allergies (id, user_id, allergen, allergy_type, severity, reaction_description, status,
  onset_date, source_document_ids, confidence_score, normalized_allergen, created_at, updated_at)
SELECT c.id, CASE WHEN c.kind <> 3 THEN c.user_id END, m.name, CASE WHEN c.kind = 4 THEN 'Drug (antibiotic)' END,
  CASE c.kind WHEN 1 THEN 'life-threatening' WHEN 2 THEN 'unknown' WHEN 5 THEN NULL
    ELSE (ARRAY['mild', 'moderate', 'severe'])[1 + pg_temp.pick(c.h, 16, 3)] END,
  CASE WHEN c.kind = 1 THEN 'anaphylaxis' ELSE 'rash' END,
  CASE c.kind WHEN 2 THEN 'unconfirmed' WHEN 6 THEN NULL
    ELSE (ARRAY['active', 'active', 'resolved'])[1 + pg_temp.pick(c.h, 18, 3)] END,
  c.created_at::date - 1000, ARRAY[c.document_id], nullif(c.confidence, 0), lower(m.name), c.created_at, c.created_at
FROM fixture_clinical c,
  LATERAL (
    SELECT (ARRAY['Penicillin', 'PEANUTS', 'latex', 'Crème de noisette'])[1 + pg_temp.pick(c.h, 20, 4)] AS name OFFSET 0
  ) m
WHERE c.name = 'allergy';

INSERT INTO public.patient_providers (id, user_id, provider_name, specialty, facility_name, phone, address,
  provider_type, relationship_status, first_seen_date, last_seen_date, source_document_ids, confidence_score,
  normalized_name, created_at, updated_at)
SELECT c.id, CASE WHEN c.kind <> 3 THEN c.user_id END, m.name, 'General Practice', 'Synthetic Clinic', NULL, NULL,
  CASE WHEN c.kind = 2 THEN 'clinic' ELSE 'physician' END,
  CASE c.kind WHEN 1 THEN 'unknown' WHEN 4 THEN NULL
    ELSE (ARRAY['active', 'former', 'referred'])[1 + pg_temp.pick(c.h, 16, 3)] END,
  c.created_at::date - 200, c.created_at::date, ARRAY[c.document_id], nullif(c.confidence, 0), lower(m.name),
  c.created_at, c.created_at
FROM fixture_clinical c, LATERAL (SELECT 'Dr Synthetic ' || 1 + pg_temp.pick(c.h, 20, 500) AS name OFFSET 0) m
WHERE c.name = 'provider';
