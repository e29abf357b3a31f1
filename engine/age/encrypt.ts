import { randomBytes } from "node:crypto";
import { Transform, type TransformCallback } from "node:stream";
import { chunkLength, Chunks, nonceLength } from "./chunks";
import { writeHeader } from "./header";
import type { Recipient } from "./keys";
import { wrap } from "./x25519";

/** Makes an age file of what is written to it, for all the recipients; keeps 64 KiB in memory. */
export class Encrypting extends Transform {
  readonly #chunks: Chunks;
  /** What is not sealed yet: whether a chunk is the last is only known once there is more, or no more. */
  readonly #waiting = Buffer.alloc(chunkLength);
  #filled = 0;

  /** @param recipients at least one */
  constructor(recipients: readonly Recipient[]) {
    super();
    if (recipients.length === 0) throw new RangeError("for nobody");
    const fileKey = randomBytes(16);
    const nonce = randomBytes(nonceLength);
    const stanzas = recipients.map((one) => wrap(fileKey, one));
    this.push(Buffer.from(writeHeader(fileKey, stanzas), "latin1"));
    this.push(nonce);
    this.#chunks = new Chunks(fileKey, nonce);
    fileKey.fill(0);
  }

  override _transform(given: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0;
    while (at < given.length) {
      if (this.#filled === chunkLength) this.#seal(false);
      const copied = given.copy(this.#waiting, this.#filled, at);
      this.#filled += copied;
      at += copied;
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#seal(true);
    done();
  }

  #seal(last: boolean): void {
    for (const part of this.#chunks.seal(this.#waiting.subarray(0, this.#filled), last)) this.push(part);
    this.#filled = 0;
    if (last) this.#waiting.fill(0);
  }
}
