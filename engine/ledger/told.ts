import { stepTable } from "./steps";

/*
 * What the ledger tells of a stack's work in public.migration_sessions: SQL, because ledger and row are brought together
 * in one statement.
 */

/**
 * SQL: the newest attempt of each resource of a stack, with name, kind, state, times and detail; one whose parts are not
 * all there is not done.
 * @param stack number of the parameter that holds what the stack's URNs begin with
 */
export const toldSteps = (stack: number): string => `
  WITH now AS (
    SELECT DISTINCT ON (urn, part) urn, part, kind, state, started_at, ended_at, detail
    FROM ${stepTable} WHERE pg_catalog.starts_with(urn, $${stack}) ORDER BY urn, part, attempt DESC
  ), open AS (
    SELECT urn, pg_catalog.bool_or(detail ? 'error') AS failed FROM now
    WHERE part <> '' AND state IN ('planned', 'running', 'undoing') GROUP BY urn
  )
  SELECT pg_catalog.split_part(n.urn, '::', 4) AS name, n.kind, n.state, n.started_at,
         coalesce((n.detail->>'processed')::bigint, 0) AS processed, coalesce((n.detail->>'failed')::bigint, 0) AS rejected,
         n.detail ? 'error' OR coalesce(o.failed, false) AS failed, o.urn IS NOT NULL AND n.state = 'done' AS unfinished,
         CASE WHEN o.urn IS NULL THEN n.ended_at END AS ended_at
  FROM now n LEFT JOIN open o ON o.urn = n.urn WHERE n.part = ''`;

/**
 * SQL: a list of what failed or was rejected since a session was opened, as jsonb.
 * @param session number of the parameter that holds the session's id
 * @param stack as of toldSteps
 */
export const toldErrors = (session: number, stack: number): string => `
  SELECT coalesce(jsonb_agg(jsonb_build_object('step', pg_catalog.split_part(urn, '::', 4), 'attempt', attempt, 'at', started_at)
           || coalesce(detail->'error', jsonb_build_object('rejected', detail->'rejects')) ORDER BY id), '[]') AS list
  FROM ${stepTable} WHERE (detail ? 'error' OR jsonb_array_length(detail->'rejects') > 0)
    AND pg_catalog.starts_with(urn, $${stack}) AND id > (SELECT min(id) FROM ${stepTable} WHERE physical_id = $${session}::text)`;
