import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** What a test has the store say in place of what it would do. */
export type Said = { status: number; code: string; message?: string } | "hang up";

interface Request {
  method: string;
  /** Without the bucket. */
  key: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

interface Answer {
  status: number;
  body?: string | Buffer;
  headers?: Record<string, string>;
}

const known = "TESTKEY";

/**
 * A store in this process that knows the calls that the product makes of S3, and no more: path style, one bucket, no signatures, no
 * versions. What a real server does is tested with one (test:slow).
 */
export class S3Double {
  readonly objects = new Map<string, Buffer>();
  readonly uploads = new Map<string, { key: string; parts: Map<number, Buffer> }>();
  /** "PUT key?query" of every request, in order. */
  readonly asked: string[] = [];
  readonly bucket = "backups";
  /** Headers that uploads came with, by key. */
  readonly headers = new Map<string, IncomingMessage["headers"]>();
  /** Asked before each request. */
  instead: (request: Request) => Said | undefined = () => undefined;
  /** Says that uploads are encrypted by KMS. */
  kms = true;
  #server: Server | undefined;

  async start(): Promise<void> {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((listening) => this.#server?.listen(0, "127.0.0.1", listening));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server?.address() as AddressInfo).port}`;
  }

  /** For the environment of who is to be let in. */
  readonly credentials = {
    AWS_ACCESS_KEY_ID: known,
    AWS_SECRET_ACCESS_KEY: "of-no-worth",
    AWS_REGION: "us-east-1",
    AWS_EC2_METADATA_DISABLED: "true",
  };

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((closed) => this.#server?.close(closed));
  }

  reset(): void {
    for (const it of [this.objects, this.uploads, this.headers]) it.clear();
    this.asked.length = 0;
    this.instead = () => undefined;
    this.kms = true;
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(message.url ?? "/", this.endpoint);
    const [, bucket = "", ...path] = decodeURIComponent(url.pathname).split("/");
    const request: Request = {
      method: message.method ?? "",
      key: path.join("/"),
      query: url.searchParams,
      headers: message.headers,
      body: await buffer(message).catch(() => Buffer.alloc(0)),
    };
    this.asked.push(`${request.method} ${request.key}${url.search}`);
    const instead = this.instead(request);
    if (instead === "hang up") {
      message.socket.destroy();
      return;
    }
    const { status, body, headers } = instead ? refusal(instead) : this.#answer(bucket, request);
    response.writeHead(status, { "x-amz-request-id": "1", ...headers });
    response.end(body);
  }

  #answer(bucket: string, request: Request): Answer {
    const { method, query, headers, key } = request;
    if (!headers.authorization?.includes(`Credential=${known}/`)) {
      return refusal({ status: 403, code: "InvalidAccessKeyId", message: "The key Id does not exist." });
    }
    if (bucket !== this.bucket) return refusal({ status: 404, code: "NoSuchBucket", message: "no such bucket" });
    if (method === "GET" && key === "") return this.#bucketGet(query);
    if (method === "GET") return this.#get(key);
    if (method === "PUT") return this.#put(request);
    if (method === "POST") return this.#post(request);
    const id = query.get("uploadId");
    if (id === null) this.objects.delete(key);
    else this.uploads.delete(id);
    return { status: 204 };
  }

  #bucketGet(query: URLSearchParams): Answer {
    const prefix = query.get("prefix") ?? "";
    if (query.has("object-lock")) return refusal({ status: 404, code: "ObjectLockConfigurationNotFoundError" });
    if (query.has("uploads")) {
      const open = [...this.uploads].filter(([, { key }]) => key.startsWith(prefix));
      return xml(
        "ListMultipartUploadsResult",
        open.map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`).join(""),
      );
    }
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    const folders = query.has("delimiter")
      ? new Set(
          keys
            .map((key) => key.slice(prefix.length))
            .filter((rest) => rest.includes("/"))
            .map((rest) => rest.split("/")[0]),
        )
      : undefined;
    const texts = folders
      ? [...folders].map((one) => `<CommonPrefixes><Prefix>${prefix}${one}/</Prefix></CommonPrefixes>`)
      : keys.map((key) => `<Contents><Key>${key}</Key><Size>${this.objects.get(key)?.length ?? 0}</Size></Contents>`);
    // Pages of two: what lists must ask on.
    const from = Number(query.get("continuation-token") ?? 0);
    const more = from + 2 < texts.length;
    const next = more ? `<NextContinuationToken>${from + 2}</NextContinuationToken>` : "";
    return xml("ListBucketResult", `<IsTruncated>${more}</IsTruncated>${next}${texts.slice(from, from + 2).join("")}`);
  }

  #get(key: string): Answer {
    const body = this.objects.get(key);
    return body ? { status: 200, body } : refusal({ status: 404, code: "NoSuchKey", message: "no such key" });
  }

  #put({ key, query, headers, body }: Request): Answer {
    const sum = createHash("sha256").update(body).digest("base64");
    if (headers["x-amz-checksum-sha256"] !== sum)
      return refusal({ status: 400, code: "BadDigest", message: "no match" });
    const upload = this.uploads.get(query.get("uploadId") ?? "");
    if (query.has("uploadId")) {
      if (!upload) return refusal({ status: 404, code: "NoSuchUpload" });
      upload.parts.set(Number(query.get("partNumber")), body);
      return { status: 200, headers: { etag: `"${sum}"`, "x-amz-checksum-sha256": sum } };
    }
    if (headers["if-none-match"] === "*" && this.objects.has(key)) return refusal(taken);
    this.objects.set(key, body);
    this.headers.set(key, headers);
    return { status: 200, headers: { etag: '"1"', ...this.#encrypted(headers) } };
  }

  #post({ key, query, headers }: Request): Answer {
    if (query.has("uploads")) {
      const id = randomUUID();
      this.uploads.set(id, { key, parts: new Map() });
      this.headers.set(key, headers);
      return xml("InitiateMultipartUploadResult", `<Key>${key}</Key><UploadId>${id}</UploadId>`);
    }
    const id = query.get("uploadId") ?? "";
    const upload = this.uploads.get(id);
    if (!upload) return refusal({ status: 404, code: "NoSuchUpload" });
    if (headers["if-none-match"] === "*" && this.objects.has(key)) return refusal(taken);
    this.uploads.delete(id);
    const parts = [...upload.parts].sort(([a], [b]) => a - b).map(([, part]) => part);
    this.objects.set(key, Buffer.concat(parts));
    return {
      ...xml("CompleteMultipartUploadResult", `<Key>${key}</Key><ETag>"1"</ETag>`),
      headers: this.#encrypted(this.headers.get(key) ?? {}),
    };
  }

  #encrypted(headers: IncomingMessage["headers"]): Record<string, string> {
    const asked = headers["x-amz-server-side-encryption"];
    return this.kms && typeof asked === "string" ? { "x-amz-server-side-encryption": asked } : {};
  }
}

const taken = { status: 412, code: "PreconditionFailed", message: "At least one of the pre-conditions did not hold" };

const xml = (name: string, inside: string): Answer => ({
  status: 200,
  headers: { "content-type": "application/xml" },
  body: `<?xml version="1.0" encoding="UTF-8"?><${name}>${inside}</${name}>`,
});

function refusal(said: Exclude<Said, string>): Answer {
  const { status, code, message = code } = said;
  return { ...xml("Error", `<Code>${code}</Code><Message>${message}</Message>`), status };
}
