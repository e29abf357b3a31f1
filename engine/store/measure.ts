import { createHash } from "node:crypto";
import { Transform, type TransformCallback } from "node:stream";

/** Lets everything through, and knows afterwards how much it was and its SHA-256. */
export class Measure extends Transform {
  readonly #hash = createHash("sha256");
  /** Not called size: the uploader takes a body's size for what it has. */
  bytes = 0;

  /** @param onBytes told of each piece's length */
  constructor(private readonly onBytes: (bytes: number) => void = () => undefined) {
    super();
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(piece);
    this.bytes += piece.length;
    this.onBytes(piece.length);
    done(undefined, piece);
  }

  /** Hexadecimal; once, after the end. */
  sha256(): string {
    return this.#hash.digest("hex");
  }
}
