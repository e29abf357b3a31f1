-- Resources built from v6 rows, first the Observations.
-- One view a type, one statement for all rows. They run with the reader's rights (security_invoker), so v6's own row
-- security decides. A row without an owner is nobody's and is not built. Members without a value are stripped: FHIR
-- JSON has no null, no empty object, array or string (R4, json.html). Where v6 contradicts itself the resource says
-- nothing rather than something wrong, and a note keeps what was recorded. The README has the tables of values.

-- Allowed in a FHIR string are all characters from U+0020, tab, CR and LF (R4, datatypes.html#string). OCR leaves form
-- feeds and no-break spaces.
CREATE FUNCTION public.fhir_text(p_text text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN nullif(btrim(regexp_replace(p_text, '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u00A0]', ' ', 'g'),
    E' \t\r\n'), '');
END
$$;
COMMENT ON FUNCTION public.fhir_text(text) IS
  'A text as FHIR admits it, without blanks around it; NULL if nothing is left.';

-- The literals are written out twice: as expressions they are parsed once a session, as variables once a call.
CREATE FUNCTION public.fhir_blood_pressure(p_systolic numeric, p_diastolic numeric) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN jsonb_build_array(
    '{"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Systolic blood pressure"}]}}'
      || CASE
        WHEN p_systolic IS NULL THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown", "display": "Unknown"}]}}'
        WHEN p_systolic NOT BETWEEN 1 AND 400 THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error", "display": "Error"}]}}'
        ELSE jsonb_build_object('valueQuantity', jsonb_build_object('value', p_systolic, 'unit', 'mmHg',
          'system', 'http://unitsofmeasure.org', 'code', 'mm[Hg]')) END,
    '{"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4", "display": "Diastolic blood pressure"}]}}'
      || CASE
        WHEN p_diastolic IS NULL THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown", "display": "Unknown"}]}}'
        WHEN p_diastolic NOT BETWEEN 1 AND 400 THEN '{"dataAbsentReason": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error", "display": "Error"}]}}'
        ELSE jsonb_build_object('valueQuantity', jsonb_build_object('value', p_diastolic, 'unit', 'mmHg',
          'system', 'http://unitsofmeasure.org', 'code', 'mm[Hg]')) END);
END
$$;
COMMENT ON FUNCTION public.fhir_blood_pressure(numeric, numeric) IS
  'Components of a blood pressure panel (LOINC 85354-9), in mmHg; the profile wants both, a missing one says so.';

-- result_value decides, never v6's numeric_value, which is the first number in the text (120 for 120/80). A thousands
-- comma is read as one only where nothing else is possible (1,234.5); 1,234 may be German and stays a text.
CREATE VIEW public.guardian_fhir_lab_observations WITH (security_invoker = true) AS
SELECT l.id AS source_id, l.user_id AS patient_id, l.id::text AS fhir_id,
  '1 ' || coalesce(extract(epoch FROM l.updated_at)::text, '') AS source_version,
  CASE WHEN l.test_date BETWEEN '0001-01-01' AND '9999-12-31' THEN l.test_date END AS effective_date,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'Observation',
    'id', l.id,
    'status', CASE WHEN l.confidence_score >= 0.7 THEN 'final' ELSE 'unknown' END,
    'category', CASE WHEN p.pair IS NULL THEN '[{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory", "display": "Laboratory"}]}]'
      ELSE '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "vital-signs", "display": "Vital Signs"}]}]' END::jsonb,
    'code', jsonb_build_object(
      'coding', CASE
        WHEN p.pair IS NOT NULL THEN '[{"system": "http://loinc.org", "code": "85354-9",
          "display": "Blood pressure panel with all children optional"}]'::jsonb
        WHEN t.code ~ '^[0-9]{1,7}-[0-9]$'
          THEN jsonb_build_array(jsonb_build_object('system', 'http://loinc.org', 'code', t.code))
        WHEN t.code ~ '^[0-9]{4}[0-9A-Z]$'
          THEN jsonb_build_array(jsonb_build_object('system', 'http://www.ama-assn.org/go/cpt', 'code', t.code)) END,
      'text', coalesce(t.name, 'not recorded')),
    'subject', jsonb_build_object('reference', 'Patient/' || l.user_id),
    'effectiveDateTime', CASE WHEN l.test_date BETWEEN '0001-01-01' AND '9999-12-31' THEN l.test_date END,
    'performer', CASE WHEN t.facility IS NOT NULL
      THEN jsonb_build_array(jsonb_build_object('display', t.facility)) END,
    'valueQuantity', CASE WHEN p.number IS NOT NULL THEN jsonb_build_object(
      'value', replace(p.number[2], ',', '')::numeric,
      'comparator', CASE p.number[1] WHEN '≤' THEN '<=' WHEN '≥' THEN '>=' ELSE p.number[1] END,
      'unit', t.unit,
      'system', CASE WHEN u.code IS NOT NULL THEN 'http://unitsofmeasure.org' END,
      'code', u.code) END,
    'valueString', CASE WHEN p.number IS NULL AND p.pair IS NULL AND t.value IS NOT NULL
      THEN concat_ws(' ', t.value, t.unit) END,
    'component', CASE WHEN p.pair IS NOT NULL
      THEN public.fhir_blood_pressure(p.pair[1]::numeric, p.pair[2]::numeric) END,
    'dataAbsentReason', CASE WHEN t.value IS NULL THEN '{"coding": [{"system":
      "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown",
      "display": "Unknown"}]}'::jsonb END,
    'interpretation', i.concept,
    'referenceRange', CASE WHEN t.range IS NOT NULL THEN jsonb_build_array(jsonb_build_object('text', t.range)) END,
    'derivedFrom', jsonb_build_array(jsonb_build_object('reference', 'DocumentReference/' || l.source_document_id))
  )) AS resource
