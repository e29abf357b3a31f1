import { expect } from "chai";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AwsBackupStore, type AwsBackupStoreArgs } from "../../components/aws-backup-store";
import { uploaderCalls } from "../../components/aws-policies";
import { declared, type DeclaredResource } from "../support/declared";
import { skip } from "../support/skip";
import { root } from "../support/stack";

const arns: Record<string, string> = {
  "aws:kms/key:Key": "arn:aws:kms:eu-central-1:123456789012:key/k-1",
  "aws:iam/policy:Policy": "arn:aws:iam::123456789012:policy/p-1",
};

const store = (args: AwsBackupStoreArgs) =>
  declared(
    args.stack,
    {
      outputs: ({ type, inputs }) => ({
        arn: arns[type] ?? `arn:aws:s3:::${String(inputs["bucket"])}`,
        keyId: "k-1",
        region: "eu-central-1",
      }),
      call: () => ({ arn: "arn:aws:sts::123456789012:assumed-role/admin/x", accountId: "123456789012" }),
    },
    () => new AwsBackupStore("backups", args),
  );

const component = "guardian:aws:BackupStore backups";
const after = (...others: string[]): string[] => ["aws:s3/bucket:Bucket backups", ...others].sort();
const kept = (...dependsOn: string[]): DeclaredResource["options"] => ({
  parent: component,
  protect: true,
  retainOnDelete: true,
  ...(dependsOn.length > 0 ? { dependsOn } : {}),
});
const policy = (...Statement: unknown[]): string => JSON.stringify({ Version: "2012-10-17", Statement });

