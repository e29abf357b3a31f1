import type { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { GuardianError } from "../base/errors";
import { storeFailure } from "./failures";
import { placeOf, type WantedStore } from "./wanted";

/** How long a server may take, milliseconds. */
const patience = { connect: 10_000, silent: 60_000 };

/** Bytes of a part: S3's least is 5 MiB, and it takes 10,000 of them. */
const leastPart = 8 * 1024 * 1024;
const mostParts = 9000;

/** An upload of many parts that was begun and not ended. */
export interface OpenUpload {
  readonly key: string;
  readonly id: string;
}

export interface Sent {
  /** Of a bucket that keeps versions. */
  readonly version?: string;
}

/** What may be said of how it is put. */
interface Putting {
  /** Bytes at most, by which parts are cut. */
  size: number;
  /** Whether what a killed run left may be replaced; else there must be nothing of that name. */
  replace: boolean;
  signal?: AbortSignal | undefined;
}

/** Ends a call with a signal. */
const until = (signal: AbortSignal | undefined) => (signal ? { abortSignal: signal } : {});

/** What of an answer to an upload is of use. */
interface Uploaded {
  VersionId?: string | undefined;
  ServerSideEncryption?: string | undefined;
}

/** One folder of a bucket, with the calls that this product makes of it and no others; keys count from that folder. */
export class Bucket {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #kmsKey: string | undefined;

  constructor(wanted: WantedStore, wait = patience) {
    const { bucket, prefix } = placeOf(wanted.to);
    [this.#bucket, this.#prefix, this.#kmsKey] = [bucket, prefix, wanted.kmsKey];
    const { endpoint, region = endpoint === undefined ? undefined : (process.env["AWS_REGION"] ?? "us-east-1") } =
      wanted;
    // It says that its next versions want another Node: of no use to who cannot change what is pinned here.
    process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
    this.#client = new S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      forcePathStyle: wanted.pathStyle ?? endpoint !== undefined,
      // Every part is sent with its SHA-256, which node computes fastest and every server that checks anything knows.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      maxAttempts: 4,
      requestHandler: { connectionTimeout: wait.connect, socketTimeout: wait.silent },
    });
  }

  /** As errors name it. */
  address(key: string): string {
    return `s3://${this.#bucket}/${this.#prefix}${key}`;
  }

  close(): void {
    this.#client.destroy();
  }

  /**
   * Puts a whole file: what is not small in parts, each with its checksum. A stream that fails leaves no part behind.
   * @throws GuardianError; what the stream throws
   */
  async put(key: string, body: Readable | Buffer, { size, replace, signal }: Putting): Promise<Sent> {
    signal?.throwIfAborted();
    const kms = this.#kmsKey;
    const params = {
      ...this.#at(key),
      Body: body,
      ChecksumAlgorithm: "SHA256" as const,
      ...(replace ? {} : { IfNoneMatch: "*" }),
      ...(kms === undefined ? {} : { ServerSideEncryption: "aws:kms" as const, SSEKMSKeyId: kms }),
    };
    const put = async (): Promise<Uploaded> => {
      if (Buffer.isBuffer(body))
        return this.#client.send(new PutObjectCommand({ ...params, Body: body }), until(signal));
      const partSize = Math.max(leastPart, Math.ceil(size / mostParts));
      const upload = new Upload({ client: this.#client, params, partSize, queueSize: 2 });
      const stop = (): void => void upload.abort();
      signal?.addEventListener("abort", stop, { once: true });
      try {
        return await upload.done();
      } finally {
        signal?.removeEventListener("abort", stop);
      }
    };
    const sent = await this.#call("to be uploaded", key, put, signal);
    if (kms !== undefined && !(sent.ServerSideEncryption ?? "").startsWith("aws:kms")) {
      throw new GuardianError("store-unencrypted", {
        what: "the store took an object and did not encrypt it with the KMS key that guardian:backup.kmsKey names",
        where: this.address(key),
        todo: ["take guardian:backup.kmsKey out, if this server knows no KMS", "use a store that does"],
      });
    }
    return sent.VersionId === undefined ? {} : { version: sent.VersionId };
  }

  /** @returns what is stored under a key, to be read to its end */
  async get(key: string, version?: string, signal?: AbortSignal): Promise<Readable> {
    const at = { ...this.#at(key), ...(version === undefined ? {} : { VersionId: version }) };
    const send = () => this.#client.send(new GetObjectCommand(at), until(signal));
    const { Body } = await this.#call("to be read", key, send, signal);
    return Body as Readable;
  }

  /**
   * @param most bytes that are read of it: who else writes to the bucket decides how long it is
   * @returns a small object whole, or nothing where there is none
   */
  async text(key: string, most: number, signal?: AbortSignal): Promise<string | undefined> {
    try {
      const pieces: Buffer[] = [];
      let bytes = 0;
      for await (const piece of (await this.get(key, undefined, signal)) as AsyncIterable<Buffer>) {
        pieces.push(piece);
        if ((bytes += piece.length) >= most) break;
      }
      return Buffer.concat(pieces).subarray(0, most).toString("utf8");
    } catch (err) {
      const failure = storeFailure(err, "to be read", this.address(key));
      if (failure.cause instanceof Error && failure.cause.name === "NoSuchKey") return undefined;
      throw failure;
    }
  }

  /** @returns the names of folders, without their slash */
  async folders(signal?: AbortSignal): Promise<string[]> {
    const found: string[] = [];
    for await (const page of this.#pages("", "/", signal)) {
      for (const { Prefix = "" } of page.CommonPrefixes ?? []) found.push(Prefix.slice(this.#prefix.length, -1));
    }
    return found;
  }

  /** @returns the sizes of all objects below a folder, by key */
  async objects(under: string, signal?: AbortSignal): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for await (const page of this.#pages(under, undefined, signal)) {
      for (const { Key = "", Size = 0 } of page.Contents ?? []) found.set(Key.slice(this.#prefix.length), Size);
    }
    return found;
  }

  async *#pages(under: string, delimiter: string | undefined, signal: AbortSignal | undefined) {
    let token: string | undefined;
    do {
      const asked = {
        Bucket: this.#bucket,
        Prefix: this.#prefix + under,
        ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      };
      const send = () => this.#client.send(new ListObjectsV2Command(asked), until(signal));
      const page = await this.#call("to be listed", under, send, signal);
      yield page;
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  /** @returns the uploads below a folder that were begun and not ended */
  async openUploads(under: string, signal?: AbortSignal): Promise<OpenUpload[]> {
    const found: OpenUpload[] = [];
    let after: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (after) {
      const asked = new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: this.#prefix + under, ...after });
      const send = () => this.#client.send(asked, until(signal));
      const page: ListMultipartUploadsCommandOutput = await this.#call("to be listed", under, send, signal);
      for (const { Key = "", UploadId = "" } of page.Uploads ?? []) {
        found.push({ key: Key.slice(this.#prefix.length), id: UploadId });
      }
      const { IsTruncated, NextKeyMarker: key, NextUploadIdMarker: id } = page;
      after =
        IsTruncated && key !== undefined
          ? { KeyMarker: key, ...(id === undefined ? {} : { UploadIdMarker: id }) }
          : undefined;
    }
    return found;
  }

  async abort({ key, id }: OpenUpload): Promise<void> {
    const send = () => this.#client.send(new AbortMultipartUploadCommand({ ...this.#at(key), UploadId: id }));
    await this.#call("to be deleted", key, send);
  }

  async remove(key: string): Promise<void> {
    await this.#call("to be deleted", key, () => this.#client.send(new DeleteObjectCommand(this.#at(key))));
  }

  /** @returns how long the bucket keeps what is put there from being deleted, in words; nothing where it does not, or does not say */
  async retention(signal?: AbortSignal): Promise<string | undefined> {
    const send = this.#client.send(new GetObjectLockConfigurationCommand({ Bucket: this.#bucket }), until(signal));
    // Not every credential may ask, nor every server answer: it is only told.
    const kept = (await send.catch(() => undefined))?.ObjectLockConfiguration?.Rule?.DefaultRetention;
    if (!kept) return undefined;
    const { Mode = "", Days, Years } = kept;
    return `${Years === undefined ? `${Days ?? 0} days` : `${Years} years`} (${Mode})`;
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  async #call<T>(doing: string, key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (err) {
      signal?.throwIfAborted();
      // What node:fs threw is said by whoever reads files.
      if (err instanceof Error && "syscall" in err && "path" in err) throw err;
      throw storeFailure(err, doing, this.address(key));
    }
  }
}

/** Works with the bucket of a store, and lets go of its connections afterwards. */
export async function withBucket<T>(wanted: WantedStore, work: (bucket: Bucket) => Promise<T>): Promise<T> {
  const bucket = new Bucket(wanted);
  try {
    return await work(bucket);
  } finally {
    bucket.close();
  }
}
