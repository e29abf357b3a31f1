import { randomBytes } from "node:crypto";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Encrypting, parseRecipient } from "../engine/age";
import { median, type Benchmark } from "./benchmark";

/** Bytes of a piece, as a file is read. */
const piece = 64 * 1024;

/** Encryption by node:crypto beside the library that there is, both streaming, each once a round. */
export const age: Benchmark = {
  name: "age",
  about: "what encrypts backups beside the npm package age-encryption (ratio: how many times faster; more is better)",
  options: {
    megabytes: { default: 64, least: 1, about: "MB that are encrypted" },
    rounds: { default: 3, least: 1, about: "how often each side is measured" },
  },
  async run({ options: { megabytes = 64, rounds = 3 }, say, signal }) {
    const { Encrypter, generateX25519Identity, identityToRecipient } = await import("age-encryption");
    const recipient = await identityToRecipient(await generateX25519Identity());
    const bytes = randomBytes(piece);
    const pieces = Math.ceil((megabytes * 1e6) / piece);
    const source = (): Readable => Readable.from(Array.from({ length: pieces }, () => bytes));
    const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });
    const seconds = async (work: () => Promise<void>): Promise<number> => {
      const began = performance.now();
      await work();
      return (performance.now() - began) / 1000;
    };
    const ours = (): Promise<void> =>
      pipeline(source(), new Encrypting([parseRecipient(recipient, "bench")]), nowhere(), { signal });
    const theirs = async (): Promise<void> => {
      const writer = new Encrypter();
      writer.addRecipient(recipient);
      const encrypted = await writer.encrypt(Readable.toWeb(source()));
      await pipeline(Readable.fromWeb(encrypted as Parameters<typeof Readable.fromWeb>[0]), nowhere(), { signal });
    };
    const found: { ours: number; theirs: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const took = { ours: await seconds(ours), theirs: await seconds(theirs) };
      say(`ours ${took.ours.toFixed(2)} s, age-encryption ${took.theirs.toFixed(2)} s`);
      found.push(took);
    }
    const speed = (side: "ours" | "theirs"): number =>
      Math.round((pieces * piece) / 1e6 / median(found.map((one) => one[side])));
    return {
      ratio: Math.round(10 * median(found.map((one) => one.theirs / one.ours))) / 10,
      megabytesPerSecond: speed("ours"),
      ageEncryptionMegabytesPerSecond: speed("theirs"),
    };
  },
};