FROM public.patient_lab_results AS l
-- OFFSET 0 keeps the planner from writing each expression out wherever it is used.
CROSS JOIN LATERAL (
  SELECT public.fhir_text(l.test_name) AS name, public.fhir_text(l.test_code) AS code,
    public.fhir_text(l.result_value) AS value, public.fhir_text(l.unit) AS unit,
    public.fhir_text(l.reference_range) AS range, public.fhir_text(l.lab_facility) AS facility
  OFFSET 0
) AS t
CROSS JOIN LATERAL (
  SELECT regexp_match(t.value,
      '^(<=|>=|<|>|≤|≥)?\s*(-?[0-9]{1,12}(?:\.[0-9]{1,8})?'
      '|[0-9]{1,3}(?:,[0-9]{3}){1,3}\.[0-9]{1,8}|[0-9]{1,3}(?:,[0-9]{3}){2,3})$') AS number,
    CASE WHEN t.name ~* '\mblood pressure\M|^bp$' AND coalesce(lower(t.unit), 'mmhg') IN ('mmhg', 'mm hg', 'mm[hg]')
      THEN (SELECT m FROM regexp_match(t.value, '^([0-9]{2,3})\s*/\s*([0-9]{2,3})$') AS m
        WHERE m[1]::integer >= m[2]::integer) END AS pair
  OFFSET 0
) AS p
-- UCUM codes of units as laboratories write them (https://ucum.org), in lower case; another unit goes without a code.
LEFT JOIN (VALUES ('%', '%'), ('g/l', 'g/L'), ('g/dl', 'g/dL'), ('mg/l', 'mg/L'), ('mg/dl', 'mg/dL'), ('µg/l', 'ug/L'),
  ('μg/l', 'ug/L'), ('ug/l', 'ug/L'), ('ng/l', 'ng/L'), ('ng/ml', 'ng/mL'), ('pg/ml', 'pg/mL'), ('mmol/l', 'mmol/L'),
  ('µmol/l', 'umol/L'), ('μmol/l', 'umol/L'), ('umol/l', 'umol/L'), ('nmol/l', 'nmol/L'), ('pmol/l', 'pmol/L'),
  ('mmol/mol', 'mmol/mol'), ('u/l', 'U/L'), ('iu/l', '[IU]/L'), ('miu/l', 'm[IU]/L'), ('10^9/l', '10*9/L'),
  ('x10^9/l', '10*9/L'), ('10*9/l', '10*9/L'), ('10^12/l', '10*12/L'), ('x10^12/l', '10*12/L'), ('10*12/l', '10*12/L'),
  ('fl', 'fL'), ('pg', 'pg'), ('mmhg', 'mm[Hg]'), ('mm/h', 'mm/h'), ('ml/min', 'mL/min'),
  ('ml/min/1.73m2', 'mL/min/{1.73_m2}'), ('ml/min/1.73 m2', 'mL/min/{1.73_m2}'), ('s', 's')
) AS u (unit, code) ON u.unit = lower(t.unit)
LEFT JOIN (VALUES
  ('normal', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "N", "display": "Normal"}]}]'::jsonb),
  ('abnormal', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "A", "display": "Abnormal"}]}]'),
  ('critical', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "AA", "display": "Critical abnormal"}]}]'),
  ('high', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "H", "display": "High"}]}]'),
  ('low', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "L", "display": "Low"}]}]')
) AS i (status, concept) ON i.status = l.result_status
WHERE l.user_id IS NOT NULL;
COMMENT ON VIEW public.guardian_fhir_lab_observations IS
  'Observations of patient_lab_results. final from a confidence of 0.7, else unknown; v6 writes NULL for zero.';
COMMENT ON COLUMN public.guardian_fhir_lab_observations.source_version IS
  'Version of the builder and updated_at of the row; a mapping with another one is built anew. So in the other views.';
COMMENT ON COLUMN public.guardian_fhir_lab_observations.effective_date IS
  'test_date where FHIR can say it: years 1 to 9999.';

