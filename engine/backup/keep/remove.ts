import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { folderFailure } from "../place";
import { removingPrefix, type BackupFolder } from "./read";

/**
 * Removes a folder with its files. It loses its name first: who is killed in the midst of this leaves nothing that looks like
 * a backup. What somebody else took away meanwhile is gone, as was wanted.
 * @throws GuardianError folder-unusable
 */
export async function removeBackup({ name, path }: BackupFolder): Promise<void> {
  const going = name.startsWith(removingPrefix) ? path : join(dirname(path), removingPrefix + name.replace(/^\./, ""));
  try {
    if (going !== path) await rename(path, going);
    await rm(going, { recursive: true, maxRetries: 3 });
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return;
    throw folderFailure(err, path);
  }
}
