import { GuardianError } from "../base/errors";
import { first, rows, type Askable, type Queryable } from "../base/sql";
import type { Detail, FlagValues, KeptProof, TakenBackup } from "./details";
import { harmless, type StepKind } from "./kinds";
import { ledgerSchema, ledgerTable } from "./schema";

export const stepTable = ledgerTable("step");

export type StepState = "planned" | "running" | "done" | "undoing" | "undone";

/** The newest attempt at a piece of work of one kind. */
export interface StepOf<K extends StepKind> {
  id: string;
  urn: string;
  /** Empty for the resource itself, else the piece of it. */
  part: string;
  kind: K;
  attempt: number;
  state: StepState;
  meaning: string | null;
  pid: number | null;
  backendStart: string | null;
  physicalId: string | null;
  detail: Detail<K>;
  startedAt: string;
  endedAt: string | null;
  /** By the server's clock, as all its times are: this machine's may be wrong by hours. */
  readAt: string;
}

/** The newest attempt at a piece of work, whose detail is told by its kind. */
export type Step = { [K in StepKind]: StepOf<K> }[StepKind];

const columns = `id, urn, part, kind, attempt, state, meaning, pid, backend_start::text AS "backendStart",
  physical_id AS "physicalId", detail, started_at::text AS "startedAt", ended_at::text AS "endedAt",
  pg_catalog.clock_timestamp()::text AS "readAt"`;

/** @returns the newest attempt of every part of every resource, oldest first */
export async function readSteps(db: Askable): Promise<Step[]> {
  return rows<Step>(
    db,
    `SELECT ${columns} FROM (
       SELECT DISTINCT ON (urn, part) * FROM ${stepTable} ORDER BY urn, part, attempt DESC
     ) newest ORDER BY id`,
  );
}

/** @returns the newest attempt at one part of a resource */
export async function readStep(db: Queryable, urn: string, part = ""): Promise<Step | undefined> {
  const text = `SELECT ${columns} FROM ${stepTable} WHERE urn = $1 AND part = $2 ORDER BY attempt DESC LIMIT 1`;
  return first<Step>(db, text, [urn, part]);
}

/** @returns what the ledger keeps of a step of this kind; nothing for another, or none */
export function detailOf<K extends StepKind>(step: Step | undefined, kind: K): Detail<K> {
  return (step?.kind === kind ? step.detail : {}) as Detail<K>;
}

/** A piece of work that is about to be done. */
export interface Work<K extends StepKind> {
  part?: string;
  kind: K;
  state: StepState;
  meaning?: string | undefined;
  detail?: Detail<K>;
}

export interface NewStep<K extends StepKind> extends Work<K> {
  urn: string;
  /** The id that Pulumi's state holds, which a new beginning keeps: an update brings it no other. */
  heldAs?: string | undefined;
}

/**
 * Writes a new attempt, naming the backend that does the work, and the epoch, which no fenced transaction sees rise. What an earlier one left in the database is carried on: a
 * failed or killed attempt must not make the ledger forget it.
 */
export async function addStep<K extends StepKind>(db: Queryable, step: NewStep<K>): Promise<StepOf<K>> {
  const row = await first<StepOf<K> & Record<string, unknown>>(
    db,
    `INSERT INTO ${stepTable} (urn, part, kind, ledger_id, attempt, state, meaning, epoch, pid, backend_start, physical_id, detail)
     SELECT $1, $2, $3, l.id, coalesce(s.attempt, 0) + 1, $4, $5, l.epoch, pg_catalog.pg_backend_pid(), ${backendStart},
            CASE WHEN s.state <> 'undone' THEN s.physical_id END,
            CASE WHEN s.state <> 'undone' THEN s.detail - 'error'
                 WHEN s.part = '' THEN pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('heldAs', $7::text,
                   'life', (SELECT count(*) FROM ${stepTable} u WHERE u.urn = $1 AND u.part = '' AND u.state = 'undone')))
                 ELSE '{}' END || $6::jsonb
     FROM ${ledgerSchema}.ledger l
     LEFT JOIN LATERAL (SELECT * FROM ${stepTable} WHERE urn = $1 AND part = $2 ORDER BY attempt DESC LIMIT 1) s ON true
     RETURNING ${columns}`,
    [
      ...[step.urn, step.part ?? "", step.kind, step.state, step.meaning ?? null, JSON.stringify(step.detail ?? {})],
      step.heldAs ?? null,
    ],
  );
  if (!row)
    throw new GuardianError("ledger-broken", { what: "the ledger has no row", where: `${ledgerSchema}.ledger` });
  return row;
}