-- One wide row becomes an Observation a measure. Beyond what a living body has (98.6 °C, no unit) the value is left
-- out as an error and the note keeps it.
CREATE VIEW public.guardian_fhir_vital_observations WITH (security_invoker = true) AS
SELECT v.id AS source_id, v.user_id AS patient_id, v.id || '-' || m.measure AS fhir_id,
  '1 ' || coalesce(extract(epoch FROM v.updated_at)::text, '') AS source_version,
  CASE WHEN v.measurement_date BETWEEN '0001-01-01' AND '9999-12-31' THEN v.measurement_date END AS effective_date,
  jsonb_strip_nulls(jsonb_build_object(
    'resourceType', 'Observation',
    'id', v.id || '-' || m.measure,
    'status', CASE WHEN v.confidence_score >= 0.7 THEN 'final' ELSE 'unknown' END,
    'category', '[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "vital-signs", "display": "Vital Signs"}]}]'::jsonb,
    'code', m.concept,
    'subject', jsonb_build_object('reference', 'Patient/' || v.user_id),
    'effectiveDateTime',
      CASE WHEN v.measurement_date BETWEEN '0001-01-01' AND '9999-12-31' THEN v.measurement_date END,
    'valueQuantity', CASE WHEN m.value BETWEEN m.low AND m.high THEN jsonb_build_object('value', m.value,
      'unit', m.unit, 'system', 'http://unitsofmeasure.org', 'code', m.ucum) END,
    'component', CASE WHEN m.measure = 'blood-pressure'
      THEN public.fhir_blood_pressure(v.blood_pressure_systolic, v.blood_pressure_diastolic) END,
    'dataAbsentReason', CASE WHEN m.value IS NOT NULL AND (m.value BETWEEN m.low AND m.high) IS NOT TRUE
      THEN '{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error",
        "display": "Error"}]}'::jsonb END,
    'note', CASE
      WHEN m.value IS NOT NULL AND (m.value BETWEEN m.low AND m.high) IS NOT TRUE
        THEN jsonb_build_array(jsonb_build_object('text', concat_ws('; ', c.context,
          format('recorded as %s %s, which cannot be', m.value, coalesce(m.unit, 'without a unit')))))
      WHEN c.context IS NOT NULL THEN jsonb_build_array(jsonb_build_object('text', c.context)) END,
    'derivedFrom', jsonb_build_array(jsonb_build_object('reference', 'DocumentReference/' || v.source_document_id))
  )) AS resource
FROM public.patient_vitals AS v
CROSS JOIN LATERAL (SELECT public.fhir_text(v.measurement_context) AS context OFFSET 0) AS c
CROSS JOIN LATERAL (VALUES
  ('blood-pressure', '{"coding": [{"system": "http://loinc.org", "code": "85354-9",
    "display": "Blood pressure panel with all children optional"}], "text": "Blood pressure"}'::jsonb,
    NULL::numeric, NULL, NULL, NULL::numeric, NULL::numeric),
  ('heart-rate', '{"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
    "text": "Heart rate"}', v.heart_rate, 'beats/minute', '/min', 1, 500),
  ('body-temperature', '{"coding": [{"system": "http://loinc.org", "code": "8310-5", "display": "Body temperature"}],
    "text": "Body temperature"}', v.temperature,
    CASE v.temperature_unit WHEN 'F' THEN '°F' WHEN 'C' THEN '°C' END,
    CASE v.temperature_unit WHEN 'F' THEN '[degF]' WHEN 'C' THEN 'Cel' END,
    CASE v.temperature_unit WHEN 'F' THEN 68 WHEN 'C' THEN 20 END,
    CASE v.temperature_unit WHEN 'F' THEN 122 WHEN 'C' THEN 50 END),
  ('body-weight', '{"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}],
    "text": "Body weight"}', v.weight,
    CASE v.weight_unit WHEN 'lbs' THEN 'lb' WHEN 'kg' THEN 'kg' END,
    CASE v.weight_unit WHEN 'lbs' THEN '[lb_av]' WHEN 'kg' THEN 'kg' END,
    CASE v.weight_unit WHEN 'lbs' THEN 0.2 WHEN 'kg' THEN 0.1 END,
    CASE v.weight_unit WHEN 'lbs' THEN 1540 WHEN 'kg' THEN 700 END),
  ('body-height', '{"coding": [{"system": "http://loinc.org", "code": "8302-2", "display": "Body height"}],
    "text": "Body height"}', v.height, v.height_unit,
    CASE v.height_unit WHEN 'in' THEN '[in_i]' WHEN 'cm' THEN 'cm' END,
    CASE v.height_unit WHEN 'in' THEN 4 WHEN 'cm' THEN 10 END,
    CASE v.height_unit WHEN 'in' THEN 118 WHEN 'cm' THEN 300 END),
  ('bmi', '{"coding": [{"system": "http://loinc.org", "code": "39156-5",
    "display": "Body mass index (BMI) [Ratio]"}], "text": "Body mass index"}', v.bmi, 'kg/m2', 'kg/m2', 3, 300)
) AS m (measure, concept, value, unit, ucum, low, high)
WHERE v.user_id IS NOT NULL
  AND (m.value IS NOT NULL OR m.measure = 'blood-pressure'
    AND num_nonnulls(v.blood_pressure_systolic, v.blood_pressure_diastolic) > 0);
COMMENT ON VIEW public.guardian_fhir_vital_observations IS
  'Observations of patient_vitals, up to six a row; fhir_id is the v6 id and the measure.';
