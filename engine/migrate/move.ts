import { escapeIdentifier } from "pg";
import type { WriteSession } from "../database";
import { fromStatement } from "../errors";
import { attempt } from "../ledger/attempt";
import { ledgerSchema } from "../ledger/schema";
import { readStep, setStep } from "../ledger/steps";
import { exists, first, quoteName, rows, type Queryable } from "../sql";
import { sourceFor, type Migration } from "./definition";

export const migrationKind = "DataMigration";

/** What moving did. */
export interface Moved {
  /** Rows that the source offers. */
  source: bigint;
  /** Rows written by all batches that still stand. */
  written: bigint;
}

/** How many rows would be written now, and how many the source offers. Runs in a read-only transaction. */
export async function planMove(db: Queryable, migration: Migration, parameters: object): Promise<Moved | undefined> {
  const source = await sourceFor(db, migration);
  const there = await first<{ there: boolean }>(db, "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS there", [
    quoteName(migration.target),
  ]);
  const condition = there?.there ? `count(*) FILTER (WHERE NOT (${migration.unless}))` : "count(*)";
  await db.query("SET LOCAL row_security = off");
  const counted = await first<{ all: string; new: string }>(
    db,
    `SELECT count(*) AS all, ${condition} AS new FROM (${source.sql}) s`,
    [JSON.stringify(parameters)],
  );
  return counted && { source: BigInt(counted.all), written: BigInt(counted.new) };
}

/**
 * Moves the rows: one set-based statement in one transaction with its ledger row, so that it happened wholly or not at
 * all. A row of the target that is there already is left alone, whatever its state.
 * @throws GuardianError without row values
 */
export async function moveRows(session: WriteSession, migration: Migration, parameters: object): Promise<Moved> {
  const { urn, onStatus } = session.options;
  const current = await readStep(session.writer, urn);
  if (current?.state !== "done") {
    onStatus(`moving rows into ${migration.target}`);
    const running = { kind: migrationKind, state: "running", meaning: migration.meaning } as const;
    await attempt(session, running, "planned", (step) =>
      session
        .transaction(async (db) => {
          const source = await insertBatch(db, session, migration, parameters, step.id);
          const processed = await standing(db, urn);
          await setStep(db, step.id, { state: "done", detail: { source, processed, written: processed } });
        })
        .catch((err: unknown) => {
          const todo = "nothing of it was written; mend the cause, then run this again";
          throw fromStatement(err, `data migration ${migration.name}`, todo, migration.target);
        }),
    );
  }
  return readMoved(session.writer, urn);
}

/** @returns what the ledger says of a migration */
export async function readMoved(db: Queryable, urn: string): Promise<Moved> {
  const step = await readStep(db, urn);
  const source = step?.detail["source"];
  return { source: BigInt(typeof source === "string" ? source : 0), written: BigInt(await standing(db, urn)) };
}

/** Rows written by all batches that still stand: an earlier life of the same migration may have left some. */
async function standing(db: Queryable, urn: string): Promise<string> {
  const sum = await first<{ written: string }>(
    db,
    `SELECT coalesce(sum(rows_written), 0) AS written FROM ${ledgerSchema}.batch WHERE urn = $1 AND state = 'done'`,
    [urn],
  );
  return sum?.written ?? "0";
}

async function insertBatch(
  db: Queryable,
  session: WriteSession,
  migration: Migration,
  parameters: object,
  stepId: string,
): Promise<string> {
  const source = await sourceFor(db, migration);
  const target = quoteName(migration.target);
  const columns = migration.columns.map((column) => escapeIdentifier(column));
  await db.query("SET LOCAL row_security = off");
  const batch = await first<{ id: string }>(
    db,
    `INSERT INTO ${ledgerSchema}.batch (urn, step_id, target, epoch) VALUES ($1, $2, $3, $4) RETURNING id`,
    [session.options.urn, stepId, migration.target, session.epoch],
  );
  // The audit triggers pass over rows written inside a running batch of the ledger: the ledger audits them as one.
  await db.query("SELECT pg_catalog.set_config('guardian_migration.batch', $1, true)", [batch?.id ?? ""]);
  const counted = await first<{ offered: string; written: string; checksum: string | null }>(
    db,
    `WITH s AS MATERIALIZED (${source.sql}), written AS (
       INSERT INTO ${target} AS t (${columns.join(", ")})
       SELECT ${columns.map((column) => `s.${column}`).join(", ")} FROM s WHERE NOT (${migration.unless})
       ON CONFLICT DO NOTHING RETURNING pg_catalog.hashtextextended(t::text, 0) AS hash
     )
     SELECT (SELECT count(*) FROM s) AS offered, count(*) AS written, sum(hash::numeric)::text AS checksum FROM written`,
    [JSON.stringify(parameters)],
  );
  const [offered, written] = [counted?.offered ?? "0", counted?.written ?? "0"];
  await db.query(
    `UPDATE ${ledgerSchema}.batch SET state = 'done', rows_written = $2, rows_present = $3::bigint - $2, checksum = $4 WHERE id = $1`,
    [batch?.id, written, offered, counted?.checksum ?? null],
  );
  return offered;
}