const backendStart = "(SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a)";

/**
 * Changes how an attempt stands; in the same transaction as the work it speaks of. One that goes on names the backend
 * that now does the work.
 */
export async function setStep<K extends StepKind>(
  db: Queryable,
  step: Pick<StepOf<K>, "id" | "kind">,
  change: { state: StepState; physicalId?: string; meaning?: string; detail?: Detail<K> },
): Promise<void> {
  await db.query(
    `UPDATE ${stepTable} SET state = $2,
       physical_id = coalesce($3, physical_id), meaning = coalesce($4, meaning), detail = detail || $5::jsonb,
       xid = CASE WHEN $2 IN ('done', 'undone') THEN pg_catalog.pg_current_xact_id() ELSE xid END,
       ended_at = CASE WHEN $2 IN ('done', 'undone') THEN pg_catalog.clock_timestamp() END,
       pid = CASE WHEN $2 IN ('running', 'undoing') THEN pg_catalog.pg_backend_pid() ELSE pid END,
       backend_start = CASE WHEN $2 IN ('running', 'undoing') THEN ${backendStart} ELSE backend_start END
     WHERE id = $1`,
    [step.id, change.state, change.physicalId ?? null, change.meaning ?? null, JSON.stringify(change.detail ?? {})],
  );
}

/**
 * The id of a resource in Pulumi's state. Pulumi replaces by a create, which finds here what is there already, and a
 * delete of the old id: every such adoption, and every new beginning after a rollback, has an id of its own, so that the
 * two can be told apart. A plain name is the first; releases that did not count had no other. What an update begins anew,
 * because the state did not learn of the rollback, keeps the id that the state has: it has none besides to be told from.
 */
export function resourceId(name: string, step: Pick<Step, "detail"> | undefined): string {
  const { life = 0, adoptions = 0, heldAs } = step?.detail ?? {};
  if (heldAs !== undefined) return heldAs;
  return life + adoptions === 0 ? name : `${name}~${life}.${adoptions}`;
}

/** Whoever creates a resource that stands takes it over: from now on it has another id. */
export async function adoptStanding(db: Queryable, step: Step): Promise<void> {
  const adoptions = (step.detail.adoptions ?? 0) + 1;
  const text = `UPDATE ${stepTable} SET detail = detail - 'heldAs' || pg_catalog.jsonb_build_object('adoptions', $2::int) WHERE id = $1`;
  await db.query(text, [step.id, adoptions]);
}

/** Counts rows that a data migration took back. */
export async function countRemoved(db: Queryable, step: Pick<StepOf<"DataMigration">, "id">, n: number): Promise<void> {
  const text = `UPDATE ${stepTable} SET detail = detail || pg_catalog.jsonb_build_object('removed',
    (coalesce((detail ->> 'removed')::bigint, 0) + $2)::text) WHERE id = $1`;
  await db.query(text, [step.id, n]);
}

/** Says that the parts of a resource do not stand any more, and that nothing of them is to be done. */
export async function endParts(db: Queryable, urn: string): Promise<void> {
  await db.query(
    `UPDATE ${stepTable} SET state = 'undone', ended_at = pg_catalog.clock_timestamp()
     WHERE urn = $1 AND part <> '' AND state <> 'undone'`,
    [urn],
  );
}

