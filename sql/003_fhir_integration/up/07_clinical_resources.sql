-- Resources built from v6 rows, all but Observations, Patients and Consents; at the end all of them in one view.

CREATE VIEW public.guardian_fhir_medication_statements WITH (security_invoker = true) AS
SELECT m.id AS source_id, m.user_id AS patient_id, m.id::text AS fhir_id,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'MedicationStatement',
    'id', m.id,
    'basedOn', jsonb_build_array(jsonb_build_object('reference', 'MedicationRequest/' || m.id)),
    'status', CASE m.status WHEN 'active' THEN 'active' WHEN 'completed' THEN 'completed'
      WHEN 'discontinued' THEN 'stopped' ELSE 'unknown' END,
    'medicationCodeableConcept', jsonb_build_object('text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || m.user_id),
    'effectivePeriod', CASE WHEN num_nonnulls(t.start_date, t.end_date) > 0
      THEN jsonb_build_object('start', t.start_date, 'end', t.end_date) END,
    'dateAsserted', to_char(t.asserted AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'dosage', CASE WHEN num_nonnulls(t.dose, t.route) > 0 THEN jsonb_build_array(jsonb_build_object(
      'text', t.dose, 'route', CASE WHEN t.route IS NOT NULL THEN jsonb_build_object('text', t.route) END)) END,
    'note', CASE WHEN m.end_date < m.start_date THEN jsonb_build_array(jsonb_build_object('text',
      'An end before the start is recorded and left out: ' || (to_jsonb(m.end_date) #>> '{}'))) END,
    'derivedFrom', (SELECT jsonb_agg(jsonb_build_object('reference', 'DocumentReference/' || d))
      FROM unnest(m.source_document_ids) AS d WHERE d IS NOT NULL)
  )) AS resource
FROM public.patient_medications AS m
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(m.medication_name), public.fhir_text(m.normalized_name)) AS name,
    public.fhir_text(concat_ws(' ', m.dosage, m.frequency)) AS dose, public.fhir_text(m.route) AS route,
    CASE WHEN m.start_date BETWEEN '0001-01-01' AND '9999-12-31' THEN m.start_date END AS start_date,
    CASE WHEN m.end_date BETWEEN '0001-01-01' AND '9999-12-31' AND (m.end_date < m.start_date) IS NOT TRUE
      THEN m.end_date END AS end_date,
    CASE WHEN coalesce(m.last_confirmed_at, m.created_at) BETWEEN '0001-01-02Z' AND '9999-12-31Z'
      THEN coalesce(m.last_confirmed_at, m.created_at) END AS asserted
  OFFSET 0
) AS t
WHERE m.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_medication_statements IS
  'MedicationStatements of patient_medications: what documents say that a patient takes.';

CREATE VIEW public.guardian_fhir_medication_requests WITH (security_invoker = true) AS
SELECT m.id AS source_id, m.user_id AS patient_id, m.id::text AS fhir_id,
  '1 ' || coalesce(extract(epoch FROM m.updated_at)::text, '') AS source_version, t.start_date,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'MedicationRequest',
    'id', m.id,
    'status', CASE m.status WHEN 'active' THEN 'active' WHEN 'completed' THEN 'completed'
      WHEN 'discontinued' THEN 'stopped' ELSE 'unknown' END,
    'intent', CASE WHEN t.prescriber IS NULL THEN 'plan' ELSE 'order' END,
    'reportedBoolean', true,
    'medicationCodeableConcept', jsonb_build_object('text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || m.user_id),
    'authoredOn', t.start_date,
    'requester', CASE WHEN t.prescriber IS NOT NULL THEN jsonb_build_object('display', t.prescriber) END,
    'dosageInstruction', CASE WHEN num_nonnulls(t.dose, t.route) > 0 THEN jsonb_build_array(jsonb_build_object(
      'text', t.dose, 'route', CASE WHEN t.route IS NOT NULL THEN jsonb_build_object('text', t.route) END)) END,
    'supportingInformation', (SELECT jsonb_agg(jsonb_build_object('reference', 'DocumentReference/' || d))
      FROM unnest(m.source_document_ids) AS d WHERE d IS NOT NULL)
  )) AS resource
