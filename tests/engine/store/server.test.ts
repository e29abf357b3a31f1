import { CreateBucketCommand, PutObjectLockConfigurationCommand, S3Client } from "@aws-sdk/client-s3";
import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchBackup, listStored, storeBackup } from "../../../engine/store";
import { Bucket } from "../../../engine/store/bucket";
import type { StoredPart } from "../../../engine/store/contents";
import type { Stored } from "../../../engine/store/storing";
import type { Owner, WantedStore } from "../../../engine/store/wanted";
import { skip } from "../../support/skip";
import { Gateway, versitygw } from "../../support/versitygw";
import { refusalOf } from "../module/harness";
import { logIn, makeBackup, pictureOf } from "./harness";

const owner: Owner = { ledgerId: "6f1b5f0e-0000-4000-8000-000000000001", systemIdentifier: "7", database: "guardian" };

describe("backups off the machine, on a real server (versitygw)", function () {
  this.timeout(600_000);
  let folder = "";
  let server: Gateway;
  let recipient = "";
  let logOut = (): void => undefined;
  before(async function () {
    const program = await versitygw().catch((err: unknown) => skip(this, `versitygw cannot be built: ${String(err)}`));
    const age = await import("age-encryption");
    const secret = await age.generateX25519Identity();
    recipient = await age.identityToRecipient(secret);
    folder = mkdtempSync(join(tmpdir(), "guardian-versitygw-"));
    for (const one of ["buckets/backups", "versions", "here", "small"])
      mkdirSync(join(folder, one), { recursive: true });
    server = new Gateway(program, join(folder, "buckets"), join(folder, "versions"));
    await server.start();
    logOut = logIn({ ...server.credentials, TEST_IDENTITY: secret });
  });
  after(async () => {
    logOut();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
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
  const store = async (
    it: ReturnType<typeof backup>,
    to: WantedStore,
    known: readonly StoredPart[] = [],
    onBytes: (bytes: number) => void = () => undefined,
  ) => {
    const warned: string[] = [];
    let kept: readonly StoredPart[] = known;
    const note = (parts: readonly StoredPart[]): Promise<void> => Promise.resolve(void (kept = [...parts]));
    const onProgress = ({ bytes }: { bytes: number }): void => onBytes(bytes);
    const options = { owner, known, note, onProgress, onWarning: (line: string): void => void warned.push(line) };
    const outcome = await storeBackup(it, to, options).catch((err: unknown) => err);
    return { outcome, warned, kept };
  };

  it("18-4 stores and brings back a backup of many parts", async () => {
    const it = backup(60_000_000);
    const { outcome } = await store(it, wanted());
    expect(outcome).to.have.property("at", `s3://backups/guardian/${it.name}`);
    const { path } = await fetchBackup(wanted(), it.name, { directory: join(folder, "back") });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
  });

  it("18-4 the server is killed in the midst of an upload: no backup there; the next run ends it, and nothing of it is left", async () => {
    const it = backup(120_000_000);
    let killed: Promise<void> | undefined;
    const first = await store(it, wanted(), [], (bytes) => {
      if (bytes > 20_000_000) killed ??= server.kill();
    });
    expect(killed, "killed in the midst").to.not.equal(undefined);
    await killed;
    expect(first.outcome).to.include({ code: "store-unreachable" });
    await server.start();
    expect((await listStored(wanted())).find(({ name }) => name === it.name)?.index).to.equal(undefined);
    const { outcome } = await store(it, wanted(), first.kept);
    expect(outcome).to.have.property("at");
    const bucket = new Bucket(wanted());
    expect(await bucket.openUploads("")).to.deep.equal([]);
    bucket.close();
  });

  it("18-4 what is there is not written over; credentials, bucket and KMS are told", async () => {
    const bucket = new Bucket(wanted());
    const put = (replace: boolean) => bucket.put("one", Buffer.from("x"), { size: 1, replace });
    await put(false);
    expect(await refusalOf(put(false))).to.include({ code: "store-foreign" });
    await put(true);
    bucket.close();
    const logBack = logIn({ AWS_SECRET_ACCESS_KEY: "wrong" });
    expect((await store(backup(100), wanted())).outcome).to.include({ code: "store-credentials" });
    logBack();
    expect((await store(backup(100), wanted({ to: "s3://elsewhere" }))).outcome).to.include({ code: "store-missing" });
    // It takes the header and does nothing about it.
    expect((await store(backup(100), wanted({ kmsKey: "alias/k" }))).outcome).to.include({ code: "store-unencrypted" });
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
    const { outcome, warned } = await store(it, to);
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
      const { outcome } = await store(backup(30_000_000), wanted({ endpoint: full.endpoint }));
      expect(outcome).to.include({ code: "store-failed" });
      const there = await listStored(wanted({ endpoint: full.endpoint }));
      expect(there.filter(({ index }) => index)).to.deep.equal([]);
    } finally {
      await full.kill();
      execFileSync("umount", ["-l", small]);
    }
  });
});
