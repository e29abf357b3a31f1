import { GuardianError } from "../base/errors";
import type { Bucket } from "./bucket";
import { formerFile, indexFile, isMark, ownerFile } from "./contents";
import type { Owner } from "./wanted";

/**
 * Removes what killed uploads of this owner left: folders with its mark and without an index, now or formerly, and what of
 * them was under way. Everything else in the bucket is left alone. One database has one run at a time (the migration's lock), so that
 * none of them is under way now.
 *
 * @param except the folder that is about to be gone on with
 * @returns what was not removed, or could not be, a line each: nothing waits for that
 */
export async function sweep(bucket: Bucket, owner: Owner, except: string, signal?: AbortSignal): Promise<string[]> {
  const left: string[] = [];
  for (const folder of await bucket.folders(signal)) {
    if (folder === except) continue;
    const objects = await bucket.objects(`${folder}/`, signal);
    if (objects.has(`${folder}/${indexFile}`) || !objects.has(`${folder}/${ownerFile}`)) continue;
    if (!isMark(await bucket.text(`${folder}/${ownerFile}`, 4096, signal), owner)) continue;
    if (objects.has(`${folder}/${formerFile}`)) {
      const where = bucket.address(`${folder}/`);
      left.push(
        `a backup that was whole in the store was to be stored anew, and that was cut off (${where}): each of its files is there, for the recipients of before or of then; remove the folder once it is not needed`,
      );
      continue;
    }
    // The mark last: who is killed in the midst of this leaves a folder that is known for what it is.
    const keys = [...objects.keys()].filter((key) => key !== `${folder}/${ownerFile}`);
    const refusal = await removeAll(bucket, folder, [...keys, `${folder}/${ownerFile}`], signal);
    if (refusal)
      left.push(`half an upload could not be removed from the store (${refusal.where ?? folder}): ${refusal.what}`);
  }
  return left;
}

/** Removes objects of a folder of ours. @returns what kept one of them from being removed */
export async function removeAll(
  bucket: Bucket,
  folder: string,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<GuardianError | undefined> {
  try {
    await endUploads(bucket, folder, signal);
    for (const key of keys) {
      signal?.throwIfAborted();
      await bucket.remove(key);
    }
    return undefined;
  } catch (err) {
    if (err instanceof GuardianError) return err;
    throw err;
  }
}

/** Ends what was under way below a folder: parts of it are kept, and paid for, until then. */
export async function endUploads(bucket: Bucket, folder: string, signal?: AbortSignal): Promise<void> {
  for (const open of await bucket.openUploads(`${folder}/`, signal)) await bucket.abort(open);
}
