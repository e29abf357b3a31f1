import { createCipheriv, createDecipheriv, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";
import { derive, fromBase64, type Stanza, toBase64 } from "./header";
import { type Identity, pointOf, publicKey, type Recipient } from "./keys";

/** How a file's key is kept for one recipient (C2SP, "age", "The X25519 recipient type"). */

const info = "age-encryption.org/v1/X25519";
/** Each key that is used with it is used once. */
const nonce = Buffer.alloc(12);
export const tagLength = 16;
const options = { authTagLength: tagLength } as const;

const wrappingKey = (privateKey: KeyObject, other: KeyObject, share: Buffer, point: Buffer): Buffer =>
  derive(diffieHellman({ privateKey, publicKey: other }), Buffer.concat([share, point]), info);

/** Keeps a file's key for a recipient. */
export function wrap(fileKey: Buffer, { point, key }: Recipient): Stanza {
  const ephemeral = generateKeyPairSync("x25519");
  const share = pointOf(ephemeral.publicKey);
  const cipher = createCipheriv(
    "chacha20-poly1305",
    wrappingKey(ephemeral.privateKey, key, share, point),
    nonce,
    options,
  );
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
  return { args: ["X25519", toBase64(share)], body };
}

/**
 * @returns the file's key, or that it is not for this identity, or that a stanza is not as it must be, in which case nothing
 *   of the file is to be read
 */
export function unwrap({ args, body }: Stanza, { key, recipient }: Identity): Buffer | "not mine" | "malformed" {
  const [type, encoded, ...more] = args;
  if (type !== "X25519") return "not mine";
  const share = encoded === undefined ? undefined : fromBase64(encoded);
  if (share?.length !== 32 || more.length > 0 || body.length !== 16 + tagLength) return "malformed";
  let secret: Buffer;
  try {
    secret = wrappingKey(key, publicKey(share), share, recipient.point);
  } catch {
    return "malformed"; // a point of low order: the shared secret would be known to all
  }
  try {
    const decipher = createDecipheriv("chacha20-poly1305", secret, nonce, options);
    decipher.setAuthTag(body.subarray(16));
    return Buffer.concat([decipher.update(body.subarray(0, 16)), decipher.final()]);
  } catch {
    return "not mine";
  }
}