/** What taking back did. */
export interface TakenBack {
  removed: bigint;
  /** Rows that somebody changed since, or that others refer to: they stay in their table. */
  kept: bigint;
}

/**
 * Takes the rows back that the migration wrote, nobody changed since and nobody refers to; all others stay. Idempotent.
 * A row is unchanged if its updated_at is still the time of the transaction that wrote it.
 */
export async function takeBackRows(session: WriteSession): Promise<TakenBack> {
  const { urn, onStatus } = session.options;
  const current = await readStep(session.writer, urn);
  if (!current || current.state === "undone") return { removed: 0n, kept: 0n };
  const undoing = { kind: migrationKind, state: "undoing", meaning: current.meaning ?? undefined } as const;
  const total: TakenBack = { removed: 0n, kept: 0n };
  await attempt(session, undoing, current.state, (step) =>
    session
      .transaction(async (db) => {
        const batches = await rows<Batch>(
          db,
          `SELECT id, target, rows_written AS written, transaction_time::text AS time FROM ${ledgerSchema}.batch WHERE urn = $1 AND state = 'done'`,
          [urn],
        );
        for (const batch of batches) {
          onStatus(`taking back the rows of ${batch.target} that nobody changed`);
          const removed = await removeBatch(db, batch);
          total.removed += removed;
          total.kept += BigInt(batch.written) - removed;
        }
        const detail = { removed: total.removed.toString(), kept: total.kept.toString() };
        await setStep(db, step.id, { state: "undone", detail });
      })
      .catch((err: unknown) => {
        throw fromStatement(err, urn, "nothing was taken back; mend the cause, then run this again", "");
      }),
  );
  return total;
}

interface Batch extends Record<string, unknown> {
  id: string;
  target: string;
  written: string;
  time: string;
}

async function removeBatch(db: Queryable, batch: Batch): Promise<bigint> {
  const target = quoteName(batch.target);
  if (!(await exists(db, target))) {
    // Somebody dropped the table by hand: there is nothing to take back, and the rollback must not stop at it.
    await db.query(`UPDATE ${ledgerSchema}.batch SET state = 'undone' WHERE id = $1`, [batch.id]);
    return 0n;
  }
  await db.query("SET LOCAL row_security = off");
  await db.query(
    `UPDATE ${ledgerSchema}.batch SET state = 'running', pid = pg_catalog.pg_backend_pid() WHERE id = $1`,
    [batch.id],
  );
  await db.query("SELECT pg_catalog.set_config('guardian_migration.batch', $1, true)", [batch.id]);
  const referring = await rows<{ condition: string }>(
    db,
    `SELECT pg_catalog.format('EXISTS (SELECT FROM %s r WHERE %s)', k.conrelid::regclass,
              (SELECT pg_catalog.string_agg(pg_catalog.format('r.%I = t.%I', a.attname, f.attname), ' AND ')
               FROM unnest(k.conkey, k.confkey) u(mine, theirs)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine
               JOIN pg_catalog.pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = u.theirs)) AS condition
     FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = $1::regclass`,
    [target],
  );
  const unless = referring.map((row) => ` AND NOT ${row.condition}`).join("");
  const removed = await first<{ n: string }>(
    db,
    `WITH gone AS (DELETE FROM ${target} t WHERE t.updated_at = $1::timestamptz${unless} RETURNING 1) SELECT count(*) AS n FROM gone`,
    [batch.time],
  );
  const n = removed?.n ?? "0";
  await db.query(
    `UPDATE ${ledgerSchema}.batch SET state = 'undone', rows_taken_back = $2, rows_kept = rows_written - $2::bigint WHERE id = $1`,
    [batch.id, n],
  );
  await db.query("SELECT pg_catalog.set_config('guardian_migration.batch', '', true)");
  return BigInt(n);
}
