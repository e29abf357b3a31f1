import { setTimeout as sleep } from "node:timers/promises";
import { ConnectionLostError } from "./connect";
import type { Database, WriteOptions, FencedWriter } from "./database";
import { GuardianError, sqlstateOf } from "./base/errors";
import { attempt } from "./ledger/attempt";
import type { StepKind } from "./ledger/kinds";
import { madeBy, readStep, setStep } from "./ledger/steps";
import { toldErrors, toldSteps } from "./ledger/told";
import { exists, first, type Queryable } from "./base/sql";

/** The row of public.migration_sessions that a stack keeps (guide 3.1 step 2). */
export interface MigrationSessionRow {
  id: string;
  migrationType: string;
  sourceVersion: string;
  targetVersion: string;
  initiatedBy: string;
}

/** What the program says of its session. */
interface WantedSession {
  migrationType: string;
  sourceVersion: string;
  targetVersion: string;
  environment: string;
  totalSteps: number;
}

/** Opens the session's row, once: its uuid is in the ledger by URN. One that is there is told what the program says now. */
export async function openMigrationSession(fenced: FencedWriter, wanted: WantedSession): Promise<MigrationSessionRow> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  if (current?.state === "undoing" || current?.state === "done") {
    await fenced.transaction(async (db) => {
      // A rollback that was cut off left the row standing.
      if (current.state === "undoing") await setStep(db, current, { state: "done" });
      await tellSession(db, current.physicalId, wanted);
    });
  } else {
    await attempt(fenced, { kind: "MigrationSession", state: "running" }, "planned", (step) =>
      fenced.transaction(async (db) => {
        const row = await first<{ id: string }>(
          db,
          `INSERT INTO public.migration_sessions (migration_type, source_version, target_version, status, total_steps, migration_environment)
           VALUES ($1, $2, $3, 'in_progress', $4, $5) RETURNING id`,
          [wanted.migrationType, wanted.sourceVersion, wanted.targetVersion, wanted.totalSteps, wanted.environment],
        );
        await setStep(db, step, { state: "done", physicalId: row?.id ?? "" });
      }),
    );
  }
  const row = await readMigrationSession(fenced.writer, fenced.options.urn);
  if (row) return row;
  throw new GuardianError("session-row-missing", {
    what: "the session's row is gone from public.migration_sessions, though the ledger says that it was made",
    where: fenced.options.urn,
    todo: "put the row back from the backup; the ledger knows its id",
  });
}

/** The number of steps changes with the program, and the environment's name with the stack's. */
async function tellSession(
  db: Queryable,
  id: string | null,
  { totalSteps, environment }: WantedSession,
): Promise<void> {
  if (!(await exists(db, "public.migration_sessions"))) return;
  await db.query(
    `UPDATE public.migration_sessions SET total_steps = $2, migration_environment = $3
     WHERE id::text = $1 AND (total_steps, migration_environment) IS DISTINCT FROM ($2, $3)`,
    [id, totalSteps, environment],
  );
}

/** @returns the session's row as it is now */
export async function readMigrationSession(db: Queryable, urn: string): Promise<MigrationSessionRow | undefined> {
  const step = await readStep(db, urn);
  if (step?.state === "undone" || !(await exists(db, "public.migration_sessions"))) return undefined;
  return first<MigrationSessionRow & Record<string, unknown>>(
    db,
    `SELECT id, migration_type AS "migrationType", source_version AS "sourceVersion", target_version AS "targetVersion",
            initiated_by AS "initiatedBy" FROM public.migration_sessions WHERE id::text = $1`,
    [step?.physicalId],
  );
}

/** Ends the session: the row stays, and says that the migration was rolled back. */
export async function rollBackMigrationSession(fenced: FencedWriter): Promise<void> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  if (!current || current.state === "undone") return;
  await attempt(fenced, { kind: "MigrationSession", state: "undoing" }, current.state, (step) =>
    fenced.transaction(async (db) => {
      // A table that somebody dropped by hand has no row to end.
      if (await exists(db, "public.migration_sessions"))
        await db.query(
          "UPDATE public.migration_sessions SET status = 'rolled_back', current_step = NULL, completed_at = pg_catalog.clock_timestamp() WHERE id = $1",
          [current.physicalId],
        );
      await setStep(db, step, { state: "undone", physicalId: current.physicalId ?? "" });
    }),
  );
}

/** Marks the migration as completed, or, on the way back, as not completed any more; the row follows by syncMigrationSession. */
export async function setCompletion(fenced: FencedWriter, completed: boolean): Promise<void> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  const wanted = completed ? "done" : "undone";
  if (current?.state === wanted || (!completed && !current)) return;
  const state = completed ? "running" : "undoing";
  await attempt(fenced, { kind: "SessionCompletion", state }, current?.state ?? "planned", (step) =>
    fenced.transaction((db) => setStep(db, step, { state: wanted })),
  );
}

/** How long a server that comes up again is waited for, in milliseconds. */
const comeback = 30_000;

/**
 * One write, and the session's row after it. If somebody holds the row, it is left to the next write: the migration does not
 * wait for it. A connection that is lost between the two is no reason to leave the row as it was, for this may have been the
 * last write: it is made good over another one.
 * @param stack as in identity.stackOf
 * @throws what the work throws; GuardianError if there is no other connection to be had
 */