FROM public.patient_medications AS m
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(m.medication_name), public.fhir_text(m.normalized_name)) AS name,
    public.fhir_text(concat_ws(' ', m.dosage, m.frequency)) AS dose, public.fhir_text(m.route) AS route,
    public.fhir_text(m.prescriber) AS prescriber,
    CASE WHEN m.start_date BETWEEN '0001-01-01' AND '9999-12-31' THEN m.start_date END AS start_date
  OFFSET 0
) AS t
WHERE m.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_medication_requests IS
  'MedicationRequests of patient_medications, reported and not authored here; a plan where no prescriber is known.';

-- v6 documents have no updated_at: a digest of the columns used stands for it. The address is Binary/<id>, which the
-- server side answers by a signed URL; the storage path stays inside.
CREATE VIEW public.guardian_fhir_document_references WITH (security_invoker = true) AS
SELECT d.id AS source_id, d.user_id AS patient_id, d.id::text AS fhir_id,
  '1 ' || md5(ROW(d.status, d.original_name, d.mime_type, extract(epoch FROM d.created_at),
    d.medical_data -> 'documentType')::text) AS source_version,
  t.created_at,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'DocumentReference',
    'id', d.id,
    'status', 'current',
    'docStatus', CASE WHEN d.status = 'failed' THEN 'preliminary' END,
    'type', CASE WHEN t.type IS NOT NULL THEN jsonb_build_object('text', t.type) END,
    'subject', jsonb_build_object('reference', 'Patient/' || d.user_id),
    'date', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'content', jsonb_build_array(jsonb_build_object('attachment', jsonb_build_object(
      'contentType', CASE WHEN t.mime_type ~ '^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$' THEN t.mime_type END,
      'url', 'Binary/' || d.id,
      'title', t.name,
      'creation', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))))
  )) AS resource
FROM public.documents AS d
CROSS JOIN LATERAL (
  SELECT public.fhir_text(d.original_name) AS name, public.fhir_text(d.mime_type) AS mime_type,
    CASE WHEN jsonb_typeof(d.medical_data -> 'documentType') = 'string'
      THEN public.fhir_text(d.medical_data ->> 'documentType') END AS type,
    CASE WHEN d.created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN d.created_at END AS created_at
  OFFSET 0
) AS t
WHERE d.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_document_references IS 'DocumentReferences of documents.';

-- con-4: no abatement beside an active clinicalStatus. The date of a diagnosis is no onset: extension assertedDate.
CREATE VIEW public.guardian_fhir_conditions WITH (security_invoker = true) AS
SELECT c.id AS source_id, c.user_id AS patient_id, c.id::text AS fhir_id,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'Condition',
    'id', c.id,
    'extension', CASE WHEN t.diagnosed IS NOT NULL THEN jsonb_build_array(jsonb_build_object(
      'url', 'http://hl7.org/fhir/StructureDefinition/condition-assertedDate', 'valueDateTime', t.diagnosed)) END,
    'clinicalStatus', CASE
      WHEN c.status IN ('active', 'chronic', 'acute') THEN '{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active", "display": "Active"}]}'::jsonb
      WHEN c.status = 'resolved' THEN '{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved", "display": "Resolved"}]}'
      WHEN c.status = 'in_remission' THEN '{"coding": [{"system":
        "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "remission", "display": "Remission"}]}' END,
    'verificationStatus', CASE WHEN coalesce(c.status, 'unknown') = 'unknown' THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "unconfirmed",
      "display": "Unconfirmed"}]}'::jsonb END,
    'category', CASE WHEN t.category IS NOT NULL THEN jsonb_build_array(jsonb_build_object('text', t.category)) END,
    'code', jsonb_build_object(
      'coding', CASE WHEN t.icd10 ~ '^[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$' THEN jsonb_build_array(
        jsonb_build_object('system', 'http://hl7.org/fhir/sid/icd-10', 'code', t.icd10)) END,
      'text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || c.user_id),
    'abatementDateTime', CASE WHEN c.status IN ('resolved', 'in_remission') THEN t.resolved END,
    'recordedDate', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'evidence', (SELECT jsonb_build_array(jsonb_build_object('detail',
        jsonb_agg(jsonb_build_object('reference', 'DocumentReference/' || d))))
      FROM unnest(c.source_document_ids) AS d WHERE d IS NOT NULL HAVING count(*) > 0),
    'note', CASE WHEN num_nonnulls(t.description, t.odd_end) > 0
      THEN jsonb_build_array(jsonb_build_object('text', concat_ws('; ', t.description, t.odd_end))) END
  )) AS resource
