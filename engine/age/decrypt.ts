import { timingSafeEqual } from "node:crypto";
import { Transform, type TransformCallback } from "node:stream";
import { GuardianError } from "../base/errors";
import { Chunks, nonceLength, sealedLength } from "./chunks";
import { type Header, headerLength, longestHeader, macOf, readHeader } from "./header";
import type { Identity } from "./keys";
import { unwrap } from "./x25519";

/**
 * Reads an age file that is written to it. What it has let through is what was encrypted, from the beginning and in order;
 * that it is all of it is known only when the stream has ended without an error: until then nothing of it counts.
 *
 * It fails by a GuardianError: age-no-identity if the file is for others, backup-broken for everything else.
 */
export class Decrypting extends Transform {
  readonly #identities: readonly Identity[];
  readonly #where: string;
  #chunks: Chunks | undefined;
  #ended = false;
  /** What has come and is not read yet. */
  #parts: Buffer[] = [];
  #length = 0;

  /** @param where names the file in errors */
  constructor(identities: readonly Identity[], where: string) {
    super();
    this.#identities = identities;
    this.#where = where;
  }

  override _transform(given: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#parts.push(given);
    this.#length += given.length;
    this.#attempt(done, () => {
      if (!this.#chunks && !this.#begin(false)) return;
      // A chunk is opened once more has come after it: only so is it known not to be the last, which _flush opens.
      if (this.#length > sealedLength) this.#openMany();
    });
  }

  override _flush(done: TransformCallback): void {
    this.#attempt(done, () => {
      if (!this.#chunks) this.#begin(true);
      if (this.#length > sealedLength) this.#openMany();
      this.#openLast();
    });
  }

  #attempt(done: TransformCallback, work: () => void): void {
    try {
      work();
    } catch (err) {
      done(err as Error);
      return;
    }
    done();
  }

  /** All that has come. */
  #take(): Buffer {
    const all = this.#parts.length === 1 && this.#parts[0] ? this.#parts[0] : Buffer.concat(this.#parts, this.#length);
    this.#keep(Buffer.alloc(0));
    return all;
  }

  #keep(rest: Buffer): void {
    this.#parts = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
  }

  /** Reads the header. @returns false where more of it is to come */
  #begin(all: boolean): boolean {
    const bytes = this.#take();
    const end = headerLength(bytes.subarray(0, longestHeader));
    const wanted = end === undefined ? undefined : end + nonceLength;
    if (end === undefined || wanted === undefined || bytes.length < wanted) {
      if (all || (end === undefined && bytes.length >= longestHeader)) throw this.#broken(noHeader);
      this.#keep(bytes);
      return false;
    }
    const header = readHeader(bytes.toString("latin1", 0, end));
    if (!header) throw this.#broken(noHeader);
    const fileKey = this.#fileKey(header);
    if (!timingSafeEqual(macOf(fileKey, header.signed), header.mac)) {
      throw this.#broken("its header was changed after it was written");
    }
    this.#chunks = new Chunks(fileKey, bytes.subarray(end, wanted));
    fileKey.fill(0);
    this.#keep(bytes.subarray(wanted));
    return true;
  }

  #fileKey({ stanzas }: Header): Buffer {
    for (const stanza of stanzas) {
      for (const identity of this.#identities) {
        const found = unwrap(stanza, identity);
        if (found === "malformed") throw this.#broken(noHeader);
        if (found !== "not mine") return found;
      }
    }
    const mine = this.#identities.map(({ recipient }) => recipient.text).join(", ");
    throw new GuardianError("age-no-identity", {
      what: `it is encrypted for ${stanzas.length} recipient${stanzas.length === 1 ? "" : "s"}, of whom none is this identity's (${mine || "none is given"})`,
      where: this.#where,
      todo: "name the identity of one of those it was encrypted for: guardian:backup.identityFrom",
    });
  }

  /** Opens every chunk after which something comes. */
  #openMany(): void {
    const bytes = this.#take();
    let at = 0;
    while (bytes.length - at > sealedLength) {
      this.#refuseMore();
      const sealed = bytes.subarray(at, at + sealedLength);
      const plain = this.#chunks?.open(sealed, false) ?? this.#openAs(sealed, true);
      if (!plain) throw this.#broken(this.#damaged());
      this.push(plain);
      at += sealedLength;
    }
    this.#keep(bytes.subarray(at));
  }

  #openLast(): void {
    const sealed = this.#take();
    if (this.#ended && sealed.length === 0) return;
    this.#refuseMore();
    const count = this.#chunks?.count ?? 0;
    if (sealed.length === 0) throw this.#broken(`it is cut off after ${count} chunks of 64 KiB`);
    const plain = this.#openAs(sealed, true);
    if (!plain) {
      const whole = sealed.length === sealedLength ? this.#chunks?.open(sealed, false) : undefined;
      if (whole) this.push(whole);
      throw this.#broken(whole ? `it is cut off after ${count + 1} chunks of 64 KiB` : this.#damaged());
    }
    if (plain.length === 0 && count > 0) throw this.#broken("it ends with an empty chunk, which nobody writes");
    this.push(plain);
  }

  #openAs(sealed: Buffer, last: boolean): Buffer | undefined {
    const plain = this.#chunks?.open(sealed, last);
    if (plain && last) this.#ended = true;
    return plain;
  }

  #refuseMore(): void {
    if (this.#ended) throw this.#broken("something was added to its end");
  }

  #damaged(): string {
    const count = this.#chunks?.count ?? 0;
    return `it is damaged, out of order or cut off in chunk ${count + 1} (of 64 KiB each)`;
  }

  #broken(what: string): GuardianError {
    return new GuardianError("backup-broken", {
      what: `an encrypted file cannot be read: ${what}; nothing of it is used`,
      where: this.#where,
      todo: "take another copy of it, or another backup",
    });
  }
}

const noHeader = "it does not begin as an age file does, or its header is damaged";
