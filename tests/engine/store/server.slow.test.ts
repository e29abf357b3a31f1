import {
  CreateBucketCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchBackup, listStored } from "../../../engine/store";
import { Bucket } from "../../../engine/store/bucket";
import { storeFailure } from "../../../engine/store/failures";
import type { Stored } from "../../../engine/store/storing";
import type { WantedStore } from "../../../engine/store/wanted";
import { flipped, Relay, type Way } from "../../support/relay";
import { skip } from "../../support/skip";
import { Gateway, versitygw } from "../../support/versitygw";
import { refusalOf } from "../module/harness";
import { logIn, makeBackup, owner, pictureOf, storeOutcome } from "./harness";

describe("backups off the machine, on a real server (versitygw)", function () {
  this.timeout(600_000);
  let folder = "";
  let server: Gateway;
  let recipient = "";
  /** What was begun, to be ended in reverse; nothing, where there is no server. */
  const begun: (() => unknown)[] = [];
  before(async function () {
    const program = await versitygw().catch((err: unknown) => skip(this, `versitygw cannot be built: ${String(err)}`));
    const age = await import("age-encryption");
    const secret = await age.generateX25519Identity();
    recipient = await age.identityToRecipient(secret);
    folder = mkdtempSync(join(tmpdir(), "guardian-versitygw-"));
    begun.push(() => rmSync(folder, { recursive: true, force: true }));
    for (const one of ["buckets/backups", "versions", "here", "small"])
      mkdirSync(join(folder, one), { recursive: true });
    server = new Gateway(program, join(folder, "buckets"), join(folder, "versions"));
    begun.push(() => server.kill());
    await server.start();
    begun.push(logIn({ ...server.credentials, TEST_IDENTITY: secret }));
  });
  after(async () => {
    for (const end of begun.reverse()) await end();
  });

  const wanted = (more: Partial<WantedStore> = {}): WantedStore => ({
    ...{
      to: "s3://backups/guardian",
      recipients: [recipient],
      endpoint: server.endpoint,
      identityFrom: "env:TEST_IDENTITY",
    },
    ...more,
  });
  let count = 0;
  const backup = (big?: number) => makeBackup(join(folder, "here"), `guardian-${++count}`, big);

  it("18-4 stores and brings back a backup of many parts", async () => {
    const it = backup(60_000_000);
    const { outcome } = await storeOutcome(it, wanted());
    expect(outcome).to.have.property("at", `s3://backups/guardian/${it.name}`);
    const { path } = await fetchBackup(wanted(), it.name, { directory: join(folder, "back") });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
  });

  it("18-4 the server is killed in the midst of an upload: no backup there; the next run ends it, and nothing of it is left", async () => {
    const it = backup(120_000_000);
    let killed: Promise<void> | undefined;
    const first = await storeOutcome(it, wanted(), [], (bytes) => {
      if (bytes > 20_000_000) killed ??= server.kill();
    });
    expect(killed, "killed in the midst").to.not.equal(undefined);
    await killed;
    expect(first.outcome).to.include({ code: "store-unreachable" });
    await server.start();
    expect((await listStored(wanted())).find(({ name }) => name === it.name)?.index).to.equal(undefined);
    const { outcome } = await storeOutcome(it, wanted(), first.kept);
    expect(outcome).to.have.property("at");
    const bucket = new Bucket(wanted());
    expect(await bucket.openUploads("")).to.deep.equal([]);
    bucket.close();
  });

  /** Between the product and the server, for one test. */
  const withRelay = async (work: (relay: Relay, to: WantedStore) => Promise<void>): Promise<void> => {
    const relay = new Relay(Number(new URL(server.endpoint).port));
    await relay.start();
    try {
      await work(relay, wanted({ endpoint: relay.endpoint }));
    } finally {
      relay.stop();
    }
  };

  for (const [way, what, code] of [
    ["there", "on its way to the store is refused by it", "store-damaged"],
    ["back", "on its way back is found by reading it back", "backup-broken"],
  ] as [Way, string, string][]) {
    it(`18-4 a bit that changes ${what}; the next run goes on, and nothing half is taken for whole`, async () => {
      const it = backup(20_000_000);
      await withRelay(async (relay, to) => {
        let passed = 0;
        let spoilt = false;
        relay.change = (piece, which) => {
          if (which === way) passed += piece.length;
          // Some MiB on and long: in the midst of a part, and not of a header.
          if (spoilt || which !== way || passed < 6_000_000 || piece.length < 10_000) return piece;
          spoilt = true;
          return flipped(piece);
        };
        const first = await storeOutcome(it, to);
        expect(spoilt).to.equal(true);
        expect(first.outcome).to.include({ code });
        expect((await listStored(wanted())).find(({ name }) => name === it.name)?.index).to.equal(undefined);
        const { outcome } = await storeOutcome(it, to, first.kept);
        expect(outcome, String(outcome)).to.have.property("at");
      });
      const { path } = await fetchBackup(wanted(), it.name, { directory: join(folder, `spoilt-${way}`) });
      expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
    });
  }

  it("18-4 a wrong checksum of each kind that S3 knows is refused, and told as damage", async () => {
    const client = new S3Client({ endpoint: server.endpoint, forcePathStyle: true });
    const wrong: [string, Partial<PutObjectCommandInput>][] = [
      ["CRC32", { ChecksumCRC32: "AAAAAA==" }],
      ["CRC32C", { ChecksumCRC32C: "AAAAAA==" }],
      ["CRC64NVME", { ChecksumCRC64NVME: "AAAAAAAAAAA=" }],
      ["SHA1", { ChecksumSHA1: Buffer.alloc(20).toString("base64") }],
      ["SHA256", { ChecksumSHA256: Buffer.alloc(32).toString("base64") }],
    ];
    try {
      for (const [kind, checksum] of wrong) {
        const put = new PutObjectCommand({ Bucket: "backups", Key: `sum/${kind}`, Body: "what is sent", ...checksum });
        const err: unknown = await client.send(put).then(
          () => undefined,
          (refused: unknown) => refused,
        );
        expect(err, kind).to.be.instanceOf(Error);
        expect(storeFailure(err, "to be uploaded", kind).code, `${kind}: ${String(err)}`).to.equal("store-damaged");
      }
    } finally {
      client.destroy();
    }
    const bucket = new Bucket(wanted());
    expect([...(await bucket.objects("sum/")).keys()]).to.deep.equal([]);
    bucket.close();
  });

  for (const [hours, what] of [
    [3, "ahead"],
    [-3, "behind"],
  ] as const) {
    it(`18-4 a clock three hours ${what}: gone on with by the server's time; where that is not said, told`, async () => {
      const now = Date.now.bind(Date);
      Date.now = () => now() + hours * 3_600_000;
      try {
        const it = backup(9_000_000);
        expect((await storeOutcome(it, wanted())).outcome).to.have.property("at");
        await withRelay(async (relay, to) => {
          const mute = (text: string): string =>
            text.replace(/\nDate:/i, "\nEtad:").replaceAll("ServerTime>", "SomeOthers>");
          relay.change = (piece, way) =>
            way === "back" ? Buffer.from(mute(piece.toString("latin1")), "latin1") : piece;
          const { outcome } = await storeOutcome(backup(1000), to);
          expect(outcome).to.include({ code: "store-clock" });
        });
      } finally {
        Date.now = now;
      }
    });
  }

  it("18-4 what is there is not written over; credentials, bucket and KMS are told", async () => {
    const bucket = new Bucket(wanted());
    const put = (replace: boolean) => bucket.put("one", Buffer.from("x"), { size: 1, replace });
    await put(false);
    expect(await refusalOf(put(false))).to.include({ code: "store-foreign" });
    await put(true);
    bucket.close();
    const logBack = logIn({ AWS_SECRET_ACCESS_KEY: "wrong" });
    expect((await storeOutcome(backup(100), wanted())).outcome).to.include({ code: "store-credentials" });
    logBack();
    expect((await storeOutcome(backup(100), wanted({ to: "s3://elsewhere" }))).outcome).to.include({
      code: "store-missing",
    });
    // It takes the header and does nothing about it.
    expect((await storeOutcome(backup(100), wanted({ kmsKey: "alias/k" }))).outcome).to.include({
      code: "store-unencrypted",
    });
  });

  it("18-4 a bucket that keeps versions and locks them: its retention is told, and half an upload goes behind a delete marker", async () => {
    const client = new S3Client({ endpoint: server.endpoint, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: "locked", ObjectLockEnabledForBucket: true }));
    const ObjectLockConfiguration = {
      ObjectLockEnabled: "Enabled",
      Rule: { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } },
    } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: "locked", ObjectLockConfiguration }));
    client.destroy();
    const to = wanted({ to: "s3://locked/x" });
    const bucket = new Bucket(to);
    const mark = Buffer.from(JSON.stringify(owner));
    await bucket.put("half/owner.json", mark, { size: mark.length, replace: false });
    bucket.close();
    const it = backup(100);
    const { outcome, warned } = await storeOutcome(it, to);
    expect(outcome).to.include({ retention: "1 days (COMPLIANCE)" });
    expect((outcome as Stored).parts.filter(({ version }) => version === undefined)).to.deep.equal([]);
    expect(warned).to.deep.equal([]);
    expect((await listStored(to)).map(({ name, index }) => [name, index?.name])).to.deep.equal([[it.name, it.name]]);
    const { path } = await fetchBackup(to, it.name, { directory: join(folder, "of-versions") });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
  });

  it("18-4 the server's disk is full: told, and no backup is there", async function () {
    const small = join(folder, "small");
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", small], { stdio: "ignore" });
    } catch {
      skip(this, "a small file system can only be mounted by root");
    }
    const full = new Gateway(server.program, small);
    try {
      mkdirSync(join(small, "backups"));
      await full.start();
      const { outcome } = await storeOutcome(backup(30_000_000), wanted({ endpoint: full.endpoint }));
      expect(outcome).to.include({ code: "store-failed" });
      const there = await listStored(wanted({ endpoint: full.endpoint }));
      expect(there.filter(({ index }) => index)).to.deep.equal([]);
    } finally {
      await full.kill();
      execFileSync("umount", ["-l", small]);
    }
  });
});
