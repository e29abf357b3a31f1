import { isDeepStrictEqual } from "node:util";
import type { FencedWriter } from "../../database";
import { GuardianError } from "../../base/errors";
import { first, type Queryable } from "../../base/sql";
import { attemptPart } from "../../ledger/attempt";
import type { KeptProof } from "../../ledger/details";
import { readPhysical } from "../../ledger/identity";
import { addStep, detailOf, readStep, readSteps, setStep, type Step } from "../../ledger/steps";
import { openScratch, resolveScratch, type Scratch, type ScratchOptions } from "../../scratch";
import { type NotedProof, writeProof } from "../keep/proof-file";
import { verifyBackup } from "../manifest";
import { mayRely, proofOf, proofPart, readTaken, type WantedBackup } from "./policy";
import { prove } from "../prove";
import { asDiffering } from "../prove/differs";
import type { Proof, ProofProgress } from "../prove/types";
import { keyOf } from "../../../spec/accepted";
import { pulumiCommand } from "../../../spec/command";
import { roomFor } from "../room";
import { utcNow } from "../snapshot";

/** Gets what is said of a proof on its way. */
export interface ProvingSays {
  onProof: (progress: ProofProgress) => void;
  onWarning: (line: string) => void;
}

/** What a proof is made with. */
export interface ProvingTools {
  openScratch: typeof openScratch;
  prove: typeof prove;
}

export const tools: ProvingTools = { openScratch, prove };

/** @throws GuardianError where the stack is strict and its backups would only be listed */
export function refuseListing({ verify, strict }: WantedBackup): void {
  if (verify !== "list" || strict !== true) return;
  throw new GuardianError("backup-unproven", {
    what: "guardian:backup.verify is list, which proves nothing, and guardian:strict is true; nothing was changed",
    where: "guardian:backup",
    todo: [
      `have backups restored: ${pulumiCommand("config set --path guardian:backup.verify restore")}`,
      `or go on without: ${pulumiCommand("config set guardian:strict false")}`,
    ],
  });
}

/**
 * Proves the backup that the ledger says was taken, as a step of the ledger's own: a proof that is done is never made again,
 * one that was cut off is. Whether changes may rely on it is decided anew by each run that has some to come, by what is
 * declared now. A backup that is refuted is said to be so, and the next run takes another.
 * @throws GuardianError backup-differs; backup-unproven where more is not proven than the operator accepts, or a restore
 *   takes longer than it may; what the scratch throws
 */
export async function proveTaken(
  fenced: FencedWriter,
  wanted: WantedBackup,
  says: ProvingSays,
  by: ProvingTools,
): Promise<void> {
  const { writer, options } = fenced;
  const kept = proofOf(await readSteps(writer), options.urn);
  // One that was too slow is measured anew by other means.
  const known = kept && tooSlow(kept, wanted) && kept.how !== howOf(wanted) ? undefined : kept;
  const proof = known ?? (await attemptProof(fenced, wanted, says, by));
  let accepted: Record<string, string>;
  try {
    accepted = judge(proof, wanted, says.onWarning);
  } catch (err) {
    // Else --target would lead past this: the changes ask the ledger.
    if (proof.relied) await note(fenced, { withdrawn: true });
    throw err;
  }
  if (mayRely(proof) && isDeepStrictEqual(proof.accepted, accepted)) return;
  await note(fenced, { accepted, relied: true, withdrawn: false });
}

/** Notes of the proof that the ledger has what becomes of it. */
async function note(fenced: FencedWriter, detail: Partial<KeptProof>): Promise<void> {
  const step = await readStep(fenced.writer, fenced.options.urn, proofPart);
  if (!step) throw new Error("a proof was made, and the ledger has none");
  await fenced.transaction((db) => setStep(db, { id: step.id, kind: "proof" }, { state: "done", detail }));
}

