import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hiddenIn } from "../folder";
import { folderFailure } from "../place";
import { ownName, removingPrefix, type BackupFolder } from "./read";

/**
 * Removes a folder with its files. It loses its name first: who is killed in the midst of this leaves nothing that looks like
 * a backup, and who opens it from then on finds nothing. One that is being read, or of which that could not be looked up, gets
 * its name back. What somebody else took away meanwhile is gone, as was wanted.
 * @param look finds the notes of those who read; another only where a test says so
 * @returns false if it is being read, and stays
 * @throws GuardianError folder-unusable
 */
export async function removeBackup({ name, path, state }: BackupFolder, look = hiddenIn): Promise<boolean> {
  const place = dirname(path);
  // Half of one has lost its name. A whole one, whose removal was cut off, may be read by the name that it has now.
  const half = state === "left behind" && name.startsWith(removingPrefix);
  const going = half ? path : join(place, removingPrefix + name.replace(/^\.(?!removing-)/, ""));
  try {
    if (!half) {
      await rename(path, going);
      let stays = true;
      try {
        const names = [name, ownName(name)];
        stays = (await look(place)).some(({ owner, reads = "" }) => names.includes(reads) && owner !== "gone");
      } finally {
        if (stays) await rename(going, path);
      }
      if (stays) return false;
    }
    await rm(going, { recursive: true, maxRetries: 3 });
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return true;
    throw folderFailure(err, path);
  }
  return true;
}