export async function writeAndSync<T>(
  host: Database,
  options: WriteOptions,
  work: (fenced: FencedWriter) => Promise<T>,
): Promise<T> {
  const { stack, signal } = options;
  const follow = async (fenced: FencedWriter): Promise<"lost" | "over"> => {
    if (fenced.purged) return "over";
    return syncMigrationSession(fenced, stack).then(
      () => "over",
      (err: unknown) => (err instanceof ConnectionLostError ? "lost" : "over"),
    );
  };
  const { result, row } = await host.write(options, async (fenced) => {
    const result = await work(fenced).catch(async (err: unknown) => {
      await follow(fenced);
      throw err;
    });
    return { result, row: await follow(fenced) };
  });
  // A ledger that was just made has no session beside it yet.
  if (row === "over" || options.expect === "new ledger") return result;
  for (const until = Date.now() + comeback; ;) {
    try {
      await host.write(options, (fenced) => syncMigrationSession(fenced, stack));
      break;
    } catch (err) {
      if (sqlstateOf(err) === "55P03") break;
      if (Date.now() > until) throw err;
      await sleep(500, undefined, { signal });
    }
  }
  return result;
}

/** True if the ledger's word that the migration is completed has not reached the session's row, which is there. */
export async function completionMissing(db: Queryable, sessionId: string): Promise<boolean> {
  if (!(await exists(db, "public.migration_sessions"))) return false;
  const text = "SELECT 1 FROM public.migration_sessions WHERE id::text = $1 AND status <> 'completed'";
  return (await first(db, text, [sessionId])) !== undefined;
}

/**
 * Brings the open session's row and its step rows up to what the ledger says, from the ledger alone: whatever a killed
 * run left out is made good by the next write. Does nothing where there is no session yet, or none any more.
 * @param stack as in identity.stackOf
 */
export async function syncMigrationSession(fenced: FencedWriter, stack: string): Promise<void> {
  await fenced.transaction(async (db) => {
    // If somebody holds the row for longer, the next write brings it up to date.
    await db.query("SET LOCAL lock_timeout = '1s'");
    const open = await madeBy(db, "MigrationSession", stack);
    if (open === undefined || !(await exists(db, "public.migration_session_steps"))) return;
    // A row that somebody deleted by hand has nothing to be kept current; the next up tells of it.
    if (!(await first(db, "SELECT 1 FROM public.migration_sessions WHERE id::text = $1", [open]))) return;
    const completion: StepKind = "SessionCompletion";
    await db.query(syncSteps, [open, `urn:pulumi:${stack}::`]);
    await db.query(syncRow, [open, completion, `urn:pulumi:${stack}::`]);
  });
}

const syncSteps = `
  INSERT INTO public.migration_session_steps AS t (session_id, step_name, kind, status, started_at, ended_at, records_processed, records_failed)
  SELECT DISTINCT ON (n.name) $1::uuid, n.name, n.kind,
         CASE WHEN n.failed THEN 'failed' WHEN n.unfinished THEN 'running' WHEN n.state IN ('done', 'undone') THEN n.state ELSE 'running' END,
         n.started_at, n.ended_at, n.processed, n.rejected
  FROM (${toldSteps(2)}) n ORDER BY n.name, n.started_at DESC
  ON CONFLICT (session_id, step_name) DO UPDATE SET status = excluded.status, started_at = excluded.started_at,
    ended_at = excluded.ended_at, records_processed = excluded.records_processed, records_failed = excluded.records_failed
  WHERE (t.status, t.started_at, t.ended_at, t.records_processed, t.records_failed)
    IS DISTINCT FROM (excluded.status, excluded.started_at, excluded.ended_at, excluded.records_processed, excluded.records_failed)`;

const syncRow = `
  WITH steps AS (SELECT * FROM public.migration_session_steps WHERE session_id = $1),
  told AS (
    SELECT count(*) FILTER (WHERE status = 'done')::int AS done,
           coalesce(sum(records_processed) FILTER (WHERE status = 'done'), 0)::bigint AS processed,
           coalesce(sum(records_failed) FILTER (WHERE status = 'done'), 0)::bigint AS failed,
           bool_or(status = 'failed') AS broken,
           max(ended_at) FILTER (WHERE kind = $2 AND status = 'done') AS completed_at,
           (SELECT step_name FROM steps WHERE status IN ('running', 'failed') ORDER BY started_at DESC LIMIT 1) AS current
    FROM steps
  ), errors AS (${toldErrors(1, 3)})
  UPDATE public.migration_sessions m SET
    status = CASE WHEN told.completed_at IS NOT NULL THEN 'completed' WHEN told.broken THEN 'failed' ELSE 'in_progress' END,
    completed_steps = told.done, current_step = told.current, completed_at = told.completed_at,
    records_processed = told.processed, records_failed = told.failed, error_summary = errors.list
  FROM told, errors
  WHERE m.id = $1::uuid AND (m.status, m.completed_steps, m.current_step, m.completed_at, m.records_processed, m.records_failed, m.error_summary)
    IS DISTINCT FROM (CASE WHEN told.completed_at IS NOT NULL THEN 'completed' WHEN told.broken THEN 'failed' ELSE 'in_progress' END,
      told.done, told.current, told.completed_at, told.processed, told.failed, errors.list)`;
