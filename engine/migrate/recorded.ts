import type { RecordedMigration } from "../ledger/details";
import { standingRows } from "../ledger/batches";
import { readRejects, rejected } from "../ledger/rejects";
import { detailOf, readStep } from "../ledger/steps";
import type { Queryable } from "../base/sql";
import { followed } from "./definition/migration";
import type { Mapped } from "./definition/source";

/** @returns what the ledger is to keep */
export function recorded(it: Mapped): RecordedMigration {
  const { name, module, from, key, target, targetKey, types, batchMs, slowdown } = it;
  return {
    ...{ name, module, from, key, target, targetKey, types, batchMs, slowdown },
    follows: followed(it.source.follows),
  };
}

/** What moving did. */
export interface Moved {
  /** Rows that the source offered when all were compared; what v6 did afterwards, until the cut-over, is in `written` alone. */
  source: bigint;
  /** Rows that all batches that still stand wrote; some may have gone with their account since. */
  written: bigint;
  /** Rows that could not be moved; the reject table names them. */
  rejected: bigint;
  /** Sum of the hashes of the rows that were compared with v6 and found equal; empty before. */
  checksum: string;
  /** What the source counts, by name: for instance rows whose language was repaired. */
  counted: Record<string, number>;
  /** Rows that were left out on purpose, by reason: no loss. */
  leftOut: Record<string, number>;
}

/** @returns what the ledger says of a migration */
export async function readMoved(db: Queryable, urn: string): Promise<Moved> {
  const { source, checksum, counted, leftOut } = detailOf(await readStep(db, urn), "DataMigration");
  return {
    source: BigInt(source ?? 0),
    written: BigInt(await standingRows(db, urn)),
    rejected: BigInt(rejected(await readRejects(db, urn))),
    checksum: checksum ?? "",
    counted: counted ?? {},
    leftOut: leftOut ?? {},
  };
}
