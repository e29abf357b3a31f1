-- Parameters ($1): mode (assumed | pending), legalBasis, statement: the operator's, from guardian:legacyConsent.
-- assumed: the guide's row, labelled as what it is. pending: no consent is asserted, a request waits for an answer; it
-- carries legal_basis consent, for that is what it asks for.
-- Left out on purpose, and counted by these words: nobody consents for who is gone, or has never been there long enough.
-- Where v6 has no column deleted_at, the name is found one level further out.
SELECT
  u.id AS patient_id,
  'data_sharing'::text AS consent_type,
  'healthcare_services'::text AS purpose,
  ($1::jsonb ->> 'mode') = 'assumed' AS granted,
  CASE WHEN ($1::jsonb ->> 'mode') = 'assumed' THEN $1::jsonb ->> 'legalBasis' ELSE 'consent' END AS legal_basis,
  false AS explicit_consent,
  -- Sub-selects without a reference to u: worked out once a statement, not once a row.
  (SELECT CASE WHEN ($1::jsonb ->> 'mode') = 'assumed' THEN pg_catalog.jsonb_build_object(
    'source', 'v6_to_v7 migration',
    'assumed', true,
    'statement', $1::jsonb ->> 'statement',
    'recorded_at', ($1::jsonb ->> 'asOf')::timestamptz
  ) END) AS consent_evidence,
  (SELECT CASE WHEN ($1::jsonb ->> 'mode') = 'assumed'
    THEN '{"origin": "v6_to_v7"}'::jsonb
    ELSE pg_catalog.jsonb_build_object('origin', 'v6_to_v7', 'state', 'pending', 'statement', $1::jsonb ->> 'statement')
  END) AS consent_metadata,
  u.created_at AS valid_from,
  u.created_at AS created_at,
  CASE
    WHEN (SELECT deleted_at FROM (SELECT u.*) account) IS NOT NULL THEN 'deleted'
    WHEN u.created_at IS NULL THEN 'without a time of creation'
    WHEN u.created_at NOT BETWEEN '0001-01-02Z' AND '9999-12-31Z' THEN 'with a time of creation that cannot be'
    WHEN u.created_at > pg_catalog.statement_timestamp() THEN 'with a time of creation in the future'
    WHEN u.created_at >= (SELECT ($1::jsonb ->> 'asOf')::timestamptz - interval '1 day') THEN 'not older than a day'
  END AS left_out
FROM auth.users u CROSS JOIN (SELECT NULL::timestamptz AS deleted_at) otherwise
WHERE in_range(u.id)
