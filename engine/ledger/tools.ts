import { first, rows, type Askable } from "../base/sql";
import { ledgerTable } from "./schema";
import { stepTable } from "./steps";
import type { StepKind } from "./kinds";

/* What benchmarks and fault runs ask of the ledger, and the product does not. */

/** @returns the number of batches that wrote rows and stand; of one migration or of all */
export async function countBatches(db: Askable, urn?: string): Promise<number> {
  const text = `SELECT count(*)::int AS n FROM ${ledgerTable("batch")}
    WHERE state = 'done' AND rows_written > 0 AND ($1::text IS NULL OR urn = $1)`;
  return (await first<{ n: number }>(db, text, [urn ?? null]))?.n ?? 0;
}

/** A step that ended, with its times by the server's clock in Unix milliseconds. */
export interface TimedStep extends Record<string, unknown> {
  urn: string;
  part: string;
  kind: string;
  from: number;
  /** When its end was written. */
  written: number;
  /** When the transaction that wrote it ended; the server must have track_commit_timestamp on (manual, 20.6.1). */
  to: number;
}

/** @returns the steps that ended, in the order in which they began */
export async function timedSteps(db: Askable): Promise<TimedStep[]> {
  return rows<TimedStep>(
    db,
    `SELECT urn, part, kind, extract(epoch FROM started_at)::float8 * 1000 AS from,
            extract(epoch FROM ended_at)::float8 * 1000 AS written,
            extract(epoch FROM greatest(ended_at, pg_xact_commit_timestamp(xid::xid)))::float8 * 1000 AS to
     FROM ${stepTable} WHERE ended_at IS NOT NULL ORDER BY started_at`,
  );
}

/** Forgets all data migrations, as if none had ever begun. */
export async function forgetMigrations(db: Askable): Promise<void> {
  const kind: StepKind = "DataMigration";
  await db.query(`TRUNCATE ${(["range", "change", "reject", "batch"] as const).map(ledgerTable).join(", ")}`);
  await db.query(`DELETE FROM ${stepTable} WHERE kind = $1`, [kind]);
  await db.query(`VACUUM ${stepTable}`);
}
