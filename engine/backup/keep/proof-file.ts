import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "../folder";
import { halfProofFile, manifestFile, proofFile, sha256Of } from "../manifest";
import type { Proof, Unproven } from "../prove/types";

/**
 * What restoring a backup has shown, kept in its own folder: the ledger, which is the truth of it, may be gone when it is
 * asked which backup to restore. Nothing relies on it, for a restore compares again.
 */
export interface NotedProof {
  readonly verdict: Proof["verdict"];
  readonly unproven: readonly Unproven[];
  readonly restoreSeconds: number;
  /** UTC, by the clock of the server that was dumped or of the machine that proved it. */
  readonly provenAt: string;
  /** What a proof found that differs; only where it is not proven. */
  readonly why?: string;
}

const digest = async (backup: string): Promise<string> => sha256Of(await readFile(join(backup, manifestFile)));

/**
 * Notes a proof beside the manifest that it is of, all of it or nothing. Where the same manifest was proven in whole already,
 * one in part, on a server that lacks something, takes nothing from that.
 * @throws what node:fs throws: a folder that is only read from cannot be noted in
 */
export async function writeProof(backup: string, proof: NotedProof): Promise<void> {
  const { verdict, unproven, restoreSeconds, provenAt, why } = proof;
  const kept = { verdict, unproven, restoreSeconds, provenAt, ...(why === undefined ? {} : { why }) };
  const text = `${JSON.stringify({ formatVersion: 1, manifestSha256: await digest(backup), ...kept }, undefined, 2)}\n`;
  if (verdict === "partly proven" && (await readProof(backup))?.verdict === "proven") return;
  // A name that a killed run left is used again; a fixed one, since verifyBackup knows no other files.
  const half = join(backup, halfProofFile);
  await rm(half, { force: true });
  await writeDurably(half, text);
  await rename(half, join(backup, proofFile));
}

/** @returns the proof of exactly this manifest; nothing where there is none, or one that cannot be read */
export async function readProof(backup: string): Promise<NotedProof | undefined> {
  try {
    const noted = JSON.parse(await readFile(join(backup, proofFile), "utf8")) as Record<string, unknown>;
    const { formatVersion, manifestSha256, ...proof } = noted;
    const texts = [proof["verdict"], proof["provenAt"]].every((one) => typeof one === "string");
    const sound = formatVersion === 1 && texts && Array.isArray(proof["unproven"]);
    return sound && manifestSha256 === (await digest(backup)) ? (proof as unknown as NotedProof) : undefined;
  } catch {
    return undefined;
  }
}
