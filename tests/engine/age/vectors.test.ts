import { expect } from "chai";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { inflateSync } from "node:zlib";
import { Decrypting, parseIdentities } from "../../../engine/age";
import { GuardianError } from "../../../engine/base/errors";

/** A file of the public test vectors (C2SP, CCTV, "age test vectors"). */
interface Vector {
  name: string;
  expect: string;
  identities: string[];
  /** Sha256 of all that is let through, though it fail later. */
  payload: string | undefined;
  file: Buffer;
}

/** What we say of each kind of failure. */
const said: Readonly<Record<string, RegExp>> = {
  "header failure": /: it does not begin as an age file does, or its header is damaged;/,
  "HMAC failure": /: its header was changed after it was written;/,
  "no match": /^it is encrypted for \d+ recipients?, of whom none is this identity's/,
  "payload failure": /: (it is cut off after|it is damaged, out of order|something was added|it ends with an empty)/,
};

async function vectors(): Promise<Vector[]> {
  const found = (await import("cctv-age")) as unknown as Record<string, Uint8Array>;
  return Object.entries(found).flatMap(([name, bytes]) => {
    if (!(bytes instanceof Uint8Array)) return [];
    const text = Buffer.from(bytes);
    const end = text.indexOf("\n\n");
    const lines = text.toString("utf8", 0, end).split("\n");
    const of = (key: string): string[] =>
      lines.filter((line) => line.startsWith(`${key}: `)).map((line) => line.slice(key.length + 2));
    const identities = of("identity").filter((one) => !one.startsWith("AGE-SECRET-KEY-PQ-"));
    // Neither armour, nor a passphrase, nor the hybrid type is written or read here.
    const other = of("armored").length > 0 || (identities.length === 0 && name !== "empty");
    if (other) return [];
    const file = text.subarray(end + 2);
    const whole = of("compressed").length > 0 ? inflateSync(file) : file;
    return [{ name, expect: of("expect")[0] ?? "", identities, payload: of("payload")[0], file: whole }];
  });
}

/** Feeds a file in pieces of one length. @returns the hash of what came out, and what was said */
async function read({ file, identities }: Vector, piece: number): Promise<{ hash: string; error: string }> {
  const text = identities.join("\n");
  const reading = new Decrypting(text === "" ? [] : parseIdentities(text, "the vector"), "the vector");
  const pieces = function* (): Generator<Buffer> {
    for (let at = 0; at < file.length; at += piece) yield file.subarray(at, at + piece);
  };
  const hash = createHash("sha256");
  let error = "";
  reading.on("data", (bytes: Buffer) => hash.update(bytes));
  await new Promise<void>((ended) => {
    reading.once("end", ended);
    reading.once("error", (err) => {
      expect(err).to.be.instanceOf(GuardianError);
      error = (err as GuardianError).what;
      ended();
    });
    Readable.from(pieces()).pipe(reading);
  });
  return { hash: hash.digest("hex"), error };
}

describe("the public test vectors of age", function () {
  this.timeout(60_000);

  it("18-3 all of X25519's: what can be read is, what cannot is told as what it is, and nothing of it goes too far", async () => {
    const all = await vectors();
    expect(all.length, "vectors").to.be.at.least(69);
    const wrong: string[] = [];
    for (const vector of all) {
      for (const piece of [64 * 1024, 1021]) {
        const { hash, error } = await read(vector, piece);
        const wanted = said[vector.expect];
        const fits = wanted ? wanted.test(error) : vector.expect === "success" && error === "";
        if (!fits) wrong.push(`${vector.name} (${piece}): ${vector.expect}, and it says "${error}"`);
        if (vector.payload !== undefined && hash !== vector.payload)
          wrong.push(`${vector.name} (${piece}): let through`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });
});