FROM public.patient_conditions AS c
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(c.condition_name), public.fhir_text(c.normalized_condition)) AS name,
    regexp_replace(upper(public.fhir_text(c.icd10_code)), '^([A-Z][0-9][0-9A-Z])([0-9A-Z]{1,4})$', '\1.\2') AS icd10,
    public.fhir_text(c.condition_category) AS category, public.fhir_text(c.description) AS description,
    CASE WHEN c.diagnosis_date BETWEEN '0001-01-01' AND '9999-12-31' THEN c.diagnosis_date END AS diagnosed,
    CASE WHEN c.resolution_date BETWEEN '0001-01-01' AND '9999-12-31' THEN c.resolution_date END AS resolved,
    CASE WHEN c.resolution_date IS NOT NULL AND coalesce(c.status NOT IN ('resolved', 'in_remission'), true)
      THEN format('recorded as resolved on %s with status %s', to_jsonb(c.resolution_date) #>> '{}',
        coalesce(c.status, 'not recorded')) END AS odd_end,
    CASE WHEN c.created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN c.created_at END AS created_at
  OFFSET 0
) AS t
WHERE c.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_conditions IS 'Conditions of patient_conditions.';

-- ait-1 wants a clinicalStatus: an allergy nobody confirmed is active and unconfirmed, never absent.
CREATE VIEW public.guardian_fhir_allergy_intolerances WITH (security_invoker = true) AS
SELECT a.id AS source_id, a.user_id AS patient_id, a.id::text AS fhir_id,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'AllergyIntolerance',
    'id', a.id,
    'clinicalStatus', CASE WHEN a.status = 'resolved' THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "resolved", "display": "Resolved"}]}'
      ELSE '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
      "code": "active", "display": "Active"}]}' END::jsonb,
    'verificationStatus', CASE WHEN coalesce(a.status, 'unconfirmed') = 'unconfirmed' THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "code": "unconfirmed",
      "display": "Unconfirmed"}]}'::jsonb END,
    'category', CASE
      WHEN a.allergy_type ~* '(drug|medic|antibiotic)' THEN '["medication"]'::jsonb
      WHEN a.allergy_type ~* '(food|nut|dairy)' THEN '["food"]'
      WHEN a.allergy_type ~* '(environ|pollen|dust|animal|insect|latex)' THEN '["environment"]'
      WHEN a.allergy_type ~* '(biologic|vaccine)' THEN '["biologic"]' END,
    'criticality', CASE WHEN a.severity IN ('severe', 'life-threatening') THEN 'high' END,
    'code', jsonb_build_object('text', coalesce(t.name, 'not recorded')),
    'patient', jsonb_build_object('reference', 'Patient/' || a.user_id),
    'onsetDateTime', CASE WHEN a.onset_date BETWEEN '0001-01-01' AND '9999-12-31' THEN a.onset_date END,
    'recordedDate', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'reaction', CASE WHEN t.reaction IS NOT NULL OR a.severity IN ('mild', 'moderate', 'severe', 'life-threatening')
      THEN jsonb_build_array(jsonb_build_object(
        'manifestation', jsonb_build_array(CASE WHEN t.reaction IS NOT NULL THEN jsonb_build_object('text', t.reaction)
          ELSE '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown",
            "display": "Unknown"}]}' END),
        'severity', CASE WHEN a.severity IN ('mild', 'moderate', 'severe') THEN a.severity
          WHEN a.severity = 'life-threatening' THEN 'severe' END)) END
  )) AS resource
