import type { Statement } from "../../../components/aws-policies";

/**
 * What the administrator needs of IAM to bring foundation/ up, by the type of each resource that it declares there; a
 * function's token is one too. From the AWS provider's own documentation and Amazon's; not tried, since the provider's plugin
 * was not at hand. tests/components/aws-docs.test.ts holds that no type is forgotten.
 */
export const administratorActions: Readonly<Record<string, readonly string[]>> = {
  "aws:cloudwatch/dashboard:Dashboard": [
    "cloudwatch:DeleteDashboards",
    "cloudwatch:GetDashboard",
    "cloudwatch:PutDashboard",
  ],
  "aws:cloudwatch/metricAlarm:MetricAlarm": [
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:ListTagsForResource",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:TagResource",
    // The deadlocks of an instance are asked of Performance Insights.
    "pi:GetResourceMetrics",
  ],
  "aws:iam/policy:Policy": [
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListPolicyVersions",
    "iam:TagPolicy",
  ],
  "aws:iam/rolePolicyAttachment:RolePolicyAttachment": [
    "iam:AttachRolePolicy",
    "iam:DetachRolePolicy",
    "iam:ListAttachedRolePolicies",
  ],
  "aws:index/getCallerIdentity:getCallerIdentity": ["sts:GetCallerIdentity"],
  "aws:kms/alias:Alias": ["kms:CreateAlias", "kms:ListAliases", "kms:UpdateAlias"],
  "aws:kms/key:Key": [
    "kms:CreateKey",
    "kms:DescribeKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    // Of the alarms' key alone: that of the backups is protected, and retained.
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UpdateKeyDescription",
  ],
  "aws:rds/getInstance:getInstance": ["rds:DescribeDBInstances", "rds:ListTagsForResource"],
  "aws:s3/bucket:Bucket": [
    "s3:CreateBucket",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLocation",
    "s3:GetBucketLogging",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketWebsite",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:PutBucketTagging",
  ],
  "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": [
    "s3:GetLifecycleConfiguration",
    "s3:PutLifecycleConfiguration",
  ],
  "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": [
    "s3:GetBucketObjectLockConfiguration",
    "s3:PutBucketObjectLockConfiguration",
  ],
  "aws:s3/bucketOwnershipControls:BucketOwnershipControls": [
    "s3:GetBucketOwnershipControls",
    "s3:PutBucketOwnershipControls",
  ],
  "aws:s3/bucketPolicy:BucketPolicy": ["s3:GetBucketPolicy", "s3:PutBucketPolicy"],
  "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": [
    "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketPublicAccessBlock",
  ],
  "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": [
    "s3:GetEncryptionConfiguration",
    "s3:PutEncryptionConfiguration",
  ],
  "aws:s3/bucketVersioning:BucketVersioning": ["s3:GetBucketVersioning", "s3:PutBucketVersioning"],
  "aws:sns/topic:Topic": [
    "sns:CreateTopic",
    "sns:DeleteTopic",
    "sns:GetTopicAttributes",
    "sns:ListTagsForResource",
    "sns:SetTopicAttributes",
    "sns:TagResource",
  ],
  "aws:sns/topicPolicy:TopicPolicy": ["sns:GetTopicAttributes", "sns:SetTopicAttributes"],
  "aws:sns/topicSubscription:TopicSubscription": [
    "sns:GetSubscriptionAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Subscribe",
    "sns:Unsubscribe",
  ],
};

/** Where the rights are narrowed to: names and ARNs, as IAM has them. */
export interface Where {
  readonly account: string;
  readonly bucket: string;
  /** The role that gets the right to upload. */
  readonly role: string;
}

/** Keys are known by the tag that the components give them. A new one's may not be known to KMS for minutes: not what makes it. */
const ofTaggedKeys = ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:UpdateKeyDescription"];
/**
 * By a tag somebody's key could be made one of these. An alias of another name keeps it from that, since no alias but our own can be
 * moved or deleted here; one that is made just now has none, and no tag, so that its ARN could not be named either (KMS, "Controlling
 * access to tags"; "kms:ResourceAliases").
 */
const noOther = { "ForAllValues:StringLike": { "kms:ResourceAliases": "alias/guardian-*" } };
const tagging = "kms:TagResource";
/** What changes or takes away what rings, by its name: of everything, it would be the right to silence an account. */
const ofNames = (account: string): Statement[] => [
  {
    Sid: "Alarms",
    Effect: "Allow",
    Action: ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"],
    Resource: `arn:aws:cloudwatch:*:${account}:alarm:guardian-*`,
  },
  {
    Sid: "Dashboards",
    Effect: "Allow",
    Action: ["cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard"],
    Resource: `arn:aws:cloudwatch::${account}:dashboard/guardian-*`,
  },
  {
    Sid: "Topics",
    Effect: "Allow",
    Action: ["sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource"],
    Resource: `arn:aws:sns:*:${account}:guardian-*`,
  },
];
const ofAliases = ["kms:CreateAlias", "kms:UpdateAlias"];
const ofAttaching = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"];

/**
 * The same actions, each on as little as it can be: Foundation has those that name nothing, or only look, or make what is new.
 * @returns every action of administratorActions; an alias's stand on the alias, and on its key with the others
 */
export function administratorStatements({ account, bucket, role }: Where): Statement[] {
  const all = [...new Set(Object.values(administratorActions).flat())].sort();
  const policies = `arn:aws:iam::${account}:policy/guardian-*`;
  const roleArn = `arn:aws:iam::${account}:role/${role}`;
  const looksAtRole = "iam:ListAttachedRolePolicies";
  const ofPolicies = all.filter((one) => one.startsWith("iam:") && ![...ofAttaching, looksAtRole].includes(one));
  const ofBucket = all.filter((one) => one.startsWith("s3:"));
  const narrowed = new Set([
    ...ofPolicies,
    ...ofAttaching,
    looksAtRole,
    ...ofBucket,
    ...ofTaggedKeys,
    ...ofAliases,
    ...ofNames(account).flatMap(({ Action }) => Action),
    tagging,
  ]);
  const allow = { Effect: "Allow" } as const;
  return [
    { Sid: "Foundation", ...allow, Action: all.filter((one) => !narrowed.has(one)), Resource: "*" },
    ...ofNames(account),
    { Sid: "Bucket", ...allow, Action: ofBucket, Resource: bucket },
    { Sid: "Policies", ...allow, Action: ofPolicies, Resource: policies },
    {
      Sid: "Attach",
      ...allow,
      Action: ofAttaching,
      Resource: roleArn,
      Condition: { ArnLike: { "iam:PolicyARN": policies } },
    },
    { Sid: "LookAtRole", ...allow, Action: looksAtRole, Resource: roleArn },
    {
      Sid: "Aliases",
      ...allow,
      Action: ofAliases,
      Resource: [`arn:aws:kms:*:${account}:alias/guardian-*`, `arn:aws:kms:*:${account}:key/*`],
    },
    {
      Sid: "Keys",
      ...allow,
      Action: ofTaggedKeys,
      Resource: `arn:aws:kms:*:${account}:key/*`,
      Condition: { StringLike: { "aws:ResourceTag/guardian:stack": "*" }, ...noOther },
    },
    {
      Sid: "TagKeys",
      ...allow,
      Action: tagging,
      Resource: "*",
      Condition: {
        StringLike: { "aws:RequestTag/guardian:stack": "*" },
        "ForAllValues:StringEquals": { "aws:TagKeys": "guardian:stack" },
        ...noOther,
      },
    },
  ];
}