/** Says that no resource of a kind stands any more, of a stack. */
export async function endKind(db: Queryable, kind: StepKind, stack: string): Promise<void> {
  await db.query(
    `UPDATE ${stepTable} s SET state = 'undone', ended_at = pg_catalog.clock_timestamp()
     WHERE kind = $1 AND pg_catalog.starts_with(urn, $2) AND state <> 'undone'
       AND attempt = (SELECT max(attempt) FROM ${stepTable} n WHERE n.urn = s.urn AND n.part = s.part)`,
    [kind, `urn:pulumi:${stack}::`],
  );
}

/** Says of a part, whose resource it may be, that nothing of it is to be done any more. */
export async function endPart(db: Queryable, part: string): Promise<void> {
  const text = `UPDATE ${stepTable} SET state = 'done', ended_at = pg_catalog.clock_timestamp()
    WHERE part = $1 AND state IN ('planned', 'running')`;
  await db.query(text, [part]);
}

/** @returns what the newest attempt at a resource of this kind made, if it is done */
export async function madeBy(db: Queryable, kind: StepKind, stack: string): Promise<string | undefined> {
  const row = await first<{ id: string | null }>(
    db,
    `SELECT s.physical_id AS id FROM (
       SELECT DISTINCT ON (urn) urn, state, physical_id FROM ${stepTable}
       WHERE kind = $1 AND part = '' AND pg_catalog.starts_with(urn, $2) ORDER BY urn, attempt DESC
     ) s WHERE s.state = 'done'`,
    [kind, `urn:pulumi:${stack}::`],
  );
  return row?.id ?? undefined;
}

/** @returns the emergency rollbacks that were acknowledged, whatever became of the flags since; each with the row that said so first */
export async function acknowledgedRollbacks(db: Queryable): Promise<Map<string, string>> {
  const found = await rows<{ id: string; by: string }>(
    db,
    `SELECT a AS id, min(s.id)::text AS by FROM ${stepTable} s, pg_catalog.jsonb_array_elements_text(s.detail -> 'acknowledged') a
     GROUP BY a`,
  );
  return new Map(found.map(({ id, by }) => [id, by]));
}

/** A flag that the stack wrote, and what each of its writes found there, the first one first; null: not known. */
export interface WrittenFlag extends Record<string, unknown> {
  urn: string;
  name: string;
  found: readonly (FlagValues | null)[];
}

/**
 * A failed or killed attempt carries on what the one before it noted: one that wrote has a time of its own.
 * @param stack as in identity.stackOf
 * @param id of the row of the ledger since which
 * @returns the flags that the stack wrote since and that stand, by name
 */
export async function flagsWrittenSince(db: Queryable, stack: string, id: string): Promise<WrittenFlag[]> {
  const kind: StepKind = "FeatureFlag";
  return rows<WrittenFlag>(
    db,
    `SELECT urn, physical_id AS name, pg_catalog.jsonb_agg(detail -> 'before' ORDER BY attempt) AS found FROM (
       SELECT *, lag(detail) OVER (PARTITION BY urn ORDER BY attempt) AS last,
         max(attempt) FILTER (WHERE state = 'undone') OVER (PARTITION BY urn) AS gone
       FROM ${stepTable} WHERE kind = $1 AND part = '' AND pg_catalog.starts_with(urn, $2)) f
     WHERE id > $3 AND attempt > coalesce(gone, 0) AND detail ? 'values'
       AND detail ->> 'writtenAt' IS DISTINCT FROM last ->> 'writtenAt'
     GROUP BY urn, physical_id ORDER BY name`,
    [kind, `urn:pulumi:${stack}::`, id],
  );
}

/**
 * @param gate one of them by name, as details.ts has it
 * @returns the row of the ledger since which this gate was passed no more, asked and not passed by; where it never was, the
 *   first row of any gate: what is older than that is of a release without gates. It may be one that was taken back since
 */
