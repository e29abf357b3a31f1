import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hiddenIn } from "../folder";
import { folderFailure } from "../place";
import { removingPrefix, type BackupFolder } from "./read";

/**
 * Removes a folder with its files. It loses its name first: who is killed in the midst of this leaves nothing that looks like
 * a backup, and who opens it from then on finds nothing. One that is being read gets its name back. What somebody else took
 * away meanwhile is gone, as was wanted.
 * @returns false if it is being read, and stays
 * @throws GuardianError folder-unusable
 */
export async function removeBackup({ name, path }: BackupFolder): Promise<boolean> {
  const going = name.startsWith(removingPrefix) ? path : join(dirname(path), removingPrefix + name.replace(/^\./, ""));
  try {
    if (going !== path) {
      await rename(path, going);
      const read = (await hiddenIn(dirname(path))).some(({ owner, reads }) => reads === name && owner !== "gone");
      if (read) {
        await rename(going, path);
        return false;
      }
    }
    await rm(going, { recursive: true, maxRetries: 3 });
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return true;
    throw folderFailure(err, path);
  }
  return true;
}
