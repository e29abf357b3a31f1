import { createHmac, hkdfSync } from "node:crypto";

/** The header of an age file (C2SP, "age", "File format"): who can read it, and an HMAC over that. */

const intro = "age-encryption.org/v1";

/** Longer is no header of ours, nor of anybody who encrypts for fewer than a thousand. */
export const longestHeader = 256 * 1024;

/** What one recipient finds the file's key in. */
export interface Stanza {
  /** The first is the type. */
  readonly args: readonly string[];
  readonly body: Buffer;
}

export interface Header {
  readonly stanzas: readonly Stanza[];
  readonly mac: Buffer;
  /** What the HMAC is over. */
  readonly signed: string;
}

/** Base64 without padding. */
export const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64").replace(/=+$/, "");

/** @returns undefined for what is not the one way to write these bytes */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return toBase64(bytes) === text ? bytes : undefined;
}

const stanzaText = ({ args, body }: Stanza): string => {
  const text = toBase64(body);
  // The last line has fewer than 64 columns, if need be none.
  const lines = Array.from({ length: Math.floor(text.length / 64) + 1 }, (_, i) => text.slice(64 * i, 64 * (i + 1)));
  return `-> ${args.join(" ")}\n${lines.join("\n")}\n`;
};

/** The key that is derived of another, 32 bytes. */
export const derive = (key: Uint8Array, salt: Uint8Array, info: string): Buffer =>
  Buffer.from(hkdfSync("sha256", key, salt, info, 32));

const none = new Uint8Array();

/** The HMAC of a header by the file's key. */
export const macOf = (fileKey: Uint8Array, signed: string): Buffer =>
  createHmac("sha256", derive(fileKey, none, "header"))
    .update(signed, "latin1")
    .digest();

/** A whole header, to be written as Latin-1. */
export function writeHeader(fileKey: Uint8Array, stanzas: readonly Stanza[]): string {
  const signed = `${intro}\n${stanzas.map(stanzaText).join("")}---`;
  return `${signed} ${toBase64(macOf(fileKey, signed))}\n`;
}

/** The length of the header that a file begins with, or undefined where it has not ended yet. */
export function headerLength(bytes: Buffer): number | undefined {
  const last = bytes.indexOf("\n---", 0, "latin1");
  const end = last < 0 ? -1 : bytes.indexOf("\n", last + 1, "latin1");
  return end < 0 ? undefined : end + 1;
}

/** @returns undefined for what is no header as the format has it, to the letter */
export function readHeader(text: string): Header | undefined {
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.shift() !== intro) return undefined;
  const footer = lines.pop();
  const mac = /^--- (\S{43})$/.exec(footer ?? "")?.[1];
  const bytes = mac === undefined ? undefined : fromBase64(mac);
  if (bytes?.length !== 32) return undefined;
  const stanzas: Stanza[] = [];
  while (lines.length > 0) {
    const stanza = takeStanza(lines);
    if (!stanza) return undefined;
    stanzas.push(stanza);
  }
  // What is read by a passphrase is read by that alone.
  if (stanzas.length > 1 && stanzas.some(({ args }) => args[0] === "scrypt")) return undefined;
  return { stanzas, mac: bytes, signed: text.slice(0, text.length - (footer?.length ?? 0) - 1) + "---" };
}

function takeStanza(lines: string[]): Stanza | undefined {
  const [arrow, ...args] = (lines.shift() ?? "").split(" ");
  if (arrow !== "->" || args.length === 0 || !args.every((arg) => /^[\x21-\x7e]+$/.test(arg))) return undefined;
  let text = "";
  for (;;) {
    const line = lines.shift();
    if (line === undefined || line.length > 64) return undefined;
    text += line;
    if (line.length < 64) break;
  }
  const body = fromBase64(text);
  return body && { args, body };
}
