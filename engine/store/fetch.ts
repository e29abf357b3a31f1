import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readIdentities } from "../age";
import type { FoundBackup } from "../backup/adopt";
import { finishFolder, lockDown, ownerNote, removeFolder, removeStale, startNamed } from "../backup/folder";
import { verifyBackup } from "../backup/manifest";
import { folderFailure } from "../backup/place";
import type { ErrorCode } from "../../spec/codes";
import { GuardianError } from "../base/errors";
import { type Bucket, withBucket } from "./bucket";
import { indexFile, longestIndex, parseIndex, type StoreIndex } from "./contents";
import { each } from "./each";
import { recipientsOf } from "./keys";
import { readPart } from "./read";
import { addressOf, type WantedStore } from "./wanted";

/** A backup in the store, or half an upload of one. */
interface StoredBackup {
  /** Of its folder. */
  readonly name: string;
  /** Absent: half an upload, of which nothing is known, or one whose index cannot be read. */
  readonly index?: StoreIndex;
  /** Why its index cannot be read. */
  readonly why?: string;
  /** Bytes in the store. */
  readonly bytes: number;
}

/** What is said of one folder: the others are listed all the same, since one of them may be needed at once. */
const ofOneFolder: readonly ErrorCode[] = ["backup-broken", "store-denied", "store-missing"];

/** What is in the store, by name. @throws GuardianError */
export function listStored(wanted: WantedStore, signal?: AbortSignal): Promise<StoredBackup[]> {
  return withBucket(wanted, async (bucket) => {
    const found: StoredBackup[] = [];
    for (const name of (await bucket.folders(signal)).sort()) {
      const sizes = await bucket.objects(`${name}/`, signal);
      // Some servers name folders whose objects are all behind delete markers.
      if (sizes.size === 0) continue;
      const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      const index = sizes.has(`${name}/${indexFile}`) ? await indexOr(bucket, name, signal) : {};
      found.push({ name, bytes, ...index });
    }
    return found;
  });
}

async function indexOr(
  bucket: Bucket,
  name: string,
  signal?: AbortSignal,
): Promise<Pick<StoredBackup, "index" | "why">> {
  try {
    return { index: (await readIndex(bucket, name, signal)).index };
  } catch (err) {
    if (err instanceof GuardianError && ofOneFolder.includes(err.code)) return { why: err.what };
    throw err;
  }
}

/**
 * Sees, without writing, that the store answers these credentials and that the recipients are some.
 * @throws GuardianError
 * @lazily
 */
export async function reach(wanted: WantedStore): Promise<void> {
  recipientsOf(wanted);
  await withBucket(wanted, (bucket) => bucket.folders());
}

async function readIndex(
  bucket: Bucket,
  name: string,
  signal?: AbortSignal,
): Promise<{ index: StoreIndex; text: string }> {
  const key = `${name}/${indexFile}`;
  const text = await bucket.text(key, longestIndex, signal);
  if (text === undefined) {
    throw new GuardianError("store-missing", {
      what: "there is no whole backup of that name in the store",
      where: bucket.address(`${name}/`),
      todo: "see which there are: npm run backups -- list",
    });
  }
  return { index: parseIndex(text, name, bucket.address(key)), text };
}

interface FetchOptions {
  /** Where the backup's folder is made, for the owner alone. */
  readonly directory: string;
  /** What the ledger has of its index: another is refused. Absent: whoever writes to the bucket is trusted. */
  readonly indexSha256?: string | undefined;
  /** What the ledger has of its manifest. */
  readonly manifestSha256?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: (progress: { bytes: number; total: number }) => void;
  readonly signal?: AbortSignal;
}

/**
 * Brings a backup from the store into a folder (0700), decrypted, as it was when it was stored: its hashes and those of its
 * manifest are compared, and it gets its name only then.
 *
 * @param wanted its `identityFrom` opens what is encrypted
 * @throws GuardianError; nothing is left then
 */
export async function fetchBackup(wanted: WantedStore, name: string, options: FetchOptions): Promise<FoundBackup> {
  const directory = resolve(options.directory);
  refuseName(name, directory);
  return withBucket(wanted, async (bucket) => {
    const { index, text } = await readIndex(bucket, name, options.signal);
    const seen = createHash("sha256").update(text).digest("hex");
    if (options.indexSha256 !== undefined && options.indexSha256 !== seen) {
      throw new GuardianError("store-damaged", {
        what: "the index of the stored backup is not what the ledger noted when it was stored",
        where: bucket.address(`${name}/${indexFile}`),
        todo: "see who writes to this bucket; of one that keeps versions, bring the first version back",
      });
    }
    const identities = index.encryption === "age" ? identitiesOf(wanted, index, options.env ?? process.env) : undefined;
    await removeStale(directory);
    const folder = await startNamed(directory, name);
    try {
      await readAll(bucket, index, folder.path, identities, options);
      await lockDown(folder.path);
      const manifest = await verifyBackup(folder.path, {
        sha: true,
        beside: ownerNote,
        manifestSha256: options.manifestSha256,
      });
      return { name, path: await finishFolder(folder, directory), manifest };
    } catch (err) {
      await removeFolder(folder);
      throw err instanceof Error && "syscall" in err ? folderFailure(err, directory) : err;
    }
  });
}

function refuseName(name: string, directory: string): void {
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    throw new GuardianError("store-missing", {
      what: `${JSON.stringify(name.slice(0, 60))} is no name of a backup`,
      todo: "see which there are: npm run backups -- list",
    });
  }
  if (!existsSync(join(directory, name))) return;
  throw new GuardianError("folder-unusable", {
    what: "there is a folder of that name already, and it was left as it is",
    where: join(directory, name),
    todo: ["use it, if it is the backup itself", "move it away, or name another directory"],
  });
}

function identitiesOf(wanted: WantedStore, { recipients, name }: StoreIndex, env: NodeJS.ProcessEnv) {
  if (wanted.identityFrom !== undefined) return readIdentities(wanted.identityFrom, env);
  throw new GuardianError("age-no-identity", {
    what: `the stored backup is encrypted (for ${recipients.join(", ")}), and no identity is named`,
    where: addressOf(wanted, name),
    todo: "name the file or variable of one of these keys' identities: guardian:backup.identityFrom",
  });
}

async function readAll(
  bucket: Bucket,
  { name, parts }: StoreIndex,
  folder: string,
  identities: ReturnType<typeof identitiesOf> | undefined,
  { signal, onProgress }: FetchOptions,
): Promise<void> {
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const total = parts.reduce((sum, { size }) => sum + size, 0);
  let bytes = 0;
  const onBytes = (more: number): void => onProgress?.({ bytes: (bytes += more), total });
  await each(parts, 3, stop, async (part) => {
    const into = join(folder, part.path);
    await mkdir(dirname(into), { recursive: true, mode: 0o700 });
    await readPart(bucket, name, part, { identities, into, onBytes, signal: either });
  });
}
