import { ledgerSchema } from "../ledger/schema";
import { readStep } from "../ledger/steps";
import { first, rows, type Queryable } from "../sql";
import { followed } from "./definition";
import type { Mapped } from "./source";

export const migrationKind = "DataMigration";

/** What the ledger keeps of a migration that began: enough to take it back without its files. */
export interface Recorded {
  name: string;
  module: string;
  from: string;
  key: string[];
  target: string;
  targetKey: string[];
  /** Types of the key's columns. */
  types: string[];
  /** The v6 tables that its triggers were on. */
  follows: string[];
  batchMs: number;
  slowdown: number;
}

/** @returns what the ledger is to keep */
export function recorded(it: Mapped): Recorded {
  const { name, module, from, key, target, targetKey, types, batchMs, slowdown } = it;
  return {
    ...{ name, module, from, key, target, targetKey, types, batchMs, slowdown },
    follows: followed(it.source.follows),
  };
}

/** What moving did. */
export interface Moved {
  /** Rows that the source offered at cut-over. */
  source: bigint;
  /** Rows that all batches that still stand wrote; some may have gone with their account since. */
  written: bigint;
  /** Rows that could not be moved; the reject table names them. */
  rejected: bigint;
  /** Sum of the hashes of the rows that were compared with v6 and found equal; empty before. */
  checksum: string;
  /** What the source counts, by name: for instance rows whose language was repaired. */
  counted: Record<string, number>;
}

/** @returns what the ledger says of a migration */
export async function readMoved(db: Queryable, urn: string): Promise<Moved> {
  const step = await readStep(db, urn);
  const said = (name: string): string => (typeof step?.detail[name] === "string" ? step.detail[name] : "");
  return {
    source: BigInt(said("source") || 0),
    written: BigInt(await standing(db, urn)),
    rejected: BigInt(rejected(await readRejects(db, urn))),
    checksum: said("checksum"),
    counted: (step?.detail["counted"] ?? {}) as Record<string, number>,
  };
}

/** Rows written by all batches that still stand: an earlier life of the same migration may have left some. */
export async function standing(db: Queryable, urn: string): Promise<string> {
  const sum = await first<{ written: string }>(
    db,
    `SELECT coalesce(sum(rows_written - rows_taken_back), 0) AS written FROM ${ledgerSchema}.batch WHERE urn = $1 AND state = 'done'`,
    [urn],
  );
  return sum?.written ?? "0";
}

/** Rows that could not be moved, by reason. */
export interface Reject extends Record<string, unknown> {
  sqlstate: string;
  /** The constraint or column that refused them. */
  object: string | null;
  rows: string;
}

/** @returns how many rows could not be moved */
export function rejected(rejects: readonly Reject[]): number {
  return rejects.reduce((sum, reject) => sum + Number(reject.rows), 0);
}

/** @returns why rows could not be moved, the most frequent reason first; no values */
export async function readRejects(db: Queryable, urn: string): Promise<Reject[]> {
  return rows<Reject>(
    db,
    `SELECT sqlstate, object, count(*) AS rows FROM ${ledgerSchema}.reject WHERE urn = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`,
    [urn],
  );
}
