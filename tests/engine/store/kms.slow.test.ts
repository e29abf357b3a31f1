import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uploaderPolicy, type Statement } from "../../../components/aws-policies";
import { GuardianError } from "../../../engine/base/errors";
import { fetchBackup, listStored } from "../../../engine/store";
import { Bucket } from "../../../engine/store/bucket";
import type { WantedStore } from "../../../engine/store/wanted";
import { moto, Moto } from "../../support/moto";
import { skip } from "../../support/skip";
import { refusalOf } from "../module/harness";
import { logIn, makeBackup, owner, pictureOf, storeOutcome } from "./harness";

const bucket = "backups";

describe("backups off the machine, under keys of KMS and rights of IAM (moto)", function () {
  this.timeout(600_000);
  let folder = "";
  let server: Moto;
  let client: S3Client;
  let key = "";
  let recipient = "";
  /** What was begun, to be ended in reverse; nothing, where there is no server. */
  const begun: (() => unknown)[] = [];
  before(async function () {
    const python = await moto().catch((err: unknown) =>
      skip(this, `moto cannot be installed from PyPI: ${String(err)}`),
    );
    const age = await import("age-encryption");
    const secret = await age.generateX25519Identity();
    recipient = await age.identityToRecipient(secret);
    folder = mkdtempSync(join(tmpdir(), "guardian-moto-"));
    begun.push(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, "here"));
    server = new Moto(python);
    begun.push(() => server.kill());
    await server.start();
    begun.push(logIn({ ...server.credentials, TEST_IDENTITY: secret }));
    key = await server.makeKey();
    client = new S3Client({ endpoint: server.endpoint, forcePathStyle: true });
    begun.push(() => client.destroy());
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  });
  after(async () => {
    for (const end of begun.reverse()) await end();
  });

  const wanted = (more: Partial<WantedStore> = {}): WantedStore => {
    const to = { to: `s3://${bucket}/guardian`, recipients: [recipient], endpoint: server.endpoint };
    return { ...to, identityFrom: "env:TEST_IDENTITY", ...more };
  };
  let count = 0;
  const backup = (big?: number) => makeBackup(join(folder, "here"), `guardian-${++count}`, big);
  /** Which encryption, by which key, the server says of each object of a backup. */
  const encryptions = async (name: string): Promise<Record<string, string>> => {
    const under = await client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `guardian/${name}/` }));
    const said = (under.Versions ?? []).map(async ({ Key = "" }) => {
      const { ServerSideEncryption = "none", SSEKMSKeyId = "" } = await client.send(
        new HeadObjectCommand({ Bucket: bucket, Key }),
      );
      return [Key.replace(`guardian/${name}/`, ""), `${ServerSideEncryption} ${SSEKMSKeyId}`] as const;
    });
    return Object.fromEntries(await Promise.all(said));
  };
  const objects = ["owner.json", "index.json", "manifest.json.age", "roles.sql.age"];
  const dumped = ["toc.dat", "3001.dat.gz", "3002.dat.gz", "blobs.toc"].map((name) => `dump/${name}.age`);

  it("18-4 each object of a backup, whole or in parts, lies under the key of KMS that is named, and comes back", async () => {
    const it = backup(20_000_000);
    const { outcome, warned } = await storeOutcome(it, wanted({ kmsKey: key }));
    expect(outcome).to.have.property("at", `s3://${bucket}/guardian/${it.name}`);
    expect(warned).to.deep.equal([]);
    const said = await encryptions(it.name);
    expect(Object.keys(said)).to.have.members([...objects, ...dumped]);
    for (const [object, encryption] of Object.entries(said)) expect(encryption, object).to.equal(`aws:kms ${key}`);
    const { path } = await fetchBackup(wanted(), it.name, { directory: join(folder, "back") });
    expect(pictureOf(path)).to.deep.equal(pictureOf(it.path));
  });

  it("18-4 a bucket that encrypts by a key of its own does so without guardian:backup.kmsKey", async () => {
    const own = await server.makeKey();
    const rule = { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "aws:kms" as const, KMSMasterKeyID: own } };
    const ServerSideEncryptionConfiguration = { Rules: [rule] };
    await client.send(new PutBucketEncryptionCommand({ Bucket: bucket, ServerSideEncryptionConfiguration }));
    const it = backup(1000);
    const { outcome } = await storeOutcome(it, wanted());
    expect(outcome).to.have.property("at");
    const said = await encryptions(it.name);
    for (const [object, encryption] of Object.entries(said)) expect(encryption, object).to.equal(`aws:kms ${own}`);
  });

  it("18-5 the uploader's policy is enough for all that the product does with the store, and each of its rights is needed", async () => {
    const arn = `arn:aws:s3:::${bucket}`;
    const policy = uploaderPolicy({ bucket: arn, key, region: "us-east-1" });
    const VersioningConfiguration = { Status: "Enabled" as const };
    await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    const user = await server.makeUser("uploader", policy);
    /** All that the product does: goes on with what was killed, sweeps, stores, reads back, lists, fetches. */
    const everything = async (): Promise<string> => {
      const half = new Bucket(wanted());
      const mark = Buffer.from(JSON.stringify(owner));
      const left = `half-${++count}`;
      await half.put(`${left}/owner.json`, mark, { size: mark.length, replace: false });
      half.close();
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: `guardian/${left}/dump/toc.dat.age` }));
      await server.enforce(true);
      const logBack = logIn(user);
      try {
        const it = backup(9_000_000);
        const { outcome, warned } = await storeOutcome(it, wanted());
        if (outcome instanceof Error) return outcome instanceof GuardianError ? outcome.code : String(outcome);
        const stored = await listStored(wanted());
        if (stored.some(({ name }) => name === left)) return warned.join();
        await fetchBackup(wanted(), it.name, { directory: join(folder, `back-${count}`) });
        return "done";
      } catch (err) {
        return err instanceof GuardianError ? err.code : String(err);
      } finally {
        logBack();
        await server.enforce(false);
      }
    };
    expect(await everything()).to.equal("done");

    const { Statement: statements, ...rest } = JSON.parse(policy) as { Statement: Statement[] };
    const without = (action: string): string => {
      const left = statements.map((one) => ({ ...one, Action: [one.Action].flat().filter((it) => it !== action) }));
      return JSON.stringify({ ...rest, Statement: left });
    };
    const came: Record<string, string> = {};
    for (const action of statements.flatMap(({ Action }) => Action)) {
      await server.allow("uploader", without(action));
      came[action] = await everything();
    }
    const idle = Object.keys(came).filter((action) => came[action] === "done");
    // The retention is only told. This server uses no key of KMS, and asks for none.
    expect(idle).to.deep.equal(["s3:GetBucketObjectLockConfiguration", "kms:Decrypt", "kms:GenerateDataKey"]);

    await server.allow("uploader", policy);
    const [version] = (await client.send(new ListObjectVersionsCommand({ Bucket: bucket }))).Versions ?? [];
    const one = { Bucket: bucket, Key: version?.Key ?? "", VersionId: version?.VersionId };
    await server.enforce(true);
    const logBack = logIn(user);
    const its = new S3Client({ endpoint: server.endpoint, forcePathStyle: true });
    try {
      const tried = [
        () => its.send(new DeleteObjectCommand(one)),
        () => its.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: "{}" })),
        () => its.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration })),
        () => its.send(new DeleteBucketCommand({ Bucket: bucket })),
      ];
      for (const attempt of tried) {
        const said: unknown = await attempt().catch((err: unknown) => err);
        expect(said, String(attempt)).to.include({ name: "AccessDenied" });
      }
      const refused = await refusalOf(new Bucket(wanted({ to: "s3://elsewhere" })).folders());
      expect(refused.code).to.equal("store-denied");
    } finally {
      its.destroy();
      logBack();
      await server.enforce(false);
    }
  });
});