FROM public.patient_allergies AS a
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(a.allergen), public.fhir_text(a.normalized_allergen)) AS name,
    public.fhir_text(a.reaction_description) AS reaction,
    CASE WHEN a.created_at BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN a.created_at END AS created_at
  OFFSET 0
) AS t
WHERE a.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_allergy_intolerances IS 'AllergyIntolerances of patient_allergies.';

CREATE VIEW public.guardian_fhir_practitioners WITH (security_invoker = true) AS
SELECT p.id AS source_id, p.user_id AS patient_id, p.id::text AS fhir_id, t.type AS resource_type,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', t.type,
    'id', p.id,
    'name', CASE WHEN t.type = 'Organization' THEN to_jsonb(coalesce(t.name, 'not recorded'))
      ELSE jsonb_build_array(jsonb_build_object('text', coalesce(t.name, 'not recorded'))) END,
    'telecom', CASE WHEN t.phone IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('system', 'phone', 'value', t.phone, 'use', 'work')) END,
    'address', CASE WHEN t.address IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('use', 'work', 'text', t.address)) END,
    'qualification', CASE WHEN t.type = 'Practitioner' AND t.specialty IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('code', jsonb_build_object('text', t.specialty))) END,
    'type', CASE WHEN t.type = 'Organization' AND t.kind IS NOT NULL THEN jsonb_build_array(
      jsonb_build_object('text', t.kind)) END
  )) AS resource
FROM public.patient_providers AS p
CROSS JOIN LATERAL (
  SELECT coalesce(public.fhir_text(p.provider_name), public.fhir_text(p.facility_name)) AS name,
    public.fhir_text(p.specialty) AS specialty, public.fhir_text(p.phone) AS phone,
    public.fhir_text(p.address) AS address, public.fhir_text(p.provider_type) AS kind,
    CASE WHEN p.provider_type ~* '(clinic|hospital|laborator|pharmacy|facility|centre|center|organi[sz]ation)\M'
      THEN 'Organization' ELSE 'Practitioner' END AS type
  OFFSET 0
) AS t
WHERE p.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_practitioners IS
  'Practitioners of patient_providers, or an Organization where the v6 row is a clinic, hospital or the like.';

CREATE VIEW public.guardian_fhir_resources WITH (security_invoker = true) AS
SELECT 'Observation' AS resource_type, source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_lab_observations
UNION ALL SELECT 'Observation', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_vital_observations
UNION ALL SELECT 'MedicationStatement', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_medication_statements
UNION ALL SELECT 'MedicationRequest', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_medication_requests
UNION ALL SELECT 'DocumentReference', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_document_references
UNION ALL SELECT 'Condition', source_id, patient_id, fhir_id, resource FROM public.guardian_fhir_conditions
UNION ALL SELECT 'AllergyIntolerance', source_id, patient_id, fhir_id, resource
  FROM public.guardian_fhir_allergy_intolerances
UNION ALL SELECT resource_type, source_id, patient_id, fhir_id, resource FROM public.guardian_fhir_practitioners;
COMMENT ON VIEW public.guardian_fhir_resources IS
  'Every resource built from clinical rows and documents that the reader may see; Patient and Consent aside.';
COMMENT ON COLUMN public.guardian_fhir_resources.source_id IS 'The v6 row it is built of.';
COMMENT ON COLUMN public.guardian_fhir_resources.patient_id IS 'The account that owns the row.';
COMMENT ON COLUMN public.guardian_fhir_resources.fhir_id IS
  'Id of the resource: the row''s, for vitals with the measure.';
