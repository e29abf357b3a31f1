import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { GuardianError } from "../../base/errors";
import { hash } from "../../base/hash";
import type { Queryable } from "../../base/sql";
import type { DatabaseInput } from "../../connect";
import type { Detail, KeptProof, TakenBackup } from "../../ledger/details";
import { stackOf } from "../../ledger/identity";
import { detailOf, readSteps, type Step } from "../../ledger/steps";
import { addressOf, sealOf, type WantedStore } from "../../store/wanted";
import type { Manifest } from "../manifest";

/** Which backup serves which change. Read by every preview, so that nothing here needs pg_dump. */

/** The part of a backup's step that is its proof. */
export const proofPart = "proof";

/** The part of it that is storing it off the machine. */
export const uploadPart = "upload";

/** The name of a backup, which is its folder's, here and in a store. */
export const nameOfFolder = (path: string): string => basename(path);

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
  /** Whether it is restored before anything is added or changed, or only its table of contents read. Absent: restored. */
  verify?: "restore" | "list";
  /** What is a warning elsewhere is refused. */
  strict?: boolean;
  /** How long a restore may take, in seconds. */
  maxRestoreSeconds?: number;
  /** What is accepted though it is not proven: `backup/<what>` → the operator's reason. */
  accept?: Readonly<Record<string, string>>;
  /** The server to restore on; absent: an embedded one. */
  scratch?: DatabaseInput;
  /** Where it is stored off the machine before anything is added or changed; absent: nowhere. */
  store?: WantedStore;
}

/** What the ledger says of a backup and its proof. */
export interface KnownBackup extends TakenBackup {
  proof: KeptProof["verdict"];
  /** Empty where it is not proven. */
  provenAt: string;
  /** How long its restore took; 0 where there was none. */
  restoreSeconds: number;
  /** Where it is stored off the machine: s3://… */
  storedIn?: string;
}

const mainOf = (steps: readonly Step[], urn: string): Step | undefined =>
  steps.find((step) => step.urn === urn && step.part === "");

/** @returns the folder of the backup that was taken last; empty if none was */
export const pathOf = (steps: readonly Step[], urn: string): string =>
  detailOf(mainOf(steps, urn), "Backup").path ?? "";

/**
 * @returns folder and time of the backup that was taken last, as the ledger has them: the state of one whose proof failed has
 *   neither
 */
export function takenOf(steps: readonly Step[], urn: string): Pick<TakenBackup, "path" | "takenAt"> {
  const { path = "", takenAt = "" } = detailOf(mainOf(steps, urn), "Backup");
  return { path, takenAt };
}

/** @returns the proof of the backup that stands; nothing where it has none, or an earlier one has */
export function proofOf(steps: readonly Step[], urn: string): KeptProof | undefined {
  const { path } = detailOf(mainOf(steps, urn), "Backup");
  const step = steps.find((one) => one.urn === urn && one.part === proofPart && one.state === "done");
  const detail: Detail<"proof"> = detailOf(step, "proof");
  return path !== undefined && detail.path === path ? (detail as KeptProof) : undefined;
}

/**
 * Whether something that a backup is taken for is still to be added or changed. If not, things are only taken out: the way
 * back waits for no proof.
 */
export const isAwaited = (steps: readonly Step[], urn: string, protects: Readonly<Record<string, string>>): boolean =>
  awaited(steps, urn, protects).length > 0;

/** Whether a step is of what a backup is taken for: a flag may bear the name of a data migration. */
const isChange = ({ kind, part }: Step): boolean => part === "" && (kind === "SqlModule" || kind === "DataMigration");

/** @returns what of it is still to be added or changed, by name */
export function awaited(steps: readonly Step[], urn: string, protects: Readonly<Record<string, string>>): string[] {
  const mine = steps.filter((one) => isChange(one) && one.state === "done" && stackOf(one.urn) === stackOf(urn));
  const standing = new Map(mine.map((step) => [nameOf(step), step.meaning]));
  const open = Object.entries(protects).filter(([name, meaning]) => (standing.get(name) ?? "none") !== meaning);
  return open.map(([name]) => name);
}

/** Whether changes may rely on what a proof has shown. */
export const mayRely = (proof: KeptProof | undefined): boolean => proof?.relied === true && proof.withdrawn !== true;

