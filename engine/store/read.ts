import { createWriteStream } from "node:fs";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Decrypting, type Identity } from "../age";
import { GuardianError } from "../base/errors";
import type { Bucket } from "./bucket";
import type { StoredPart } from "./contents";
import { storeFailure } from "./failures";
import { Measure } from "./measure";

interface Reading {
  /** Who opens it; absent: it is read as it is stored. */
  readonly identities?: readonly Identity[] | undefined;
  /** The file that is made of it; absent: it is only read. */
  readonly into?: string;
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

const nowhere = (): Writable => new Writable({ write: (_piece, _encoding, done) => done() });

/**
 * Reads a part from the store to its end, and sees that it is what was stored.
 * @param folder of the backup in the store
 * @returns the hash of what is in it, where it was opened or never closed
 * @throws GuardianError; what node:fs throws of the file that is made
 */
export async function readPart(
  bucket: Bucket,
  folder: string,
  part: StoredPart,
  { identities, into, onBytes, signal }: Reading,
): Promise<{ plainSha256: string }> {
  const key = `${folder}/${part.object}`;
  const where = bucket.address(key);
  const [stored, plain] = [new Measure(onBytes), new Measure()];
  const options = signal ? { signal } : {};
  const body = await bucket.get(key, part.version, signal);
  // Only now: nobody would hear its error before.
  const end = into === undefined ? nowhere() : createWriteStream(into, { mode: 0o600, flags: "wx", flush: true });
  try {
    if (identities) await pipeline(body, stored, new Decrypting(identities, where), plain, end, options);
    else await pipeline(body, stored, plain, end, options);
  } catch (err) {
    signal?.throwIfAborted();
    // Of the store's connection and of the file here: the file's errors name it.
    if (err instanceof Error && "path" in err) throw err;
    throw storeFailure(err, "to be read", where);
  }
  if (stored.bytes !== part.size || stored.sha256() !== part.sha256) {
    throw new GuardianError("store-damaged", {
      what: `what the store holds is not what was stored (${stored.bytes} bytes, of ${part.size}, or another sha256)`,
      where,
      todo: [
        "run again, where it is being stored: it is stored anew",
        "take another backup, where it is to be restored",
      ],
    });
  }
  return { plainSha256: plain.sha256() };
}
