import { GuardianError } from "../errors";
import { first, rows, type Queryable } from "../sql";
import { ledgerSchema } from "./schema";

export type StepState = "planned" | "running" | "done" | "undoing" | "undone";

/** The newest attempt at a piece of work. */
export interface Step {
  id: string;
  urn: string;
  /** Empty for the resource itself, else the piece of it. */
  part: string;
  kind: string;
  attempt: number;
  state: StepState;
  meaning: string | null;
  pid: number | null;
  backendStart: string | null;
  physicalId: string | null;
  detail: Record<string, unknown>;
  startedAt: string;
  endedAt: string | null;
}

const columns = `id, urn, part, kind, attempt, state, meaning, pid, backend_start::text AS "backendStart",
  physical_id AS "physicalId", detail, started_at::text AS "startedAt", ended_at::text AS "endedAt"`;

/** @returns the newest attempt of every part of every resource, oldest first */
export async function readSteps(db: Queryable): Promise<Step[]> {
  return rows<Step>(
    db,
    `SELECT ${columns} FROM (
       SELECT DISTINCT ON (urn, part) * FROM ${ledgerSchema}.step ORDER BY urn, part, attempt DESC
     ) newest ORDER BY id`,
  );
}

/** @returns the newest attempt at one part of a resource */
export async function readStep(db: Queryable, urn: string, part = ""): Promise<Step | undefined> {
  return first<Step>(
    db,
    `SELECT ${columns} FROM ${ledgerSchema}.step WHERE urn = $1 AND part = $2 ORDER BY attempt DESC LIMIT 1`,
    [urn, part],
  );
}

export interface NewStep {
  urn: string;
  part?: string;
  kind: string;
  state: StepState;
  meaning?: string | undefined;
  detail?: Record<string, unknown>;
  epoch: string;
}

/**
 * Writes a new attempt, naming the backend that does the work. What an earlier one left in the database is carried on: a
 * failed or killed attempt must not make the ledger forget it.
 */
export async function addStep(db: Queryable, step: NewStep): Promise<Step> {
  const row = await first<Step>(
    db,
    `INSERT INTO ${ledgerSchema}.step (urn, part, kind, ledger_id, attempt, state, meaning, epoch, pid, backend_start, physical_id, detail)
     SELECT $1, $2, $3, l.id, coalesce(s.attempt, 0) + 1, $4, $5, $6, pg_catalog.pg_backend_pid(), ${backendStart},
            CASE WHEN s.state <> 'undone' THEN s.physical_id END,
            CASE WHEN s.state <> 'undone' THEN s.detail - 'error' ELSE '{}' END || $7::jsonb
     FROM ${ledgerSchema}.ledger l
     LEFT JOIN LATERAL (SELECT * FROM ${ledgerSchema}.step WHERE urn = $1 AND part = $2 ORDER BY attempt DESC LIMIT 1) s ON true
     RETURNING ${columns}`,
    [
      step.urn,
      step.part ?? "",
      step.kind,
      step.state,
      step.meaning ?? null,
      step.epoch,
      JSON.stringify(step.detail ?? {}),
    ],
  );
  if (!row) throw new GuardianError({ what: "the ledger has no row of its own", where: `${ledgerSchema}.ledger` });
  return row;
}

const backendStart = "(SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a)";

/**
 * Changes how an attempt stands; in the same transaction as the work it speaks of. One that goes on names the backend
 * that now does the work.
 */
export async function setStep(
  db: Queryable,
  id: string,
  change: { state: StepState; physicalId?: string; meaning?: string; detail?: Record<string, unknown> },
): Promise<void> {
  await db.query(
    `UPDATE ${ledgerSchema}.step SET state = $2,
       physical_id = coalesce($3, physical_id), meaning = coalesce($4, meaning), detail = detail || $5::jsonb,
       xid = CASE WHEN $2 IN ('done', 'undone') THEN pg_catalog.pg_current_xact_id() ELSE xid END,
       ended_at = CASE WHEN $2 IN ('done', 'undone') THEN pg_catalog.clock_timestamp() END,
       pid = CASE WHEN $2 IN ('running', 'undoing') THEN pg_catalog.pg_backend_pid() ELSE pid END,
       backend_start = CASE WHEN $2 IN ('running', 'undoing') THEN ${backendStart} ELSE backend_start END
     WHERE id = $1`,
    [id, change.state, change.physicalId ?? null, change.meaning ?? null, JSON.stringify(change.detail ?? {})],
  );
}

/** Says that the parts of a resource do not stand any more, and that nothing of them is to be done. */
export async function endParts(db: Queryable, urn: string): Promise<void> {
  await db.query(
    `UPDATE ${ledgerSchema}.step SET state = 'undone', ended_at = pg_catalog.clock_timestamp()
     WHERE urn = $1 AND part <> '' AND state <> 'undone'`,
    [urn],
  );
}

/** Parts that the ledger says were begun, or planned, and not ended. */
export function unfinished(steps: readonly Step[]): Step[] {
  return steps.filter((step) => step.state === "planned" || step.state === "running" || step.state === "undoing");
}
