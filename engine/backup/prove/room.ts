import { join } from "node:path";
import { GuardianError } from "../../base/errors";
import type { FoundBackup } from "../adopt";
import { readDumped } from "../compression";
import { dumpFolder, type Manifest } from "../manifest";
import { lookAt } from "../place";
import { mebi } from "../room";
import { isData } from "./digest";

/** So many times what is compressed is room enough without a look: rows of words and ids are five to eight times as large. */
const ample = 20;

const dataOf = ({ files }: Manifest): Manifest["files"] =>
  files.filter(({ path }) => path.startsWith(`${dumpFolder}/`) && isData(path.slice(dumpFolder.length + 1)));

/** Bytes of a backup's rows and large objects, uncompressed; every file is read, a damaged one as far as it goes. */
export async function unpackedBytes({ path, manifest }: FoundBackup, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  const take = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) bytes += piece.length;
  };
  for (const file of dataOf(manifest)) {
    await readDumped(join(path, file.path), take, signal).catch((err: unknown) => {
      // That it is damaged is said by who looks for that.
      if (!(err instanceof Error && "code" in err && String(err.code).startsWith("Z_"))) throw err;
    });
  }
  return bytes;
}

/**
 * Sees that the dump of the copy, with which a backup is compared, has room beside it. Where there is ample room nothing is read.
 * @param directory where it will be written
 * @throws GuardianError disk-too-small, with figures
 */
export async function refuseTooSmall(backup: FoundBackup, directory: string, signal: AbortSignal): Promise<void> {
  const { free } = await lookAt(directory);
  const compressed = dataOf(backup.manifest).reduce((sum, { size }) => sum + size, 0);
  if (free >= compressed * ample) return;
  const needed = await unpackedBytes(backup, signal);
  if (free >= needed) return;
  throw new GuardianError("disk-too-small", {
    what: `${mebi(needed)} are needed beside the backup, and ${mebi(free)} are free: what is restored is dumped there, uncompressed, and compared; nothing was written`,
    where: directory,
    todo: ["free space there", "carry the backup to a larger disk, and name its folder: --directory FOLDER"],
  });
}
