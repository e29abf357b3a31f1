import { ownName, type BackupFolder } from "../../engine/backup/keep/read";
import type { NotedProof } from "../../engine/backup/keep/proof-file";
import { isOf } from "../../engine/backup/keep/choose";
import { provenBy } from "../../engine/backup/keep/relied";
import { shown } from "../../engine/base/names";
import type { KnownLedger } from "./place";

/** A backup as programs read it. */
export interface Listed {
  id: string;
  path: string;
  /** See BackupFolder. */
  state: BackupFolder["state"];
  why?: string;
  /** Of a hidden one: the backup that its run reads. */
  reads?: string;
  takenAt?: string;
  database?: string;
  systemIdentifier?: string;
  ledgerId?: string;
  server?: string;
  bytes: number;
  rows?: number;
  tables?: number;
  proof: NotedProof | null;
  /** What of the ledger relies on it; null: nothing, or the ledger was not asked. */
  reliedOnBy: string | null;
  /** It is of the stack's ledger and database; null: that was not asked. */
  own: boolean | null;
}

/** @returns what there is to say of each backup */
export function listed(folders: readonly BackupFolder[], known: KnownLedger | undefined): Listed[] {
  return folders.map((folder) => {
    const { name, path, state, why, reads, manifest, bytes } = folder;
    const about = manifest && {
      takenAt: manifest.startedAt,
      database: manifest.server.database,
      systemIdentifier: manifest.server.systemIdentifier,
      ledgerId: manifest.ledgerId,
      server: manifest.server.version,
      rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
      tables: manifest.tables.length,
    };
    return {
      ...{ id: name, path, state, ...(why === undefined ? {} : { why }), ...about, bytes },
      ...(reads === undefined ? {} : { reads }),
      proof: provenBy(folder, known?.relied) ?? null,
      reliedOnBy: known?.relied.on.get(ownName(name)) ?? null,
      own: known && manifest ? isOf(folder, known.here, known.formerNames) : null,
    };
  });
}

/** A line of a table for people. */
export function row(one: Listed): Record<string, string | number> {
  return {
    id: shown(one.id),
    taken: one.takenAt === undefined ? "" : minute(one.takenAt),
    database: shown(one.database ?? ""),
    ledger: one.ledgerId?.slice(0, 8) ?? "",
    MB: Math.round(one.bytes / 1e5) / 10,
    proof: one.takenAt === undefined ? "" : proofText(one.proof),
    note: shown(noteOf(one)),
  };
}

const minute = (time: string): string => time.slice(0, 16).replace("T", " ");

/** @returns a proof in words */
export function proofText(proof: NotedProof | null | undefined): string {
  if (!proof) return "nobody restored it";
  const { verdict, provenAt, restoreSeconds } = proof;
  if (verdict === "not proven") return "not proven: it differs";
  return `${verdict} ${minute(provenAt)}, back in ${restoreSeconds} s`;
}

function noteOf({ id, state, why, reads, reliedOnBy, own }: Listed): string {
  const cut = ownName(id) !== id;
  const states: Partial<Record<BackupFolder["state"], string>> = {
    ...(cut ? { whole: "whole; its removal was cut off" } : {}),
    broken: `broken: ${why ?? ""}`,
    "under way": reads === undefined ? "is being written" : `reads ${reads}`,
    "left behind": `${cut ? "half removed" : "half-written"}, by a run that was killed`,
    unclear: "half-written; by whom cannot be told from here",
    other: "no backup",
  };
  const notes = [states[state], reliedOnBy === null ? undefined : `relied on by ${reliedOnBy}`];
  if (own === false) notes.push("of another ledger or database");
  return notes.filter((one) => one !== undefined).join("; ");
}