async function attemptProof(
  fenced: FencedWriter,
  wanted: WantedBackup,
  says: ProvingSays,
  by: ProvingTools,
): Promise<KeptProof> {
  const { urn } = fenced.options;
  const { path } = await readTaken(fenced.writer, urn);
  const { manifestSha256 = "" } = detailOf(await readStep(fenced.writer, urn), "Backup");
  const step = await planned(fenced, path);
  try {
    return await attemptPart(fenced, step, async () => {
      const proof = await make(fenced, wanted, says, by, { path, manifestSha256: manifestSha256 || undefined });
      await fenced.transaction((db) => setStep(db, { id: step.id, kind: "proof" }, { state: "done", detail: proof }));
      await noteInFolder(proof, says);
      return proof;
    });
  } catch (err) {
    if (err instanceof GuardianError && err.code === "backup-differs") {
      await refute(fenced);
      const nothing = { unproven: [], restoreSeconds: 0, provenAt: new Date().toISOString() };
      await noteInFolder({ path, verdict: "not proven", ...nothing, why: err.what }, says);
    }
    throw err;
  }
}

/** For whoever has the backup and no ledger any more. The ledger is the truth, so that this may fail. */
async function noteInFolder(proof: NotedProof & { path: string }, says: ProvingSays): Promise<void> {
  await writeProof(proof.path, proof).catch((err: unknown) => {
    says.onWarning(`the proof could not be noted in the backup's folder: ${err instanceof Error ? err.message : ""}`);
  });
}

/** Notes that the backup in a folder is to be proven. */
export function noteProof(db: Queryable, { options }: FencedWriter, path: string): Promise<Step> {
  return addStep(db, { urn: options.urn, part: proofPart, kind: "proof", state: "planned", detail: { path } });
}

/** The row of a proof that is to be made: an earlier run's, or a new one. */
async function planned(fenced: FencedWriter, path: string): Promise<Step> {
  const { urn } = fenced.options;
  const there = await readStep(fenced.writer, urn, proofPart);
  if (there && (there.state === "planned" || there.state === "running")) return there;
  return fenced.transaction((db) => noteProof(db, fenced, path));
}

async function make(
  { writer, options }: FencedWriter,
  wanted: WantedBackup,
  says: ProvingSays,
  by: ProvingTools,
  { path, manifestSha256 }: { path: string; manifestSha256: string | undefined },
): Promise<KeptProof> {
  const { signal, urn } = options;
  const { systemIdentifier, database } = await readPhysical(writer);
  const { scratch: bytes } = await roomFor(writer, await readSteps(writer), urn, wanted);
  // What is damaged so that it can be seen here needs no server.
  const manifest = await asDiffering("listing", path, verifyBackup(path, { sha: false, manifestSha256 }));
  const configured = wanted.scratch && resolveScratch(wanted.scratch, process.env);
  const where: ScratchOptions = {
    ...{ bytes, systemIdentifier, configured, signal },
    major: writer.server.major,
    owner: `${wanted.ledgerId} ${database}`,
    say: says.onWarning,
  };
  const scratch = await by.openScratch(where);
  const backup = { name: path.split("/").at(-1) ?? "", path, manifest };
  const belongsTo = { ledgerId: wanted.ledgerId, systemIdentifier, database, manifestSha256 };
  let found: Proof;
  try {
    found = await by.prove(backup, scratch, { jobs: wanted.jobs, signal, onProgress: says.onProof, belongsTo });
  } finally {
    await closed(scratch, says);
  }
  const { verdict, unproven, restoreSeconds, seconds, indexes } = found;
  if (indexes.lacking !== undefined)
    says.onWarning(
      `the indexes of the restored copy were not looked at: ${indexes.lacking}; the backup holds none of them`,
    );
  const provenAt = (await first<{ at: string }>(writer, `SELECT ${utcNow} AS at`))?.at ?? "";
  return {
    path,
    verdict,
    unproven,
    restoreSeconds,
    seconds,
    indexes,
    provenAt,
    how: howOf(wanted),
    accepted: {},
    relied: false,
  };
}

