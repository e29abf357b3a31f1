import { dirname } from "node:path";
import { openBackup, type BackupFolder } from "../../engine/backup/keep/read";
import { writeProof } from "../../engine/backup/keep/proof-file";
import { prove, type Proof } from "../../engine/backup/prove";
import { refuseTooSmall, unpackedBytes } from "../../engine/backup/prove/room";
import { onDiskOfTemporary } from "../../engine/backup/room";
import { GuardianError } from "../../engine/base/errors";
import { openScratch, resolveScratch } from "../../engine/scratch";
import type { Place } from "./place";

/** What a database takes of a disk, for each byte of its rows in a dump: their headers, and indexes. */
const restored = 2;

/**
 * Restores a backup on a scratch server, compares, and notes in its folder what that showed. The ledger is not asked, and not
 * told: what it relies on is decided by up.
 * @throws GuardianError as the proof does
 */
export async function verify(
  folder: BackupFolder,
  place: Place,
  about: { env: NodeJS.ProcessEnv; signal: AbortSignal; say: (line: string) => void },
): Promise<Proof> {
  const { env, signal, say } = about;
  const { path } = folder;
  const backup = await openBackup(path);
  const { server, ledgerId } = backup.manifest;
  const configured = place.scratch && resolveScratch(place.scratch, env);
  try {
    const directory = dirname(path);
    await refuseTooSmall(backup, directory, signal);
    const rows = await unpackedBytes(backup, signal);
    const scratch = await openScratch({
      ...{ configured, signal, say, systemIdentifier: server.systemIdentifier },
      major: Number.parseInt(server.version, 10),
      // The dump of the copy is written while the copy is there.
      bytes: rows * restored + (onDiskOfTemporary(directory) ? rows : 0),
      owner: `${ledgerId} ${server.database}`,
    });
    let last = "";
    const onProgress = ({ phase, seconds }: { phase: string; seconds: number }): void => {
      if (phase !== last) say(`${(last = phase)} (${Math.round(seconds)} s)`);
    };
    let proof: Proof;
    try {
      proof = await prove(backup, scratch, { jobs: place.backup.jobs, signal, env, onProgress, onWarning: say });
    } finally {
      await scratch.close().catch((err: unknown) => {
        say(`the copy of the database could not be removed, and holds patients' data: ${String(err)}`);
      });
    }
    await note(path, { ...proof, provenAt: new Date().toISOString() }, say);
    return proof;
  } catch (err) {
    if (err instanceof GuardianError && err.code === "backup-differs") {
      const nothing = { unproven: [], restoreSeconds: 0, provenAt: new Date().toISOString() };
      await note(path, { verdict: "not proven", ...nothing, why: err.what }, say);
    }
    if (signal.aborted && !(err instanceof GuardianError)) {
      throw new GuardianError("interrupted", {
        what: "the proof of a backup was stopped; the backup stays",
        where: path,
      });
    }
    throw err;
  } finally {
    await backup.close();
  }
}

async function note(path: string, proof: Parameters<typeof writeProof>[1], say: (line: string) => void): Promise<void> {
  await writeProof(path, proof).catch((err: unknown) => {
    const code = err instanceof Error && "code" in err ? String(err.code) : "unreadable";
    say(`this could not be noted in ${path} (${code})`);
  });
}
