import * as pulumi from "@pulumi/pulumi";
import { Policy } from "@pulumi/aws/iam/policy";
import { RolePolicyAttachment } from "@pulumi/aws/iam/rolePolicyAttachment";
import { Alias } from "@pulumi/aws/kms/alias";
import { Key } from "@pulumi/aws/kms/key";
import { Bucket } from "@pulumi/aws/s3/bucket";
import { BucketLifecycleConfiguration } from "@pulumi/aws/s3/bucketLifecycleConfiguration";
import { BucketObjectLockConfiguration } from "@pulumi/aws/s3/bucketObjectLockConfiguration";
import { BucketOwnershipControls } from "@pulumi/aws/s3/bucketOwnershipControls";
import { BucketPolicy } from "@pulumi/aws/s3/bucketPolicy";
import { BucketPublicAccessBlock } from "@pulumi/aws/s3/bucketPublicAccessBlock";
import { BucketServerSideEncryptionConfiguration } from "@pulumi/aws/s3/bucketServerSideEncryptionConfiguration";
import { BucketVersioning } from "@pulumi/aws/s3/bucketVersioning";
import { thisAccount } from "./aws-account";
import { backupKeyPolicy, bucketPolicy, nameOf, uploaderPolicy, type Store } from "./aws-policies";

/** Days after which an upload that nobody finished is gone: the next run sweeps its own before. */
const unfinishedDays = 2;
/** Days that a version is kept which somebody wrote over or deleted: all there is to notice it, so they begin after the lock. */
const oldVersionDays = 90;

export interface AwsBackupStoreArgs {
  /** The stack's name, in names and tags. */
  readonly stack: string;
  /** The bucket's name. */
  readonly bucket: string;
  /** For how many days S3 refuses to delete a version (governance mode); absent: no object lock. */
  readonly objectLockDays?: number | undefined;
  /** The role of IAM that runs the migration, which gets the right to upload; absent: the policy is there to be attached. */
  readonly migrationRole?: string | undefined;
}

/**
 * Where backups go when they leave the machine: a private bucket under a key of its own, and what the migration may do
 * there. Key, bucket and all that guards them outlive the stack: a destroy refuses to touch them and names them, and what
 * is taken out of the program stays in AWS.
 */
export class AwsBackupStore extends pulumi.ComponentResource {
  /** The bucket's name. */
  readonly bucket: pulumi.Output<string>;
  /** The key's ARN. */
  readonly keyArn: pulumi.Output<string>;
  /** ARN of the policy for who uploads. */
  readonly uploaderPolicyArn: pulumi.Output<string>;

  constructor(name: string, args: AwsBackupStoreArgs, options?: pulumi.ComponentResourceOptions) {
    super("guardian:aws:BackupStore", name, {}, options);
    const { stack, objectLockDays, migrationRole } = args;
    const tags = { "guardian:stack": stack };
    const kept = { parent: this, protect: true, retainOnDelete: true };

    const key = new Key(
      name,
      {
        description: `Backups of Guardian ${stack}`,
        enableKeyRotation: true,
        rotationPeriodInDays: 365,
        deletionWindowInDays: 30,
        policy: thisAccount({ parent: this }).apply(backupKeyPolicy),
        tags,
      },
      kept,
    );
    new Alias(name, { name: `alias/guardian-${nameOf(stack)}-backups`, targetKeyId: key.keyId }, kept);

    const bucket = new Bucket(name, { bucket: args.bucket, forceDestroy: false, tags }, kept);
    const of = { bucket: bucket.bucket };
    const open = new BucketPublicAccessBlock(
      name,
      { ...of, blockPublicAcls: true, blockPublicPolicy: true, ignorePublicAcls: true, restrictPublicBuckets: true },
      kept,
    );
    // S3 refuses two changes of one bucket's access at a time.
    const owned = new BucketOwnershipControls(
      name,
      { ...of, rule: { objectOwnership: "BucketOwnerEnforced" } },
      { ...kept, dependsOn: [open] },
    );
    const arns = pulumi
      .all([bucket.arn, key.arn, bucket.region])
      .apply(([of, by, region]): Store => ({ bucket: of, key: by, region }));
    new BucketPolicy(name, { ...of, policy: arns.apply(bucketPolicy) }, { ...kept, dependsOn: [owned] });
    new BucketServerSideEncryptionConfiguration(
      name,
      {
        ...of,
        rules: [
          {
            applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: key.arn },
            bucketKeyEnabled: true,
          },
        ],
      },
      kept,
    );
    const versions = new BucketVersioning(name, { ...of, versioningConfiguration: { status: "Enabled" } }, kept);
    const versioned = { ...kept, dependsOn: [versions] };
    new BucketLifecycleConfiguration(name, { ...of, rules: lifecycle(objectLockDays) }, versioned);
    if (objectLockDays !== undefined) {
      const defaultRetention = { mode: "GOVERNANCE", days: objectLockDays };
      new BucketObjectLockConfiguration(name, { ...of, rule: { defaultRetention } }, versioned);
    }

    // A right, and nothing that holds data: it goes with the stack.
    const mine = { parent: this };
    const uploader = new Policy(
      name,
      {
        name: `guardian-${nameOf(stack)}-backup-uploader`,
        description: `Uploads backups of Guardian ${stack}, and reads them back`,
        policy: arns.apply(uploaderPolicy),
        tags,
      },
      mine,
    );
    if (migrationRole !== undefined) {
      new RolePolicyAttachment(name, { role: migrationRole, policyArn: uploader.arn }, mine);
    }

    this.bucket = bucket.bucket;
    this.keyArn = key.arn;
    this.uploaderPolicyArn = uploader.arn;
    this.registerOutputs({ bucket: this.bucket, keyArn: this.keyArn, uploaderPolicyArn: this.uploaderPolicyArn });
  }
}

/** No backup goes by itself: only what was never finished, and what somebody wrote over or deleted long ago. */
const lifecycle = (objectLockDays = 0) => [
  {
    id: "unfinished-uploads",
    status: "Enabled",
    filter: { prefix: "" },
    abortIncompleteMultipartUpload: { daysAfterInitiation: unfinishedDays },
  },
  {
    id: "old-versions",
    status: "Enabled",
    filter: { prefix: "" },
    noncurrentVersionExpiration: { noncurrentDays: objectLockDays + oldVersionDays },
    expiration: { expiredObjectDeleteMarker: true },
  },
];