/** Whether changes that are to come may rely on the backup that stands, as far as its proof goes. */
function isRelied(steps: readonly Step[], urn: string): boolean {
  return detailOf(mainOf(steps, urn), "Backup").verify === "list" || mayRely(proofOf(steps, urn));
}

/**
 * No change without a backup: the newest finished backup of this stack must have been taken for exactly this change, be
 * proven, and be there: up looks at its files in the Backup (isOutdated), which --target leads past.
 * @throws GuardianError if there is none
 */
export async function requireBackup(db: Queryable, urn: string, name: string, meaning: string): Promise<void> {
  const stack = stackOf(urn);
  const steps = await readSteps(db);
  // What was taken out since the backup was taken may have collected rows that are not in it.
  const undone = steps.find((step) => step.urn === urn && step.part === "" && step.state === "undone");
  const covering = steps.filter((step) => {
    if (stackOf(step.urn) !== stack) return false;
    const { protects } = detailOf(step, "Backup");
    const later = !undone?.endedAt || takenWhen(step) >= Date.parse(undone.endedAt);
    return step.state === "done" && protects?.[name] === meaning && later;
  });
  const relied = covering.filter((step) => isRelied(steps, step.urn));
  const there = relied.filter((step) => {
    const { path = "", manifestSha256 } = detailOf(step, "Backup");
    return isThere(path, manifestSha256);
  });
  if (there.some((step) => !isOnItsWay(steps, step.urn))) return;
  if (there[0]) {
    throw new GuardianError("backup-unstored", {
      what: `the backup that was taken for this change of ${name} is not stored off the machine yet; nothing was changed`,
      where: `${urn}, ${detailOf(there[0], "Backup").path ?? ""}`,
      todo: "run up without targeting around the Backup (--target): it is stored first",
    });
  }
  if (relied[0]) {
    throw new GuardianError("backup-missing", {
      what: `the backup that was taken for this change of ${name} is not there any more, or not as it was written; nothing was changed`,
      where: `${urn}, ${detailOf(relied[0], "Backup").path ?? ""}`,
      todo: "run up without targeting around the Backup (--target): another is taken first",
    });
  }
  if (covering[0]) {
    throw new GuardianError("backup-unproven", {
      what: `the backup that was taken for this change of ${name} is not proven; nothing was changed`,
      where: `${urn}, ${detailOf(covering[0], "Backup").path ?? ""}`,
      todo: "run up without targeting around the Backup (--target): it is restored and compared first",
    });
  }
  throw new GuardianError("backup-missing", {
    what: `no backup was taken for this change of ${name}; nothing was changed`,
    where: urn,
    todo: "declare the Backup before it, with this module among its modules, and do not target around it (--target)",
  });
}

/**
 * When a backup was taken. A later attempt that failed, or only asked for another proof, has an end of its own, and carries on
 * what the one before it took.
 */
function takenWhen(step: Step | undefined): number {
  return Date.parse(detailOf(step, "Backup").takenAt ?? step?.endedAt ?? "");
}

/** @returns how many seconds a time of the server's was past when the step was read; NaN if there is no such time */
export function secondsSince(time: string, step: Step | undefined): number {
  return (Date.parse(step?.readAt ?? "") - Date.parse(time)) / 1000;
}

/**
 * A backup serves the changes that are still to come only while it is young and its files are there: a run that goes on
 * after a week, or after somebody cleared the folder, dumps anew. Its age counts from the end of its proof, which may
 * take longer than it may be old. One that a proof refuted serves nothing.
 * @param steps the newest attempts of the whole ledger
 * @param urn the backup's
 */
export function isOutdated(
  steps: readonly Step[],
  urn: string,
  { protects, maxAgeSeconds }: WantedBackup,
  taken: Pick<TakenBackup, "path" | "takenAt">,
): boolean {
  const whole = steps.filter(isChange);
  const standing = new Set(whole.filter((step) => step.state === "done").map(nameOf));
  if (Object.keys(protects).every((name) => standing.has(name))) return false;
  const main = mainOf(steps, urn);
  if (detailOf(main, "Backup").refuted === true) return true;
  // What was taken back since may have collected rows that are not in it: requireBackup asks for a later one.
  const mine = takenWhen(main);
  const undone = whole.filter((step) => step.state === "undone" && nameOf(step) in protects);
  if (undone.some((step) => Date.parse(step.endedAt ?? "") > mine)) return true;
  const ready = proofOf(steps, urn)?.provenAt ?? taken.takenAt;
  const young = secondsSince(ready, main) <= maxAgeSeconds;
  return !young || !isThere(taken.path, detailOf(main, "Backup").manifestSha256);
}

