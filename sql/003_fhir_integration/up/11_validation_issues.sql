-- What is wrong with a resource.

CREATE FUNCTION public.fhir_resource_issues(p_resource_type text, p_resource jsonb)
RETURNS TABLE (severity text, path text, code text, message text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.fhir_element_rules(p_resource_type)) THEN
    RETURN QUERY SELECT 'error', 'resourceType', 'not-supported', 'this type is not validated here';
    RETURN;
  ELSIF jsonb_typeof(p_resource) IS DISTINCT FROM 'object' THEN
    RETURN QUERY SELECT 'error', p_resource_type, 'structure', 'a resource is a JSON object';
    RETURN;
  ELSIF p_resource ->> 'resourceType' IS DISTINCT FROM p_resource_type THEN
    RETURN QUERY SELECT 'error', 'resourceType', 'value', 'resourceType is missing or another one';
    RETURN;
  END IF;

  -- Every element, wherever it is: FHIR JSON has nothing empty, references and dates have a shape.
  RETURN QUERY
  WITH RECURSIVE walk (path, key, value) AS (
    SELECT p_resource_type, p_resource_type, p_resource
    UNION ALL
    SELECT w.path || n.step, n.key, n.value FROM walk AS w CROSS JOIN LATERAL (
      SELECT '.' || o.key, o.key, o.value
      FROM jsonb_each(CASE WHEN jsonb_typeof(w.value) = 'object' THEN w.value ELSE '{}' END) AS o
      UNION ALL
      SELECT '[' || a.place - 1 || ']', w.key, a.value
      FROM jsonb_array_elements(CASE WHEN jsonb_typeof(w.value) = 'array' THEN w.value ELSE '[]' END)
        WITH ORDINALITY AS a (value, place)
    ) AS n (step, key, value)
    -- The resources of a Bundle are validated each on its own, below.
    WHERE NOT (p_resource_type = 'Bundle' AND w.key = 'resource')
  )
  SELECT 'error', left(w.path, 200), f.code, f.message FROM walk AS w CROSS JOIN LATERAL (
    SELECT 'value', 'null, empty object, empty array or blank string'
    WHERE w.value IN ('null', '{}', '[]') OR jsonb_typeof(w.value) = 'string' AND w.value #>> '{}' !~ '\S'
    UNION ALL
    SELECT 'value', 'a reference is Type/id, an absolute URL, a urn or a #fragment'
    WHERE w.key = 'reference' AND jsonb_typeof(w.value) = 'string' AND w.value #>> '{}' !~ '\S\s+\S'
      AND w.value #>> '{}' !~ ('^([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?'
        '|https?://\S+|urn:\S+|#\S*)$')
    UNION ALL
    SELECT 'value', 'a reference has no blanks'
    WHERE w.key = 'reference' AND jsonb_typeof(w.value) = 'string' AND w.value #>> '{}' ~ '\S\s+\S'
    UNION ALL
    SELECT 'value', 'a period starts and ends with a FHIR dateTime: no infinity, no year before 1'
    WHERE w.key ~ '(^p|P)eriod$' AND jsonb_typeof(w.value) = 'object' AND EXISTS (
      SELECT FROM (VALUES (w.value -> 'start'), (w.value -> 'end')) AS d (value)
      WHERE jsonb_typeof(d.value) <> 'string' OR public.fhir_time(d.value #>> '{}') IS NULL
        AND d.value #>> '{}' !~ '^(?!0000)[0-9]{4}(-(0[1-9]|1[0-2]))?$')
    UNION ALL
    SELECT 'invariant', 'per-1: a period does not end before it starts'
    WHERE w.key ~ 'eriod$' AND public.fhir_time(w.value ->> 'end') < public.fhir_time(w.value ->> 'start')
    UNION ALL
    SELECT 'invariant', 'qty-3: a unit''s code needs its system'
    WHERE w.key ~ 'Quantity$' AND w.value ? 'code' AND NOT w.value ? 'system'
    UNION ALL
    SELECT 'value', 'a system is an absolute URI'
    WHERE w.key = 'system' AND w.path !~ '\.telecom(\[[0-9]+\])?\.system$'
      AND (jsonb_typeof(w.value) <> 'string' OR w.value #>> '{}' !~ '^(https?://|urn:)\S+$')
  ) AS f (code, message);

  RETURN QUERY
  SELECT 'error', p_resource_type || '.' || r.element, f.code, f.message
  FROM public.fhir_element_rules(p_resource_type) AS r
  CROSS JOIN LATERAL (SELECT p_resource -> r.element, jsonb_typeof(p_resource -> r.element)) AS v (value, type)
  CROSS JOIN LATERAL (
    SELECT 'required', 'the element is required' WHERE r.required AND v.value IS NULL
    UNION ALL
    SELECT 'structure', 'expected ' || CASE r.kind WHEN 'concept' THEN 'a CodeableConcept' WHEN 'concepts'
      THEN 'an array of CodeableConcepts' WHEN 'reference' THEN 'a Reference' WHEN 'references'
      THEN 'an array of References' WHEN 'objects' THEN 'an array of objects' WHEN 'codes' THEN 'an array of codes'
      ELSE 'a FHIR ' || r.kind END
    WHERE v.value IS NOT NULL AND NOT CASE
      WHEN r.kind IN ('object', 'concept', 'reference') THEN v.type = 'object'
      WHEN r.kind IN ('objects', 'concepts', 'references') THEN v.type = 'array'
        AND NOT jsonb_path_exists(v.value, 'strict $[*] ? (@.type() != "object")')
      WHEN r.kind = 'codes' THEN v.type = 'array'
        AND NOT jsonb_path_exists(v.value, 'strict $[*] ? (@.type() != "string")')
      WHEN r.kind = 'boolean' THEN v.type = 'boolean'
      WHEN r.kind = 'integer' THEN v.type = 'number' AND v.value #>> '{}' ~ '^-?[0-9]{1,9}$'
      WHEN r.kind = 'date' THEN v.type = 'string' AND v.value #>> '{}' ~ '^(?!0000)[0-9]{4}(-(0[1-9]|1[0-2])(-[0-9]{2})?)?$'
        AND (length(v.value #>> '{}') < 10 OR public.fhir_time(v.value #>> '{}') IS NOT NULL)
      WHEN r.kind = 'dateTime' THEN v.type = 'string' AND (public.fhir_time(v.value #>> '{}') IS NOT NULL
        OR v.value #>> '{}' ~ '^(?!0000)[0-9]{4}(-(0[1-9]|1[0-2]))?$')
      WHEN r.kind = 'instant' THEN v.type = 'string' AND length(v.value #>> '{}') > 10
        AND public.fhir_time(v.value #>> '{}') IS NOT NULL
      WHEN r.kind = 'time'
        THEN v.type = 'string' AND v.value #>> '{}' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?$'
      ELSE v.type = 'string' END
    UNION ALL
    SELECT 'code-invalid', 'not in the value set: ' || replace(r.allowed, '|', ', ')
    WHERE r.kind IN ('code', 'codes', 'concept') AND r.allowed IS NOT NULL AND EXISTS (
      SELECT FROM jsonb_path_query(v.value, CASE r.kind WHEN 'code' THEN '$' WHEN 'codes' THEN '$[*]'
        ELSE '$.coding[*].code' END::jsonpath) AS given
      WHERE given #>> '{}' <> ALL (string_to_array(r.allowed, '|')))
    UNION ALL
    SELECT 'value', 'a CodeableConcept has a text or a coding with a code'
    WHERE r.kind IN ('concept', 'concepts')
      AND jsonb_path_exists(v.value, '$[*] ? (!exists(@.text) && !exists(@.coding[*].code))')
    UNION ALL
    SELECT 'value', 'a Reference has a reference, an identifier or a display'
    WHERE r.kind IN ('reference', 'references')
      AND jsonb_path_exists(v.value, '$[*] ? (!exists(@.reference) && !exists(@.identifier) && !exists(@.display))')
    UNION ALL
    SELECT 'value', 'may refer to: ' || replace(r.allowed, '|', ', ')
    WHERE r.kind IN ('reference', 'references') AND r.allowed IS NOT NULL AND EXISTS (
      SELECT FROM jsonb_path_query(v.value, '$[*].reference') AS given
      CROSS JOIN LATERAL (SELECT substring(given #>> '{}'
        FROM '(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/.*)?$')) AS t (type)
      WHERE t.type <> ALL (string_to_array(r.allowed, '|')))
  ) AS f (code, message);

  -- Rules between elements: each jsonpath finds what breaks the rule.
  RETURN QUERY
  SELECT r.severity, p_resource_type || r.element, r.code, r.message
  FROM (VALUES
    -- like_regex says neither yes nor no of what is no string, and a filter looks into an array: the type is asked first.
    (NULL, 'error', '.id', 'value', '$ ? (exists(@.id) && (@.id.type() != "string"
      || !(@.id like_regex "^[A-Za-z0-9.-]{1,64}$")))',
      'an id has 1 to 64 letters, digits, hyphens and points'),
    (NULL, 'warning', '.coding', 'value', '$.**.coding[*] ? (exists(@.code) && !exists(@.system))',
      'a code without a system means nothing elsewhere'),
    ('Patient', 'error', '.identifier', 'required', '$.identifier[*] ? (!exists(@.value))',
      'an identifier has a value'),
    ('Patient', 'error', '.telecom', 'invariant', '$.telecom[*] ? (exists(@.value) && !exists(@.system))',
      'cpt-2: a system is required where there is a value'),
    ('Organization', 'error', '', 'invariant', '$ ? (!exists(@.name) && !exists(@.identifier))',
      'org-1: an organization has a name or an identifier'),
    ('Observation', 'error', '.dataAbsentReason', 'invariant',
      '$ ? (exists(@.dataAbsentReason) && exists(@.keyvalue() ? (@.key starts with "value")))',
      'obs-6: no dataAbsentReason beside a value'),
    ('Observation', 'error', '.component', 'required', '$.component[*] ? (!exists(@.code))', 'a component has a code'),
    ('Observation', 'error', '.referenceRange', 'invariant',
      '$.referenceRange[*] ? (!exists(@.low) && !exists(@.high) && !exists(@.text))',
      'obs-3: a reference range has low, high or text'),
    ('Observation', 'error', '.subject', 'required',
      '$ ? (exists(@.category[*].coding[*] ? (@.code == "vital-signs")) && !exists(@.subject))',
      'vital signs have a subject'),
    ('Observation', 'warning', '.value', 'incomplete', '$ ? (!exists(@.keyvalue() ? (@.key starts with "value"))
      && !exists(@.component) && !exists(@.hasMember) && !exists(@.dataAbsentReason))', 'neither a value nor a reason'),
    ('Observation', 'warning', '.valueQuantity', 'incomplete',
      '$.valueQuantity ? (exists(@.unit) && !exists(@.code))', 'a unit without a UCUM code'),
    ('MedicationStatement', 'error', '.medication', 'required',
      '$ ? (!exists(@.medicationCodeableConcept) && !exists(@.medicationReference))', 'medication[x] is required'),
    ('MedicationRequest', 'error', '.medication', 'required',
      '$ ? (!exists(@.medicationCodeableConcept) && !exists(@.medicationReference))', 'medication[x] is required'),
    ('DocumentReference', 'error', '.content', 'required', '$.content[*] ? (!exists(@.attachment))',
      'content has an attachment'),
    ('DocumentReference', 'error', '.content', 'invariant',
      '$.content[*].attachment ? (exists(@.data) && !exists(@.contentType))', 'att-1: data needs a contentType'),
    ('Condition', 'error', '.abatement', 'invariant', '$ ? (exists(@.keyvalue() ? (@.key starts with "abatement"))
      && exists(@.clinicalStatus.coding[*] ? (@.code == "active" || @.code == "recurrence" || @.code == "relapse")))',
      'con-4: an abated condition is inactive, in remission or resolved'),
    ('Condition', 'error', '.clinicalStatus', 'invariant', '$ ? (exists(@.clinicalStatus)
      && exists(@.verificationStatus.coding[*] ? (@.code == "entered-in-error")))',
      'con-5: no clinicalStatus where entered in error'),
    ('AllergyIntolerance', 'error', '.clinicalStatus', 'invariant', '$ ? (!exists(@.clinicalStatus)
      && !exists(@.verificationStatus.coding[*] ? (@.code == "entered-in-error")))',
      'ait-1: clinicalStatus is required unless entered in error'),
    ('AllergyIntolerance', 'error', '.clinicalStatus', 'invariant', '$ ? (exists(@.clinicalStatus)
      && exists(@.verificationStatus.coding[*] ? (@.code == "entered-in-error")))',
      'ait-2: no clinicalStatus where entered in error'),
    ('AllergyIntolerance', 'error', '.reaction', 'required', '$.reaction[*] ? (!exists(@.manifestation))',
      'a reaction has a manifestation'),
    ('AllergyIntolerance', 'error', '.reaction', 'code-invalid',
      '$.reaction[*].severity ? (!(@ like_regex "^(mild|moderate|severe)$"))',
      'not in the value set: mild, moderate, severe'),
    ('Consent', 'error', '.policy', 'invariant', '$ ? (!exists(@.policy) && !exists(@.policyRule))',
      'ppc-1: a consent has a policy or a policyRule'),
    ('Consent', 'error', '.patient', 'invariant',
      '$ ? (!exists(@.patient) && exists(@.scope.coding[*] ? (@.code == "patient-privacy")))',
      'ppc-2: a privacy consent has a patient'),
    ('Consent', 'error', '.scope', 'code-invalid', '$.scope.coding[*] ? (@.system ==
      "http://terminology.hl7.org/CodeSystem/consentscope"
      && !(@.code like_regex "^(adr|research|patient-privacy|treatment)$"))',
      'not in the code system: adr, research, patient-privacy, treatment'),
    ('Consent', 'error', '.category', 'code-invalid', '$.category[*].coding[*] ? (@.system ==
      "http://terminology.hl7.org/CodeSystem/consentcategorycodes"
      && !(@.code like_regex "^(acd|dnr|emrgonly|hcd|npp|polst|research|rsdid|rsreid)$"))',
      'not in the code system: acd, dnr, emrgonly, hcd, npp, polst, research, rsdid, rsreid'),
    ('Consent', 'error', '.provision', 'code-invalid', '$.provision.type ? (!(@ like_regex "^(permit|deny)$"))',
      'not in the value set: permit, deny'),
    ('Consent', 'error', '.provision.actor', 'required',
      '$.provision.actor[*] ? (!exists(@.role) || !exists(@.reference))', 'an actor has a role and a reference')
  ) AS r (resource_type, severity, element, code, breach, message)
  WHERE coalesce(r.resource_type, p_resource_type) = p_resource_type
    AND jsonb_path_exists(p_resource, r.breach::jsonpath, '{}', true);

  RETURN QUERY
  SELECT 'error', p_resource_type || '.' || c.name || '[x]', 'structure', 'only one of its types may be present'
  FROM jsonb_object_keys(p_resource) AS k
  CROSS JOIN LATERAL (SELECT substring(k FROM
    '^(value|effective|onset|abatement|medication|deceased|multipleBirth|reported|source)[A-Z]')) AS c (name)
  WHERE c.name IS NOT NULL GROUP BY c.name HAVING count(*) > 1;

  IF p_resource_type = 'Bundle' AND jsonb_typeof(p_resource -> 'entry') = 'array' THEN
    RETURN QUERY
    SELECT i.severity, left('Bundle.entry[' || e.place - 1 || ']: ' || i.path, 200), i.code, i.message
    FROM jsonb_array_elements(p_resource -> 'entry') WITH ORDINALITY AS e (entry, place)
    CROSS JOIN LATERAL public.fhir_resource_issues(e.entry #>> '{resource,resourceType}', e.entry -> 'resource') AS i
    WHERE e.entry ? 'resource';
  END IF;
END
$$;
COMMENT ON FUNCTION public.fhir_resource_issues(text, jsonb) IS
  'Everything wrong with a resource, as errors and warnings: path, FHIR issue type (R4, valueset-issue-type), '
  'sentence. No value of the resource is in it.';