/** Everything of a store without object lock and without a role, whole. */
function whole(stack: string, bucket: string): DeclaredResource[] {
  const tags = { "guardian:stack": stack };
  const key = "arn:aws:kms:eu-central-1:123456789012:key/k-1";
  const arn = `arn:aws:s3:::${bucket}`;
  const anything = { Effect: "Deny", Principal: "*", Action: "s3:*", Resource: [arn, `${arn}/*`] };
  const put = { Effect: "Deny", Principal: "*", Action: "s3:PutObject", Resource: `${arn}/*` };
  const sse = "s3:x-amz-server-side-encryption";
  return [
    { type: "guardian:aws:BackupStore", name: "backups", inputs: {}, options: {} },
    {
      type: "aws:kms/key:Key",
      name: "backups",
      inputs: {
        description: `Backups of Guardian ${stack}`,
        enableKeyRotation: true,
        rotationPeriodInDays: 365,
        deletionWindowInDays: 30,
        policy: policy({
          Sid: "ByPoliciesOfThisAccount",
          Effect: "Allow",
          Principal: { AWS: "arn:aws:iam::123456789012:root" },
          Action: "kms:*",
          Resource: "*",
        }),
        tags,
      },
      options: kept(),
    },
    {
      type: "aws:kms/alias:Alias",
      name: "backups",
      inputs: { name: `alias/guardian-${stack}-backups`, targetKeyId: "k-1" },
      options: kept("aws:kms/key:Key backups"),
    },
    { type: "aws:s3/bucket:Bucket", name: "backups", inputs: { bucket, forceDestroy: false, tags }, options: kept() },
    {
      type: "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
      name: "backups",
      inputs: {
        bucket,
        blockPublicAcls: true,
        blockPublicPolicy: true,
        ignorePublicAcls: true,
        restrictPublicBuckets: true,
      },
      options: kept(...after()),
    },
    {
      type: "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
      name: "backups",
      inputs: { bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
      options: kept(...after("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock backups")),
    },
    {
      type: "aws:s3/bucketPolicy:BucketPolicy",
      name: "backups",
      inputs: {
        bucket,
        policy: JSON.stringify({
          Version: "2012-10-17",
          Statement: [
            { ...anything, Sid: "OnlyTls", Condition: { Bool: { "aws:SecureTransport": "false" } } },
            { ...anything, Sid: "OnlyTls12", Condition: { NumericLessThan: { "s3:TlsVersion": "1.2" } } },
            {
              ...put,
              Sid: "OnlyKms",
              Condition: { StringNotEquals: { [sse]: "aws:kms" }, Null: { [sse]: "false" } },
            },
            {
              ...put,
              Sid: "OnlyOurKey",
              Condition: {
                StringNotEquals: { [`${sse}-aws-kms-key-id`]: key },
                Null: { [`${sse}-aws-kms-key-id`]: "false" },
              },
            },
            {
              ...put,
              Sid: "NoKeyOfAmazon",
              Condition: { StringEquals: { [sse]: "aws:kms" }, Null: { [`${sse}-aws-kms-key-id`]: "true" } },
            },
            { ...put, Sid: "NoKeyOfTheCaller", Condition: { Null: { [`${sse}-customer-algorithm`]: "false" } } },
          ],
        }),
      },
      options: kept(
        ...after("aws:kms/key:Key backups", "aws:s3/bucketOwnershipControls:BucketOwnershipControls backups"),
      ),
    },
    {
      type: "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
      name: "backups",
      inputs: {
        bucket,
        rules: [
          {
            applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: key },
            bucketKeyEnabled: true,
          },
        ],
      },
      options: kept(...after("aws:kms/key:Key backups")),
    },
    {
      type: "aws:s3/bucketVersioning:BucketVersioning",
      name: "backups",
      inputs: { bucket, versioningConfiguration: { status: "Enabled" } },
      options: kept(...after()),
    },
    {
      type: "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
      name: "backups",
      inputs: {
        bucket,
        rules: [
          {
            id: "unfinished-uploads",
            status: "Enabled",
            filter: { prefix: "" },
            abortIncompleteMultipartUpload: { daysAfterInitiation: 2 },
          },
          {
            id: "old-versions",
            status: "Enabled",
            filter: { prefix: "" },
            noncurrentVersionExpiration: { noncurrentDays: 90 },
            expiration: { expiredObjectDeleteMarker: true },
          },
        ],
      },
      options: kept(...after("aws:s3/bucketVersioning:BucketVersioning backups")),
    },
    {
      type: "aws:iam/policy:Policy",
      name: "backups",
      inputs: {
        name: `guardian-${stack}-backup-uploader`,
        description: `Uploads backups of Guardian ${stack}, and reads them back`,
        policy: policy(
          {
            Sid: "Bucket",
            Effect: "Allow",
            Action: ["s3:GetBucketObjectLockConfiguration", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            Resource: arn,
            Condition: { StringEquals: { "aws:ResourceAccount": "123456789012" } },
          },
          {
            Sid: "Objects",
            Effect: "Allow",
            Action: [
              "s3:AbortMultipartUpload",
              "s3:DeleteObject",
              "s3:GetObject",
              "s3:GetObjectVersion",
              "s3:PutObject",
            ],
            Resource: `${arn}/*`,
            Condition: { StringEquals: { "aws:ResourceAccount": "123456789012" } },
          },
          {
            Sid: "KeyThroughS3",
            Effect: "Allow",
            Action: ["kms:Decrypt", "kms:GenerateDataKey"],
            Resource: key,
            Condition: { StringLike: { "kms:ViaService": "s3.eu-central-1.amazonaws.*" } },
          },
        ),
        tags,
      },
      options: { parent: component, dependsOn: after("aws:kms/key:Key backups").sort() },
    },
  ];
}

const byType = (a: DeclaredResource, b: DeclaredResource): number => (a.type < b.type ? -1 : 1);

/** What a resource's condition and policies say, in one order of keys. */
const parsed = (resources: DeclaredResource[]): unknown[] =>
  resources.toSorted(byType).map(({ inputs, ...others }) => {
    const text = inputs["policy"];
    return {
      ...others,
      inputs: { ...inputs, ...(typeof text === "string" ? { policy: JSON.parse(text) as unknown } : {}) },
    };
  });

describe("components: the store for backups in AWS", function () {
  this.timeout(120_000);

  for (const stack of ["staging", "prod"]) {
    it(`18-5 ${stack}: every input, option and dependency`, async () => {
      const { resources } = await store({ stack, bucket: `guardian-backups-${stack}` });
      expect(parsed(resources)).to.deep.equal(parsed(whole(stack, `guardian-backups-${stack}`)));
    });
  }

  it("18-5 with an object lock and a role, two more", async () => {
    const bucket = "guardian-backups-prod";
    const { resources } = await store({ stack: "prod", bucket, objectLockDays: 30, migrationRole: "migration" });
    const known = new Set(whole("prod", bucket).map(({ type }) => type));
    expect(resources.filter(({ type }) => !known.has(type)).toSorted(byType)).to.deep.equal([
      {
        type: "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        name: "backups",
        inputs: { role: "migration", policyArn: "arn:aws:iam::123456789012:policy/p-1" },
        options: { parent: component, dependsOn: ["aws:iam/policy:Policy backups"] },
      },
      {
        type: "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        name: "backups",
        inputs: { bucket, rule: { defaultRetention: { mode: "GOVERNANCE", days: 30 } } },
        secretOutputs: ["token"],
        options: kept(...after("aws:s3/bucketVersioning:BucketVersioning backups")),
      },
    ]);
    const lifecycle = resources.find(({ type }) => type.endsWith(":BucketLifecycleConfiguration"));
    expect(lifecycle?.inputs["rules"]).to.have.nested.property("[1].noncurrentVersionExpiration.noncurrentDays", 120);
  });

  it("18-5 a destroy takes away nothing that holds or guards backups: all but the uploader's right is protected and retained", async () => {
    const args = { stack: "prod", bucket: "guardian-backups", objectLockDays: 30, migrationRole: "migration" };
    const { resources } = await store(args);
    const loose = resources.filter(({ options }) => options.protect !== true || options.retainOnDelete !== true);
    expect(loose.map(({ type }) => type).sort()).to.deep.equal([
      "aws:iam/policy:Policy",
      "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
      "guardian:aws:BackupStore",
    ]);
    expect(resources.find(({ type }) => type === "aws:s3/bucket:Bucket")?.inputs["forceDestroy"]).to.equal(false);
  });

  it("18-5 the uploader's policy grants the calls of S3 that the code makes, none more and none less", function () {
    const folder = join(root, "engine", "store");
    if (!existsSync(folder)) return skip(this, "engine/store, which uploads, is not there");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    const code = files.map((file) => readFileSync(join(folder, file), "utf8")).join("\n");
    const imports = [...code.matchAll(/import \{([^}]*)\} from "@aws-sdk\/client-s3"/g)].map(([, names = ""]) => names);
    const called = new Set(imports.join().match(/\b[A-Z]\w+Command\b/g));
    // What Upload of lib-storage sends by itself.
    const upload = [
      "AbortMultipartUpload",
      "CompleteMultipartUpload",
      "CreateMultipartUpload",
      "PutObject",
      "UploadPart",
    ];
    if (code.includes('from "@aws-sdk/lib-storage"')) for (const name of upload) called.add(`${name}Command`);
    expect([...called].sort()).to.deep.equal(Object.keys(uploaderCalls).sort());
  });
});
