import { createHash } from "node:crypto";
import type { Identity, Recipient } from "../age";
import type { FoundBackup } from "../backup/adopt";
import { proofFile } from "../backup/manifest";
import { GuardianError } from "../base/errors";
import { type Bucket, withBucket } from "./bucket";
import {
  formerFile,
  indexFile,
  isFile,
  isMark,
  longestIndex,
  objectOf,
  ownerFile,
  type StoredPart,
  type StoreIndex,
} from "./contents";
import { each } from "./each";
import { isDamage, isForeign } from "./failures";
import { keysOf } from "./keys";
import { readPart } from "./read";
import { type File, filesOf, sendFile } from "./send";
import type { Stored, StoreOptions, StoreProgress } from "./storing";
import { endUploads, removeAll, sweep } from "./sweep";
import { addressOf, sealOf, type WantedStore } from "./wanted";

/** Files that are under way at once: of a large one two parts are besides, so that at most so many times 16 MiB are kept. */
const atOnce = 3;

/** Milliseconds between two reports. */
const every = 2000;

/**
 * Stores a backup: each file is read, encrypted and sent at once, never lying encrypted or plain anywhere else; then all of
 * it is read back and compared; its index comes last, so that half an upload is never taken for a backup. What a killed run
 * stored of it is gone on with, what killed runs left of others is removed.
 *
 * @throws GuardianError; what is stored by then stays for the next run
 */
export function storeBackup(backup: FoundBackup, wanted: WantedStore, options: StoreOptions): Promise<Stored> {
  return withBucket(wanted, (bucket) => new Run(bucket, backup, wanted, options).all());
}

/** One upload. */
class Run {
  readonly #recipients: readonly Recipient[];
  readonly #identities: readonly Identity[] | undefined;
  readonly #encryption: StoreIndex["encryption"];
  readonly #parts = new Map<string, StoredPart>();
  /** As they are here; the manifest too. */
  #files: readonly File[] = [];
  /** Of the index. */
  #text = "";
  /** What was whole before is written over: until that is whole its former index says what it was. */
  #storesAnew = false;
  readonly #began = Date.now();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #progress: Omit<StoreProgress, "seconds"> = { phase: "uploading", bytes: 0, total: 0 };

  constructor(
    readonly bucket: Bucket,
    readonly backup: FoundBackup,
    readonly wanted: WantedStore,
    readonly options: StoreOptions,
  ) {
    const { signal } = options;
    const { recipients, identities } = keysOf(wanted);
    this.#recipients = recipients;
    this.#identities = identities;
    this.#encryption = recipients.length > 0 ? "age" : "none";
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
  }