/** By what a restore is made: what an operator changes to have it faster. */
const howOf = ({ jobs, scratch }: WantedBackup): string => `${jobs} at once, ${scratch?.host ?? "embedded"}`;

/** Whether nothing may rely on a proof for the time of its restore. */
const tooSlow = ({ restoreSeconds }: KeptProof, { maxRestoreSeconds: most, strict }: WantedBackup): boolean =>
  strict === true && most !== undefined && restoreSeconds > most;

/** What was proven stays so, though the copy could not be taken away; the operator must know of it. */
async function closed(scratch: Scratch, says: ProvingSays): Promise<void> {
  await scratch.close().catch((err: unknown) => {
    const why = err instanceof Error ? err.message : String(err);
    says.onWarning(`the copy of the database could not be removed, and holds patients' data: ${why}`);
  });
}

async function refute(fenced: FencedWriter): Promise<void> {
  const { writer, options } = fenced;
  const main = await readStep(writer, options.urn);
  if (!main) return;
  const change = { state: "done", detail: { refuted: true } } as const;
  await fenced.transaction((db) => setStep(db, { id: main.id, kind: "Backup" }, change)).catch(() => undefined);
}

/** So many are named in an error. */
const shown = 20;

/**
 * Decides whether changes may rely on a proof.
 * @returns what the operator accepted of it, with his reasons
 * @throws GuardianError naming what he did not, and how
 */
function judge(proof: KeptProof, wanted: WantedBackup, warn: (line: string) => void): Record<string, string> {
  const { unproven, restoreSeconds, path, verdict } = proof;
  const given = wanted.accept ?? {};
  const names = unproven.map(({ table }) => `backup/${table}`);
  const unknown = Object.keys(given).filter((name) => !names.includes(name));
  const could = names.length > 0 ? names.slice(0, shown).join(", ") : "nothing: all of it is proven";
  if (unknown.length > 0) {
    throw new GuardianError("config-invalid", {
      what: `guardian:accept names what needs no acceptance: ${unknown.join(", ")}; nothing was changed`,
      where: path,
      todo: [
        ...unknown.map((name) => `take it out: ${pulumiCommand(`config rm --path '${keyOf(name)}'`)}`),
        `what could be accepted: ${could}`,
      ],
    });
  }
  const missing = unproven.filter(({ table }) => given[`backup/${table}`] === undefined);
  if (verdict !== "proven" && (missing.length > 0 || unproven.length === 0)) {
    const listed = missing.slice(0, shown).map(({ table, reason }) => `${table} (${reason})`);
    const more = missing.length > shown ? ` and ${missing.length - shown} more` : "";
    throw new GuardianError("backup-unproven", {
      what: `the backup is ${verdict}: ${listed.join("; ") || "no table of it"}${more}; nothing was changed`,
      where: path,
      todo: [
        `restore on a server that has what is missing: ${pulumiCommand("config set --path guardian:scratch.host NAME")}`,
        ...missing
          .slice(0, shown)
          .map(
            ({ table }) =>
              `or accept it, with a reason: ${pulumiCommand(`config set --path '${keyOf(`backup/${table}`)}' 'WHY'`)}`,
          ),
      ],
    });
  }
  const { maxRestoreSeconds: most, strict } = wanted;
  if (most !== undefined && restoreSeconds > most) {
    const what = `restoring the backup took ${Math.ceil(restoreSeconds)} s, and guardian:backup.maxRestore allows ${most} s`;
    if (strict !== true) warn(what);
    else {
      throw new GuardianError("backup-unproven", {
        what: `${what}; guardian:strict is true, so nothing was changed`,
        where: path,
        todo: [
          "raise guardian:backup.jobs, or restore on a faster server (guardian:scratch): it is measured anew then",
          `or allow it: ${pulumiCommand("config set --path guardian:backup.maxRestore DURATION")}, or guardian:strict false`,
        ],
      });
    }
  }
  return Object.fromEntries(names.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])));
}
