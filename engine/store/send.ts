import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline, Readable } from "node:stream";
import { Encrypting, type Recipient } from "../age";
import type { FoundBackup } from "../backup/adopt";
import { manifestFile, proofFile } from "../backup/manifest";
import { folderFailure } from "../backup/place";
import { GuardianError } from "../base/errors";
import type { Bucket } from "./bucket";
import { objectOf, type StoredPart, type StoreIndex } from "./contents";
import { Measure } from "./measure";

/** A file of a backup that is to be sent. */
export interface File {
  readonly path: string;
  readonly size: number;
  /** As the manifest has it. */
  readonly sha256: string;
  /** What is in it, where another may be written while the upload lasts. */
  readonly content?: Buffer;
}

/** @returns the files of a backup as they are here, its manifest and its proof too */
export async function filesOf({ path, manifest }: FoundBackup): Promise<File[]> {
  const files: File[] = [...manifest.files];
  for (const name of [manifestFile, proofFile]) {
    const text =
      name === proofFile ? await readFile(join(path, name)).catch(() => undefined) : await readFile(join(path, name));
    if (!text) continue;
    const sha256 = createHash("sha256").update(text).digest("hex");
    // `backups -- verify` writes the proof whenever it likes: one proof is stored, not the hash of one and the bytes of the next.
    files.push({ path: name, size: text.length, sha256, content: text });
  }
  return files;
}

interface Sending {
  readonly recipients: readonly Recipient[];
  readonly encryption: StoreIndex["encryption"];
  /** Whether a killed run left something of that name. */
  readonly replace: boolean;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Sends one file: read, encrypted and sent at once, and nowhere else on its way.
 * @param backup its folder here
 * @throws GuardianError, also if it is not what its manifest says
 */
export async function sendFile(
  bucket: Bucket,
  backup: { name: string; path: string },
  { path, size, sha256: meant, content }: File,
  { recipients, encryption, replace, onBytes, signal }: Sending,
): Promise<StoredPart> {
  const object = objectOf(path, encryption);
  const [plain, sealed] = [new Measure(onBytes), new Measure()];
  const file = content
    ? Readable.from([content])
    : createReadStream(join(backup.path, path), { highWaterMark: 256 * 1024 });
  // Whatever fails on the way ends the last of them with its error, and that the upload.
  const told = (): void => undefined;
  if (encryption === "age") pipeline(file, plain, new Encrypting(recipients), sealed, told);
  else pipeline(file, plain, sealed, told);
  const most = size + Math.ceil(size / 4096) + 1024 * (recipients.length + 1);
  const sent = await bucket
    .put(`${backup.name}/${object}`, sealed, { size: most, replace, signal })
    .catch((err: unknown) => {
      throw err instanceof Error && "syscall" in err && "path" in err ? folderFailure(err, backup.path) : err;
    })
    .finally(() => file.destroy());
  const plainSha256 = plain.sha256();
  if (plainSha256 !== meant) {
    throw new GuardianError("backup-broken", {
      what: `the backup is broken: ${path} is not what was written (sha256 differs); it is not stored`,
      where: backup.path,
      todo: "keep it for inspection, and make a new backup",
    });
  }
  return { path, object, size: sealed.bytes, sha256: sealed.sha256(), plainSha256, ...sent };
}
