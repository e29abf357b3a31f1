import { createHash } from "node:crypto";

/** A statement of a policy of IAM, as AWS spells it. */
export interface Statement {
  readonly Sid: string;
  readonly Effect: "Allow" | "Deny";
  readonly Principal?: "*" | { readonly AWS: string } | { readonly Service: string };
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** A policy's text. */
export const policyText = (statements: readonly Statement[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements });

/** Where a call of S3 is granted: on the bucket, or on what is in it. */
type Place = "bucket" | "object";

/**
 * What a call of S3 needs, by the class of @aws-sdk/client-s3 (Amazon S3, "Required permissions for S3 API operations"). A
 * test compares these names with those that engine/store imports: a call that is not here is refused in production only.
 */
export const uploaderCalls = {
  AbortMultipartUploadCommand: ["object", "s3:AbortMultipartUpload"],
  CompleteMultipartUploadCommand: ["object", "s3:PutObject"],
  CreateMultipartUploadCommand: ["object", "s3:PutObject"],
  // Of what a killed run left unfinished; without s3:DeleteObjectVersion the version itself stays.
  DeleteObjectCommand: ["object", "s3:DeleteObject"],
  GetObjectCommand: ["object", "s3:GetObject", "s3:GetObjectVersion"],
  GetObjectLockConfigurationCommand: ["bucket", "s3:GetBucketObjectLockConfiguration"],
  ListMultipartUploadsCommand: ["bucket", "s3:ListBucketMultipartUploads"],
  ListObjectsV2Command: ["bucket", "s3:ListBucket"],
  PutObjectCommand: ["object", "s3:PutObject"],
  UploadPartCommand: ["object", "s3:PutObject"],
} as const satisfies Record<string, readonly [Place, ...string[]]>;

/** A bucket and its key, by ARN; the region they are in. */
export interface Store {
  readonly bucket: string;
  readonly key: string;
  readonly region: string;
}

/**
 * What the migration may do with the bucket for backups: put there, read back, sweep its own. It may take no version away
 * (what it deletes is an old version, which goes with its days), and change nothing of bucket and key. Parts of an upload under SSE-KMS need kms:Decrypt besides (Amazon
 * S3, "Uploading and copying objects using multipart upload", "Multipart upload API and permissions").
 */
export function uploaderPolicy({ bucket, key, region }: Store): string {
  const actions = (place: Place): string[] => {
    const all = Object.values(uploaderCalls).flatMap(([where, ...needed]) => (where === place ? needed : []));
    return [...new Set(all)].sort();
  };
  // A bucket's ARN names no account: of one that is deleted, anybody may take the name, and would be sent the backups.
  const Condition = { StringEquals: { "aws:ResourceAccount": key.split(":")[4] ?? "" } };
  return policyText([
    { Sid: "Bucket", Effect: "Allow", Action: actions("bucket"), Resource: bucket, Condition },
    { Sid: "Objects", Effect: "Allow", Action: actions("object"), Resource: `${bucket}/*`, Condition },
    {
      Sid: "KeyThroughS3",
      Effect: "Allow",
      Action: ["kms:Decrypt", "kms:GenerateDataKey"],
      Resource: key,
      // .com, in China .com.cn, in the European Sovereign Cloud .eu.
      Condition: { StringLike: { "kms:ViaService": `s3.${region}.amazonaws.*` } },
    },
  ]);
}

/** What a bucket refuses to everybody, its owner included. */
export function bucketPolicy({ bucket, key }: Omit<Store, "region">): string {
  const all = { Effect: "Deny", Principal: "*" } as const;
  const anything = { ...all, Action: "s3:*", Resource: [bucket, `${bucket}/*`] };
  const put = { ...all, Action: "s3:PutObject", Resource: `${bucket}/*` };
  const sse = "s3:x-amz-server-side-encryption";
  const sseKey = `${sse}-aws-kms-key-id`;
  return policyText([
    { ...anything, Sid: "OnlyTls", Condition: { Bool: { "aws:SecureTransport": "false" } } },
    { ...anything, Sid: "OnlyTls12", Condition: { NumericLessThan: { "s3:TlsVersion": "1.2" } } },
    // Without these headers the bucket's own key is taken. A negated operator is true of a header that is not there, with
    // IfExists too (IAM, "String condition operators"): only Null lets such an upload through.
    { ...put, Sid: "OnlyKms", Condition: { StringNotEquals: { [sse]: "aws:kms" }, Null: { [sse]: "false" } } },
    { ...put, Sid: "OnlyOurKey", Condition: { StringNotEquals: { [sseKey]: key }, Null: { [sseKey]: "false" } } },
    // aws:kms and no key is Amazon's own key, of which nobody here decides who may use it.
    { ...put, Sid: "NoKeyOfAmazon", Condition: { StringEquals: { [sse]: "aws:kms" }, Null: { [sseKey]: "true" } } },
    // A key that only the caller has: it has none of the headers above, and nobody else could read the backup.
    { ...put, Sid: "NoKeyOfTheCaller", Condition: { Null: { [`${sse}-customer-algorithm`]: "false" } } },
  ]);
}

/** The account as it stands in a policy. */
export interface Account {
  /** "aws", in China "aws-cn". */
  readonly partition: string;
  readonly accountId: string;
}

/** Who may use a key is said by the account's own policies of IAM. */
const byAccount = ({ partition, accountId }: Account): Statement => ({
  Sid: "ByPoliciesOfThisAccount",
  Effect: "Allow",
  Principal: { AWS: `arn:${partition}:iam::${accountId}:root` },
  Action: "kms:*",
  Resource: "*",
});

/** The policy of the key for backups: no other account, and no service by itself. */
export const backupKeyPolicy = (account: Account): string => policyText([byAccount(account)]);

/** The policy of the key for alarms: CloudWatch cannot publish to a topic under Amazon's own key for SNS. */
export const alarmKeyPolicy = (account: Account): string =>
  policyText([
    byAccount(account),
    {
      Sid: "AlarmsOfThisAccount",
      Effect: "Allow",
      Principal: { Service: "cloudwatch.amazonaws.com" },
      Action: ["kms:Decrypt", "kms:GenerateDataKey*"],
      Resource: "*",
      Condition: { StringEquals: { "aws:SourceAccount": account.accountId } },
    },
  ]);

/** Who may publish to a topic: alarms of this account, by TLS. */
export const topicPolicy = (topic: string, { accountId }: Account): string =>
  policyText([
    {
      Sid: "AlarmsOfThisAccount",
      Effect: "Allow",
      Principal: { Service: "cloudwatch.amazonaws.com" },
      Action: "sns:Publish",
      Resource: topic,
      Condition: { StringEquals: { "aws:SourceAccount": accountId } },
    },
    {
      Sid: "OnlyTls",
      Effect: "Deny",
      Principal: "*",
      Action: "sns:Publish",
      Resource: topic,
      Condition: { Bool: { "aws:SecureTransport": "false" } },
    },
  ]);

/**
 * The name of a stack as all of AWS's names take it: aliases of KMS, topics and dashboards have no dot, which a stack's may have. Where
 * one is replaced a hash is added: `prod.eu` and `prod-eu` would else share a topic, which SNS makes but once.
 * @param stack at most 100 characters (Pulumi), of which a policy of IAM, the shortest, takes all
 */
export function nameOf(stack: string): string {
  const plain = stack.replace(/[^A-Za-z0-9_-]/g, "-");
  return plain === stack
    ? stack
    : `${plain.slice(0, 90)}-${createHash("sha256").update(stack).digest("hex").slice(0, 8)}`;
}

/**
 * An identifier that RDS takes, of at most 63 characters, as cluster snapshots must be ("CreateDBClusterSnapshot"): letters,
 * digits and single hyphens, a letter first.
 * @param stack the stack's name, of which 20 characters are kept
 * @param covers what the backup says that it covers: `<hash>-<time>`
 * @param target the instance or cluster: another one of the same stack has snapshots of its own
 */
export function snapshotIdentifier(stack: string, covers: string, target: string): string {
  const plain = stack
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 20);
  const whose = createHash("sha256").update(target).digest("hex").slice(0, 4);
  return `guardian-${plain}-${covers}-${whose}`.replace(/-{2,}/g, "-");
}

/**
 * What the migration's own stack may do in RDS: take a snapshot and look at it. It may delete none: Pulumi never does, and
 * nobody else may by these credentials.
 * @param database ARN of the instance or cluster
 * @param snapshots ARN of the snapshots that are named after the stack
 */
export function snapshotPolicy(kind: "instance" | "cluster", database: string, snapshots: string): string {
  const of = kind === "instance" ? "DB" : "DBCluster";
  // With whom it is shared: the provider's read of a snapshot asks that too.
  const look = [`rds:Describe${of}SnapshotAttributes`, `rds:Describe${of}Snapshots`, "rds:ListTagsForResource"];
  return policyText([
    { Sid: "Take", Effect: "Allow", Action: `rds:Create${of}Snapshot`, Resource: [database, snapshots] },
    { Sid: "Tag", Effect: "Allow", Action: "rds:AddTagsToResource", Resource: snapshots },
    { Sid: "Look", Effect: "Allow", Action: look, Resource: "*" },
  ]);
}