  async all(): Promise<Stored> {
    const { bucket, backup, options } = this;
    const { name } = backup;
    const timer = setInterval(() => this.#report(), every);
    try {
      this.#files = await filesOf(backup);
      for (const line of await sweep(bucket, options.owner, name, this.#signal)) options.onWarning(line);
      const there = await this.#claim();
      if (!(there.has(`${name}/${indexFile}`) && (await this.#takeOver()))) {
        await this.#upload(there);
        await this.#readBack();
        await this.#finish(there);
      }
      const former = `${name}/${formerFile}`;
      if (this.#storesAnew || there.has(former)) await this.#drop([former]);
      const parts = this.#sorted();
      const retention = await bucket.retention(this.#signal);
      return {
        at: addressOf(this.wanted, name),
        parts,
        indexSha256: createHash("sha256").update(this.#text).digest("hex"),
        ...(retention === undefined ? {} : { retention }),
      };
    } finally {
      clearInterval(timer);
    }
  }

  #report(): void {
    this.options.onProgress({ ...this.#progress, seconds: Math.round((Date.now() - this.#began) / 1000) });
  }

  #moved = (bytes: number): void => {
    this.#progress = { ...this.#progress, bytes: this.#progress.bytes + bytes };
  };

  /** Marks the folder as ours. @returns what a killed run left in it: sizes by key */
  async #claim(): Promise<ReadonlyMap<string, number>> {
    const { bucket, backup, options } = this;
    const key = `${backup.name}/${ownerFile}`;
    const there = await bucket.objects(`${backup.name}/`, this.#signal);
    if (!there.has(key) && there.size === 0) {
      const mark = Buffer.from(`${JSON.stringify(options.owner)}\n`);
      // Its own second try, after an answer that was lost, finds what the first one put.
      await bucket
        .put(key, mark, { size: mark.length, replace: false, signal: this.#signal })
        .catch(async (err: unknown) => {
          if (isForeign(err) && isMark(await bucket.text(key, 4096, this.#signal), options.owner)) return;
          throw err;
        });
      return there;
    }
    if (isMark(await bucket.text(key, 4096, this.#signal), options.owner)) {
      await endUploads(bucket, backup.name, this.#signal);
      return there;
    }
    throw new GuardianError("store-foreign", {
      what: "the backup's folder in the store bears another owner's mark, or none; it was left as it is",
      where: bucket.address(`${backup.name}/`),
      todo: ["see whose it is", "name another prefix: guardian:backup.to"],
    });
  }

  async #upload(there: ReadonlyMap<string, number>): Promise<void> {
    const { backup, options } = this;
    for (const part of options.known) {
      if (this.#isSame(part) && there.get(`${backup.name}/${part.object}`) === part.size)
        this.#parts.set(part.path, part);
    }
    const left = this.#files.filter(({ path }) => !this.#parts.has(path)).sort((a, b) => b.size - a.size);
    this.#progress = { phase: "uploading", bytes: 0, total: left.reduce((sum, { size }) => sum + size, 0) };
    const by = { recipients: this.#recipients, encryption: this.#encryption, signal: this.#signal };
    await each(left, atOnce, this.#stop, async (file) => {
      const replace = there.has(`${backup.name}/${objectOf(file.path, this.#encryption)}`);
      let moved = 0;
      const onBytes = (bytes: number): void => {
        moved += bytes;
        this.#moved(bytes);
      };
      const part = await sendFile(this.bucket, backup, file, { ...by, replace, onBytes }).catch((err: unknown) => {
        // The folder bears our mark: it is what its own first try put, whose answer was lost.
        if (!isForeign(err)) throw err;
        this.#moved(-moved);
        return sendFile(this.bucket, backup, file, { ...by, replace: true, onBytes: this.#moved });
      });
      this.#parts.set(part.path, part);
      await options.note([...this.#parts.values()]);
    });
  }

  /** Reads all of it back, and opens it too where there is an identity. */
  async #readBack(takenOver = false): Promise<void> {
    const { bucket, backup, options } = this;
    const parts = [...this.#parts.values()];
    this.#progress = { phase: "reading back", bytes: 0, total: parts.reduce((sum, { size }) => sum + size, 0) };
    await each(parts, atOnce, this.#stop, async (part) => {
      try {
        const identities = this.#encryption === "age" ? this.#identities : undefined;
        const found = await readPart(bucket, backup.name, part, {
          identities,
          signal: this.#signal,
          onBytes: this.#moved,
        });
        const opened = this.#encryption === "none" || this.#identities !== undefined;
        const meant = this.#files.find(({ path }) => path === part.path)?.sha256;
        // Of what an earlier run stored the proof may be an earlier one.
        const proof = takenOver && part.path === proofFile;
        if (!opened || proof || found.plainSha256 === meant) return;
        throw new GuardianError("store-damaged", {
          what: "what was stored, decrypted, is not what is in the backup",
          where: bucket.address(`${backup.name}/${part.object}`),
          todo: "run again: it is stored anew",
        });
      } catch (err) {
        // Else the next run would go on from it. Of those that end with the first one nothing is known.
        if (err instanceof GuardianError && isDamage(err) && !this.#signal.aborted) {
          this.#parts.delete(part.path);
          await options.note([...this.#parts.values()]);
        }
        throw err;
      }
    });
  }

  /**
   * What a run stored that was killed before it said so: the index that is there is the one which the ledger's parts make. Who
   * may write to the bucket can put another one under our mark, with objects for the same recipients.
   * @returns false where it is another index: then what the ledger does not know is stored anew
   */
  async #takeOver(): Promise<boolean> {
    const { bucket, backup, options } = this;
    const key = `${backup.name}/${indexFile}`;
    for (const part of options.known)
      if (part.path === proofFile || this.#isSame(part)) this.#parts.set(part.path, part);
    const whole = this.#files.every(({ path }) => path === proofFile || this.#parts.has(path));
    this.#text = this.#index();
    const there = (await bucket.text(key, longestIndex, this.#signal)) ?? "";
    if (whole && there === this.#text) {
      await this.#readBack(true);
      return true;
    }
    this.#parts.clear();
    const former = Buffer.from(there);
    const how = { size: former.length, replace: false, signal: this.#signal };
    // One that is there is of a run that was cut off.
    await bucket.put(`${backup.name}/${formerFile}`, former, how).catch((err: unknown) => {
      if (!isForeign(err)) throw err;
    });
    this.#storesAnew = true;
    // Without it a run that is killed leaves half an upload. Where it may not be removed it is replaced at the end.
    await removeAll(bucket, backup.name, [key], this.#signal);
    return false;
  }

  /** Whether a part that the ledger knows is of the file that is here. */
  #isSame({ path, object, plainSha256 }: StoredPart): boolean {
    const meant = this.#files.find((file) => file.path === path)?.sha256;
    return object === objectOf(path, this.#encryption) && plainSha256 === meant;
  }

  /** Without the hashes of what is in them, by which whoever reads the index could try guesses. */
  #sorted(): StoredPart[] {
    const parts = [...this.#parts.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    return parts.map(({ path, object, size, sha256, version }) => ({
      ...{ path, object, size, sha256 },
      ...(version === undefined ? {} : { version }),
    }));
  }

  #index(): string {
    const { backup, options, wanted } = this;
    const index: StoreIndex = {
      formatVersion: 1,
      name: backup.name,
      owner: options.owner,
      takenAt: backup.manifest.startedAt,
      encryption: this.#encryption,
      recipients: this.#encryption === "age" ? wanted.recipients : [],
      sealed: sealOf(wanted),
      parts: this.#sorted(),
    };
    return `${JSON.stringify(index, undefined, 2)}\n`;
  }

  /** @param there what was in the folder before: what does not belong to it any more is removed */
  async #finish(there: ReadonlyMap<string, number>): Promise<void> {
    const { bucket, backup, options } = this;
    const [key, text] = [`${backup.name}/${indexFile}`, (this.#text = this.#index())];
    // Who is killed from here on has it taken over.
    await options.note([...this.#parts.values()]);
    this.#signal.throwIfAborted();
    const bytes = Buffer.from(text);
    const how = { size: bytes.length, replace: there.has(key), signal: this.#signal };
    // What is there may be what its own first try put: the comparison tells.
    await bucket.put(key, bytes, how).catch((err: unknown) => {
      if (!isForeign(err)) throw err;
    });
    if ((await bucket.text(key, longestIndex, this.#signal)) !== text) {
      throw new GuardianError("store-damaged", {
        what: "the index of the stored backup is not what was sent",
        where: bucket.address(key),
        todo: "remove that object, and run again",
      });
    }
    const own = new Set([...this.#parts.values()].map(({ object }) => `${backup.name}/${object}`));
    const stale = [...there.keys()].filter((one) => !own.has(one) && isFile(one.slice(backup.name.length + 1)));
    if (stale.length > 0) await this.#drop(stale);
  }

  /** Removes what was stored of this backup before. @param keys of objects; one that cannot be removed is a warning */
  async #drop(keys: readonly string[]): Promise<void> {
    const { bucket, backup, options } = this;
    const refusal = await removeAll(bucket, backup.name, keys, this.#signal);
    if (!refusal) return;
    const where = refusal.where ?? backup.name;
    options.onWarning(`what was stored of this backup before could not be removed (${where}): ${refusal.what}`);
  }
}
