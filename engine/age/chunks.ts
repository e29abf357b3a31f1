import { createCipheriv, createDecipheriv } from "node:crypto";
import { derive } from "./header";
import { tagLength } from "./x25519";

/** How a file's content is kept (C2SP, "age", "Payload"): chunks, each under a nonce that counts them and marks the last. */

export const chunkLength = 64 * 1024;
export const sealedLength = chunkLength + tagLength;
/** The length of the nonce that stands before the first chunk. */
export const nonceLength = 16;

const options = { authTagLength: tagLength } as const;

/** Seals chunks or opens them, one after another. */
export class Chunks {
  readonly #key: Buffer;
  readonly #nonce = Buffer.alloc(12);
  #count = 0;

  constructor(fileKey: Uint8Array, nonce: Uint8Array) {
    this.#key = derive(fileKey, nonce, "payload");
  }

  /** How many were sealed or opened. */
  get count(): number {
    return this.#count;
  }

  #nonceOf(last: boolean): Buffer {
    // 48 of the 88 bits: 2^48 chunks are more than a disk has.
    this.#nonce.writeUIntBE(this.#count, 5, 6);
    this.#nonce[11] = last ? 1 : 0;
    return this.#nonce;
  }

  /** @returns what is sealed, and its tag */
  seal(plain: Uint8Array, last: boolean): [Buffer, Buffer] {
    const cipher = createCipheriv("chacha20-poly1305", this.#key, this.#nonceOf(last), options);
    const sealed = cipher.update(plain);
    cipher.final();
    this.#count++;
    return [sealed, cipher.getAuthTag()];
  }

  /** @returns nothing if it is not what was sealed as this chunk, or only as the last one */
  open(sealed: Buffer, last: boolean): Buffer | undefined {
    if (sealed.length < tagLength) return undefined;
    try {
      const decipher = createDecipheriv("chacha20-poly1305", this.#key, this.#nonceOf(last), options);
      decipher.setAuthTag(sealed.subarray(-tagLength));
      const plain = decipher.update(sealed.subarray(0, -tagLength));
      decipher.final();
      this.#count++;
      return plain;
    } catch {
      return undefined;
    }
  }
}
