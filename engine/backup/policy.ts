import { existsSync } from "node:fs";
import { join } from "node:path";
import { GuardianError } from "../base/errors";
import type { Queryable } from "../base/sql";
import type { TakenBackup } from "../ledger/details";
import { stackOf } from "../ledger/identity";
import { detailOf, readStep, readSteps, type Step } from "../ledger/steps";

/** Which backup serves which change. Read by every preview, so that nothing here needs pg_dump. */

/** What a stack declares of its backups. */
export interface WantedBackup {
  /** Folder for the backups. */
  directory: string;
  /** How many tables are dumped at once. */
  jobs: number;
  /** How old a backup may be to serve changes that are still to come, in seconds. */
  maxAgeSeconds: number;
  ledgerId: string;
  /** The changes that it is taken for: modules and data migrations by name, each with its meaning. */
  protects: Readonly<Record<string, string>>;
}

/**
 * No change without a backup: the newest finished backup of this stack must have been taken for exactly this change.
 * @throws GuardianError if there is none
 */
export async function requireBackup(db: Queryable, urn: string, name: string, meaning: string): Promise<void> {
  const stack = stackOf(urn);
  const steps = await readSteps(db);
  // What was taken out since the backup was taken may have collected rows that are not in it.
  const undone = steps.find((step) => step.urn === urn && step.part === "" && step.state === "undone");
  const covered = steps.some((step) => {
    if (stackOf(step.urn) !== stack) return false;
    const { protects } = detailOf(step, "Backup");
    const later = !undone?.endedAt || Date.parse(step.endedAt ?? "") >= Date.parse(undone.endedAt);
    return step.state === "done" && protects?.[name] === meaning && later;
  });
  if (covered) return;
  throw new GuardianError("backup-missing", {
    what: `no backup was taken for this change of ${name}; nothing was changed`,
    where: urn,
    todo: "declare the Backup before it, with this module among its modules, and do not target around it (--target)",
  });
}

/**
 * A backup serves the changes that are still to come only while it is young and its files are there: a run that goes on
 * after a week, or after somebody cleared the folder, dumps anew.
 * @param steps the newest attempts of the whole ledger
 * @param urn the backup's
 */
export function isOutdated(
  steps: readonly Step[],
  urn: string,
  { protects, maxAgeSeconds }: WantedBackup,
  taken: Pick<TakenBackup, "path" | "takenAt">,
): boolean {
  const whole = steps.filter((step) => step.part === "");
  const standing = new Set(whole.filter((step) => step.state === "done").map(nameOf));
  if (Object.keys(protects).every((name) => standing.has(name))) return false;
  // What was taken back since may have collected rows that are not in it: requireBackup asks for a later one.
  const mine = Date.parse(whole.find((step) => step.urn === urn)?.endedAt ?? "");
  const undone = whole.filter((step) => step.state === "undone" && nameOf(step) in protects);
  if (undone.some((step) => Date.parse(step.endedAt ?? "") > mine)) return true;
  const age = (Date.now() - Date.parse(taken.takenAt)) / 1000;
  return age > maxAgeSeconds || !existsSync(join(taken.path, "manifest.json"));
}

const nameOf = (step: Step): string => step.urn.split("::").at(-1) ?? "";

/** @returns what the ledger says of a backup @throws GuardianError if it knows none */
export async function readTaken(db: Queryable, urn: string): Promise<TakenBackup> {
  const step = await readStep(db, urn);
  if (!step) {
    const what = "the ledger knows no backup of this stack";
    throw new GuardianError("backup-missing", { what, where: urn, todo: "run up" });
  }
  const { path = "", takenAt = "", bytes = 0, rows = 0, tables = 0 } = detailOf(step, "Backup");
  return { path, takenAt, bytes, rows, tables };
}