/**
 * Whether its manifest is there, and the one that was written when it was taken, and every file that it lists with its size.
 * Hashes take as long as reading all of it, and are the proof's to compare.
 */
function isThere(path: string, manifestSha256 = ""): boolean {
  const file = join(path, "manifest.json");
  if (manifestSha256 === "") return existsSync(file);
  try {
    const text = readFileSync(file);
    if (createHash("sha256").update(text).digest("hex") !== manifestSha256) return false;
    const { files } = JSON.parse(text.toString()) as Pick<Manifest, "files">;
    return files.every(({ path: name, size }) => statSync(join(path, name)).size === size);
  } catch {
    return false;
  }
}

/** Whether a backup that was taken can be proven: an older release, which did not note how it is verified, kept no roles. */
const isProvable = (taken: Step): boolean => detailOf(taken, "Backup").verify !== undefined;

/**
 * Whether the backup that was taken last serves what is declared, so that no other is taken.
 * @param steps the newest attempts of the whole ledger
 * @param urn the backup's
 */
export function serves(steps: readonly Step[], urn: string, wanted: WantedBackup): boolean {
  const current = mainOf(steps, urn);
  if (current?.state !== "done" || current.meaning !== hash(wanted.protects)) return false;
  if (isOutdated(steps, urn, wanted, takenOf(steps, urn))) return false;
  return !isAwaited(steps, urn, wanted.protects) || wanted.verify === "list" || isProvable(current);
}

/** Whether the backup that stands must still be proven for changes that are to come. */
export function needsProof(steps: readonly Step[], urn: string, wanted: WantedBackup): boolean {
  if (!isAwaited(steps, urn, wanted.protects)) return false;
  return wanted.verify === "list" ? !isRelied(steps, urn) : !mayRely(proofOf(steps, urn));
}

const uploadOf = (steps: readonly Step[], urn: string): Step | undefined =>
  steps.find((step) => step.urn === urn && step.part === uploadPart);

/** Whether a backup is to be stored off the machine, and is not. */
function isOnItsWay(steps: readonly Step[], urn: string): boolean {
  const state = uploadOf(steps, urn)?.state;
  return state === "planned" || state === "running";
}

/** @returns where the backup that stands is stored off the machine; nothing where it is not */
function storedIn(steps: readonly Step[], urn: string): string | undefined {
  const step = uploadOf(steps, urn);
  const { path, at } = detailOf(step, "upload");
  return step?.state === "done" && path === pathOf(steps, urn) ? at : undefined;
}

/** Whether the backup that stands must still be stored for changes that are to come. */
export function needsStoring(steps: readonly Step[], urn: string, wanted: WantedBackup): boolean {
  if (!wanted.store || !isAwaited(steps, urn, wanted.protects)) return false;
  if (storedIn(steps, urn) !== addressOf(wanted.store, nameOfFolder(pathOf(steps, urn)))) return true;
  return detailOf(uploadOf(steps, urn), "upload").sealed !== sealOf(wanted.store);
}

const nameOf = (step: Step): string => step.urn.split("::").at(-1) ?? "";

/** @returns what the ledger says of a backup @throws GuardianError if it knows none */
export async function readTaken(db: Queryable, urn: string): Promise<KnownBackup> {
  const steps = await readSteps(db);
  const step = mainOf(steps, urn);
  if (!step) {
    const what = "the ledger knows no backup of this stack";
    throw new GuardianError("backup-missing", { what, where: urn, todo: "run up" });
  }
  const { path = "", takenAt = "", bytes = 0, rows = 0, tables = 0 } = detailOf(step, "Backup");
  const { verdict = "not proven", provenAt = "", restoreSeconds = 0 } = proofOf(steps, urn) ?? {};
  const at = storedIn(steps, urn);
  const stored = at === undefined ? {} : { storedIn: at };
  return { path, takenAt, bytes, rows, tables, proof: verdict, provenAt, restoreSeconds, ...stored };
}
