import { expect } from "chai";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { inspect, promisify } from "node:util";
import { Decrypting, Encrypting, parseIdentities, parseRecipient, readIdentities } from "../../../engine/age";
import { skip } from "../../support/skip";
import { refusalOf } from "../module/harness";

const theirs = () => import("age-encryption");
const through = (bytes: Buffer, stream: Encrypting | Decrypting): Promise<Buffer> =>
  buffer(Readable.from([bytes]).compose(stream) as Readable);

/** Around the ends of chunks, which have 64 KiB. */
const lengths = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_001];
const where = "x.age";

describe("encrypted as age does it", function () {
  this.timeout(60_000);
  let folder = "";
  let secret = "";
  let open = "";
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "guardian-age-"));
    const age = await theirs();
    secret = await age.generateX25519Identity();
    open = await age.identityToRecipient(secret);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const encrypt = (bytes: Buffer, ...to: string[]): Promise<Buffer> =>
    through(bytes, new Encrypting(to.map((one) => parseRecipient(one, "test"))));
  const decrypt = (bytes: Buffer, identity = secret): Promise<Buffer> =>
    through(bytes, new Decrypting(parseIdentities(identity, "test"), where));

  it("18-3 age-encryption reads what this writes, this reads what age-encryption writes, of every length", async () => {
    const age = await theirs();
    for (const length of lengths) {
      const plain = randomBytes(length);
      const reader = new age.Decrypter();
      reader.addIdentity(secret);
      const other = await age.generateX25519Identity();
      const ours = await encrypt(plain, await age.identityToRecipient(other), open);
      expect(Buffer.from(await reader.decrypt(ours)).equals(plain), `${length} bytes, ours`).to.equal(true);
      const writer = new age.Encrypter();
      writer.addRecipient(open);
      expect((await decrypt(Buffer.from(await writer.encrypt(plain)))).equals(plain), `${length} bytes`).to.equal(true);
    }
  });

  it("18-3 Debian's age reads what this writes, this reads what it writes", async function () {
    const run = promisify(execFile);
    await run("age", ["--version"]).catch(() => skip(this, "age is not installed (Debian: apt-get install age)"));
    const [key, plain, ours, back, made] = ["key", "plain", "ours", "back", "made"].map((name) => join(folder, name));
    writeFileSync(key!, `# made by a test\n${secret}\n`, { mode: 0o600 });
    writeFileSync(plain!, randomBytes(200_001));
    writeFileSync(ours!, await encrypt(readFileSync(plain!), open));
    await run("age", ["--decrypt", "--identity", key!, "--output", back!, ours!]);
    expect(readFileSync(back!).equals(readFileSync(plain!))).to.equal(true);
    await run("age", ["--recipient", open, "--output", made!, plain!]);
    expect((await decrypt(readFileSync(made!))).equals(readFileSync(plain!))).to.equal(true);
  });

  it("18-3 refuses, whole, what is cut off, out of order, flipped, or another's", async () => {
    const plain = randomBytes(3 * 65_536 + 100);
    const sealed = await encrypt(plain, open);
    const start = sealed.length - 16 - 100 - 3 * 65_552;
    const chunk = (i: number): Buffer => sealed.subarray(start + 65_552 * i, start + 65_552 * (i + 1));
    const flipped = (at: number): Buffer => {
      const copy = Buffer.from(sealed);
      copy[at]! ^= 1;
      return copy;
    };
    // Of a letter of base64 a bit makes what is none, now and then.
    const lettered = (at: number): Buffer => {
      const copy = Buffer.from(sealed);
      copy.write(copy.toString("latin1", at, at + 1) === "A" ? "B" : "A", at, "latin1");
      return copy;
    };
    const said = async (bytes: Buffer): Promise<string> => {
      const { code, what, where: at } = await refusalOf(decrypt(bytes));
      return `${code} ${at}: ${what.replace("an encrypted file cannot be read: ", "").replace("; nothing of it is used", "")}`;
    };
    const head = sealed.subarray(0, start);
    expect({
      "between chunks": await said(sealed.subarray(0, start + 2 * 65_552)),
      "within a chunk": await said(sealed.subarray(0, start + 65_552 + 7)),
      "before the first": await said(head),
      "within the header": await said(sealed.subarray(0, 60)),
      "two exchanged": await said(Buffer.concat([head, chunk(1), chunk(0), chunk(2), chunk(3)])),
      "one left out": await said(Buffer.concat([head, chunk(0), chunk(2), chunk(3)])),
      "the last one twice": await said(Buffer.concat([sealed, chunk(3)])),
      "more at the end": await said(Buffer.concat([sealed, Buffer.alloc(70_000)])),
      "a bit of the content": await said(flipped(sealed.length - 300)),
      "a bit of the last tag": await said(flipped(sealed.length - 1)),
      "a letter of the HMAC": await said(lettered(start - 16 - 10)),
      "not encrypted": await said(plain),
    }).to.deep.equal({
      "between chunks": `backup-broken ${where}: it is cut off after 2 chunks of 64 KiB`,
      "within a chunk": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 2 (of 64 KiB each)`,
      "before the first": `backup-broken ${where}: it is cut off after 0 chunks of 64 KiB`,
      "within the header": `backup-broken ${where}: it does not begin as an age file does, or its header is damaged`,
      "two exchanged": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 1 (of 64 KiB each)`,
      "one left out": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 2 (of 64 KiB each)`,
      "the last one twice": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 4 (of 64 KiB each)`,
      "more at the end": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 4 (of 64 KiB each)`,
      "a bit of the content": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 3 (of 64 KiB each)`,
      "a bit of the last tag": `backup-broken ${where}: it is damaged, out of order or cut off in chunk 4 (of 64 KiB each)`,
      "a letter of the HMAC": `backup-broken ${where}: its header was changed after it was written`,
      "not encrypted": `backup-broken ${where}: it does not begin as an age file does, or its header is damaged`,
    });
    const whole = await encrypt(randomBytes(65_536), open);
    expect(await said(Buffer.concat([whole, Buffer.alloc(1)]))).to.include("something was added to its end");
    const other = await (await theirs()).generateX25519Identity();
    const refused = await refusalOf(decrypt(sealed, other));
    expect(refused).to.include({ code: "age-no-identity", where });
    expect(refused.what).to.match(/^it is encrypted for 1 recipient, of whom none is this identity's \(age1\w{58}\)$/);
  });

  it("18-3 reads identities from a variable or a file that nobody else may read, and quotes none", async () => {
    const file = join(folder, "identity.txt");
    writeFileSync(file, `# created: now\n# public key: ${open}\n${secret}\r\n`, { mode: 0o600 });
    const [found] = readIdentities(`file:${file}`, {});
    expect(found?.recipient.text).to.equal(open);
    expect(readIdentities("env:KEY", { KEY: secret })[0]?.recipient.text).to.equal(open);
    expect(inspect(found, { depth: 9, showHidden: true }), "shown").to.not.include(secret.slice(20));
    expect(parseRecipient(open.toUpperCase(), "test").text).to.equal(open);

    const mistyped = secret.slice(0, -1) + (secret.endsWith("Q") ? "P" : "Q");
    const bad: [string, () => unknown, string][] = [
      ["mistyped", () => parseIdentities(`\n${mistyped}`, "w"), "line 2 is no X25519 identity of age's"],
      ["a recipient", () => parseIdentities(open, "w"), "line 1 is no X25519 identity of age's"],
      ["post-quantum", () => parseIdentities("AGE-SECRET-KEY-PQ-1XYZ", "w"), "line 1 is no X25519 identity"],
      ["nothing", () => parseIdentities("# none\n", "w"), "there is no identity in it"],
      ["unset", () => readIdentities("env:KEY", {}), "the variable KEY is not set"],
      ["empty", () => readIdentities("env:KEY", { KEY: "" }), "the variable KEY is empty"],
      ["no file", () => readIdentities(`file:${file}.not`, {}), "cannot be read (ENOENT)"],
      ["an identity", () => parseRecipient(secret, "w"), "an identity, which is secret: its public half"],
      ["pq", () => parseRecipient("age1pq1xyz", "w"), "a recipient of another type than X25519"],
      ["ssh", () => parseRecipient("ssh-ed25519 AAAA", "w"), "an SSH key"],
      ["cut", () => parseRecipient(open.slice(0, -1), "w"), "no age key (age1… and 58 more"],
    ];
    for (const [name, act, text] of bad) {
      const refused = await refusalOf(Promise.resolve().then(act));
      expect(refused.code, name).to.equal("age-key-invalid");
      expect(refused.what, name).to.include(text);
      expect(refused.message, name).to.not.include(secret.slice(20, -2));
    }
    chmodSync(file, 0o644);
    const seen = await refusalOf(Promise.resolve().then(() => readIdentities(`file:${file}`, {})));
    expect(seen.what).to.include("can be read by others (mode 0644)");
  });
});
