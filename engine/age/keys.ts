import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { bech32 } from "@scure/base";
import { GuardianError } from "../base/errors";

/** Who may read what is encrypted: an age1… key (C2SP, "age", "The X25519 recipient type"). */
export interface Recipient {
  /** As it is written: age1… */
  readonly text: string;
  /** The point, 32 bytes. */
  readonly point: Buffer;
  readonly key: KeyObject;
}

/** Who reads it. Its private key is in a KeyObject alone, which nothing prints. */
export interface Identity {
  readonly key: KeyObject;
  /** Its public half. */
  readonly recipient: Recipient;
}

/** What stands before the 32 bytes of a key in DER: X25519's SubjectPublicKeyInfo and PKCS #8 (RFC 8410). */
const publicPrefix = Buffer.from("302a300506032b656e032100", "hex");
const privatePrefix = Buffer.from("302e020100300506032b656e04220420", "hex");

/** The key of a point. */
export const publicKey = (point: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([publicPrefix, point]), format: "der", type: "spki" });

/** The point of a public key. */
export const pointOf = (key: KeyObject): Buffer =>
  key.export({ format: "der", type: "spki" }).subarray(publicPrefix.length);

/** The 32 bytes that a key in Bech32 holds. @returns undefined if it is none, or has another prefix */
function bytesOf(text: string, prefix: string): Buffer | undefined {
  try {
    // All in capitals or all in small letters: Bech32 decodes both alike, and refuses a mixture.
    const found = bech32.decodeToBytes(text);
    return found.prefix === prefix && found.bytes.length === 32 ? Buffer.from(found.bytes) : undefined;
  } catch {
    return undefined;
  }
}

/** What else one may have for a key of age's, and what it is. */
const others: readonly (readonly [RegExp, string])[] = [
  [/^age-secret-key-1/i, "an identity, which is secret: its public half, age1…, belongs here"],
  [
    /^age1(pq|tag\w*|yubikey|se|tpm|fido2?-hmac|sss)1/i,
    "a recipient of another type than X25519, which this does not write",
  ],
  [/^ssh-/, "an SSH key, which this does not write: age-keygen makes one of age's own"],
];

/**
 * Reads a recipient.
 * @param where the key of the configuration that it stands in
 * @throws GuardianError that does not quote it: it may be an identity that was put in the wrong place
 */
export function parseRecipient(text: string, where: string): Recipient {
  const point = bytesOf(text, "age");
  if (point) return { text: text.toLowerCase(), point, key: publicKey(point) };
  const other = others.find(([pattern]) => pattern.test(text))?.[1];
  throw new GuardianError("age-key-invalid", {
    what: `a recipient is ${other ?? "no age key (age1… and 58 more letters and digits), or is mistyped"}`,
    where,
    todo: "make a pair by age-keygen and give the line that begins with age1",
  });
}

/**
 * Reads identities, one a line, as age-keygen writes them: empty lines and lines with # are passed over.
 * @param where what names the file or the variable that they stand in
 * @throws GuardianError that quotes none of it
 */
export function parseIdentities(text: string, where: string): Identity[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const found = lines.flatMap((line, i) => (line === "" || line.startsWith("#") ? [] : [identity(line, i, where)]));
  if (found.length > 0) return found;
  throw new GuardianError("age-key-invalid", {
    what: "there is no identity in it",
    where,
    todo: "write the line that begins with AGE-SECRET-KEY-1 into it, as age-keygen gives it",
  });
}

function identity(line: string, i: number, where: string): Identity {
  const secret = bytesOf(line, "age-secret-key-");
  if (!secret) {
    throw new GuardianError("age-key-invalid", {
      what: `line ${i + 1} is no X25519 identity of age's (AGE-SECRET-KEY-1… and 58 more letters and digits), or is mistyped`,
      where,
      todo: "write identities alone into it, one a line, as age-keygen gives them",
    });
  }
  const key = createPrivateKey({ key: Buffer.concat([privatePrefix, secret]), format: "der", type: "pkcs8" });
  secret.fill(0);
  const point = pointOf(createPublicKey(key));
  return { key, recipient: { text: bech32.encodeFromBytes("age", point), point, key: publicKey(point) } };
}
