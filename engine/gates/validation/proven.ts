import { GuardianError } from "../../base/errors";
import type { Queryable } from "../../base/sql";
import { verifyBackup, type Manifest } from "../../backup/manifest";
import type { Moment } from "../../backup/snapshot/moment";
import { proofOf } from "../../backup/step/policy";
import { readLedger } from "../../ledger/identity";
import { detailOf, firstRelied, readSteps, type KnownBackup, type Step } from "../../ledger/steps";
import { couldNotRun, notApplicable, type Finding } from "../check";

/** What v6 was, by the backup that this stack's changes rely on: production is not read a second time for it. */
export interface ProvenBackup {
  readonly path: string;
  readonly takenAt: string;
  readonly manifest: Manifest;
  readonly moment: Moment;
  /** Tables whose restored copy was not compared, `schema.name` → the reason; accepted by the operator, and proven by nobody. */
  readonly unproven: ReadonlyMap<string, string>;
  /** What it does not show: an older one stood before what the data stage did first, and cannot be read. */
  readonly gap?: string;
}

/** What nothing speaks against; not proven where something is not seen. */
export const soundBut = (gap: string | undefined): "passed" | "warned" => (gap === undefined ? "passed" : "warned");

/** The newest backup that the ledger says was taken. */
function newest(steps: readonly Step[]): Step | undefined {
  return steps
    .filter((step) => step.kind === "Backup" && step.part === "" && step.state === "done")
    .sort((a, b) => Number(b.id) - Number(a.id))[0];
}

/**
 * A run that was cut off in the data stage may have left a backup that is older than the newest: what was lost since that one was
 * taken is to be seen too, so that it is the side before.
 * @param of `rows`: it must be proven, and the files of v6's rows be those that were proven; `manifest`: what it says of
 *   itself is enough, which the ledger has the hash of
 * @returns a verdict where there is no such backup: why there is nothing to compare with, and what helps
 */
export async function findProven(db: Queryable, of: "rows" | "manifest"): Promise<ProvenBackup | Finding> {
  if (!(await readLedger(db))) return notApplicable("nothing of the migration is here");
  const steps = await readSteps(db);
  const taken = newest(steps);
  if (!taken) return notApplicable("no backup was taken yet: there is nothing to compare with");
  const last: KnownBackup = { taken: detailOf(taken, "Backup"), proof: proofOf(steps, taken.urn) };
  const oldest = await firstRelied(db, taken.urn);
  if (oldest === undefined || oldest.taken.path === last.taken.path) return readProven(last, of);
  const older = await readProven(oldest, of);
  if (!isFinding(older)) return older;
  const newer = await readProven(last, of);
  const { path = "", takenAt = "" } = oldest.taken;
  const gap = `not seen: what went between ${takenAt}, when ${path} was taken, and the newer backup that is compared with: ${[...older.evidence, ...(older.mend ?? [])].join("; ")}`;
  return isFinding(newer) ? newer : { ...newer, gap };
}

async function readProven({ taken, proof }: KnownBackup, of: "rows" | "manifest"): Promise<ProvenBackup | Finding> {
  const { path = "", takenAt = "", verify, manifestSha256, refuted } = taken;
  if (refuted === true) return couldNotRun(`the backup ${path} was refuted by its proof`, next);
  if (of === "rows" && proof?.relied !== true) {
    return verify === "list"
      ? couldNotRun(
          `guardian:backup.verify is list: ${path} was never restored, so that nothing vouches for its rows`,
          "set guardian:backup.verify to restore, and take the stages back and up again: a backup is proven before they are",
        )
      : couldNotRun(`the backup ${path} is not proven`, next);
  }
  try {
    const manifest = await verifyBackup(path, { sha: false, ...sealed(manifestSha256) });
    const { tables, moment } = manifest;
    if (moment === undefined)
      return couldNotRun(`an older release took the backup ${path}, which did not note what to compare with`, next);
    if (of === "rows") {
      const own = new Set(tables.flatMap(({ oid = 0, file = "" }) => (moment.roots[oid] === undefined ? [] : [file])));
      await verifyBackup(path, { sha: (file) => own.has(file), ...sealed(manifestSha256) });
    }
    const unproven = new Map((proof?.unproven ?? []).map(({ table, reason }) => [table, reason]));
    return { path, takenAt, manifest, moment, unproven };
  } catch (err) {
    if (!(err instanceof GuardianError)) throw err;
    return couldNotRun(
      `${err.what} (${err.where ?? path})`,
      "bring the folder back to this machine: from where it was moved to, or by npm run backups -- fetch",
    );
  }
}

const next = "the next up that changes something takes and proves another backup";

const sealed = (manifestSha256: string | undefined): { manifestSha256?: string } =>
  manifestSha256 ? { manifestSha256 } : {};

export const isFinding = (found: ProvenBackup | Finding): found is Finding => "verdict" in found;