export async function gatePassed(db: Queryable, stack: string, gate: string): Promise<{ id: string; ever: boolean }> {
  const kind: StepKind = "Gate";
  const found = await first<{ passed: string | null; begun: string | null }>(
    db,
    `SELECT max(id) FILTER (WHERE detail ->> 'gate' = $3 AND state IN ('done', 'undone') AND detail ->> 'verdict' <> 'not ready'
         AND detail ->> 'waived' = 'false' AND NOT detail ? 'error')::text AS passed, min(id)::text AS begun
     FROM ${stepTable} WHERE kind = $1 AND part = '' AND pg_catalog.starts_with(urn, $2)`,
    [kind, `urn:pulumi:${stack}::`, gate],
  );
  return { id: found?.passed ?? found?.begun ?? "0", ever: typeof found?.passed === "string" };
}

/** @returns the three newest backups, of whatever stack, the newest first */
export async function newestBackups(db: Queryable): Promise<Pick<TakenBackup, "path" | "takenAt">[]> {
  const kind: StepKind = "Backup";
  return rows(
    db,
    `SELECT path, min(taken) AS "takenAt" FROM (
       SELECT detail->>'path' AS path, detail->>'takenAt' AS taken, id FROM ${stepTable} WHERE kind = $1 AND detail ? 'path') b
     GROUP BY path ORDER BY max(id) DESC LIMIT 3`,
    [kind],
  );
}

/** @returns the server's time, and when anything was changed outside of the ledger for the last time */
export async function lastChange(db: Queryable): Promise<{ now: string; since: string | undefined }> {
  const text = `SELECT pg_catalog.clock_timestamp()::text AS now, max(ended_at)::text AS since FROM ${stepTable} WHERE kind <> ALL ($1)`;
  const row = await first<{ now: string; since: string | null }>(db, text, [harmless]);
  return { now: row?.now ?? "", since: row?.since ?? undefined };
}

/** Whether a part brought archived rows back but for some that the module refused. */
export const isRefused = (step: Step): boolean => step.state === "done" && (detailOf(step, "rows").refused ?? 0) > 0;

/** Parts that the ledger says were begun, or planned, and not ended. */
export function unfinished(steps: readonly Step[]): Step[] {
  return steps.filter((step) => step.state === "planned" || step.state === "running" || step.state === "undoing");
}

/** A backup as the ledger has it. */
export interface KnownBackup {
  readonly taken: Detail<"Backup">;
  readonly proof: Partial<KeptProof> | undefined;
}

/**
 * @param urn the backup's
 * @returns the first proven backup of a resource's present life that was taken for a data migration, after the gate of the data
 *   stage let it pass for the last time: with its proof, whose step is undone once the next one is taken. An attempt that failed
 *   carries on the one before it, and is none
 */
export const firstRelied = (db: Queryable, urn: string): Promise<KnownBackup | undefined> =>
  first<KnownBackup & Record<string, unknown>>(
    db,
    `SELECT b.detail AS taken, p.detail AS proof
      FROM ${stepTable} b JOIN ${stepTable} p ON p.urn = b.urn AND p.part = 'proof' AND p.detail ->> 'path' = b.detail ->> 'path'
     WHERE b.urn = $1 AND b.part = '' AND b.kind = 'Backup' AND b.state = 'done' AND p.detail ->> 'relied' = 'true'
       AND coalesce(b.detail ->> 'refuted', '') <> 'true' AND NOT b.detail ? 'error'
       AND b.detail -> 'life' IS NOT DISTINCT FROM
         (SELECT n.detail -> 'life' FROM ${stepTable} n WHERE n.urn = $1 AND n.part = '' ORDER BY n.attempt DESC LIMIT 1)
       AND b.id > coalesce((SELECT max(g.id) FROM ${stepTable} g WHERE g.kind = 'Gate' AND g.part = '' AND g.state IN ('done', 'undone')
         AND g.detail ->> 'gate' = 'data' AND coalesce(g.detail ->> 'verdict', 'not ready') <> 'not ready'
         AND coalesce(g.detail ->> 'waived', '') <> 'true' AND NOT g.detail ? 'error'), 0)
       AND EXISTS (SELECT FROM ${stepTable} m WHERE m.kind = 'DataMigration' AND m.part = ''
         AND b.detail -> 'protects' ? pg_catalog.split_part(m.urn, '::', -1))
     ORDER BY b.id LIMIT 1`,
    [urn],
  );
