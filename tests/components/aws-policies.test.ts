import { expect } from "chai";
import { bucketPolicy, snapshotPolicy, type Statement } from "../../components/aws-policies";
import { administratorStatements } from "../../scripts/docs/aws/administrator";

/** Values of condition keys; what has several, with a comma between them. */
type Asked = Record<string, string>;

const like = (given: string, wanted: string): boolean => new RegExp(`^${wanted.replaceAll("*", ".*")}$`).test(given);
const each = (given: string | undefined, fits: (one: string) => boolean): boolean =>
  given?.split(",").every(fits) ?? true;

/**
 * What IAM makes of an operator ("IAM JSON policy elements: Condition operators"): without the key, only a negated one is true, and
 * one of all values.
 */
const operators: Record<string, (given: string | undefined, wanted: string) => boolean> = {
  Bool: (given, wanted) => given === wanted,
  "ForAllValues:StringEquals": (given, wanted) => each(given, (one) => one === wanted),
  "ForAllValues:StringLike": (given, wanted) => each(given, (one) => like(one, wanted)),
  Null: (given, wanted) => (given === undefined) === (wanted === "true"),
  NumericLessThan: (given, wanted) => given !== undefined && Number(given) < Number(wanted),
  StringEquals: (given, wanted) => given === wanted,
  StringLike: (given, wanted) => given !== undefined && like(given, wanted),
  StringNotEquals: (given, wanted) => given !== wanted,
  StringNotEqualsIfExists: (given, wanted) => given !== wanted,
};

const holds = ({ Condition = {} }: Statement, asked: Asked): boolean =>
  Object.entries(Condition).every(([name, keys]) => {
    const operator = operators[name];
    if (!operator) throw new Error(`no operator ${name}`);
    return Object.entries(keys).every(([key, wanted]) => operator(asked[key], wanted));
  });

const statements = (text: string): Statement[] => (JSON.parse(text) as { Statement: Statement[] }).Statement;

describe("components: policies in AWS", () => {
  const key = "arn:aws:kms:eu-central-1:123456789012:key/k-1";
  const policy = statements(bucketPolicy({ bucket: "arn:aws:s3:::b", key }));
  const tls = { "aws:SecureTransport": "true", "s3:TlsVersion": "1.3" };
  const sse = "s3:x-amz-server-side-encryption";
  const sseKey = `${sse}-aws-kms-key-id`;
  const uploads: [string, Asked, string[]][] = [
    ["no header", {}, []],
    ["our key", { [sse]: "aws:kms", [sseKey]: key }, []],
    ["another key", { [sse]: "aws:kms", [sseKey]: "arn:aws:kms:eu-central-1:123456789012:key/k-2" }, ["OnlyOurKey"]],
    ["Amazon's key for S3", { [sse]: "aws:kms" }, ["NoKeyOfAmazon"]],
    ["no key of KMS", { [sse]: "AES256" }, ["OnlyKms"]],
    ["a key of the caller's own (SSE-C)", { [`${sse}-customer-algorithm`]: "AES256" }, ["NoKeyOfTheCaller"]],
    ["two layers of it", { [sse]: "aws:kms:dsse", [sseKey]: key }, ["OnlyKms"]],
    ["an old TLS", { "s3:TlsVersion": "1.1" }, ["OnlyTls12"]],
    ["no TLS", { "aws:SecureTransport": "false" }, ["OnlyTls"]],
  ];
  for (const [what, headers, refusedBy] of uploads) {
    const outcome = refusedBy.length === 0 ? "takes" : `refuses by ${refusedBy.join()}`;
    it(`18-5 the bucket ${outcome} an upload with ${what}`, () => {
      const denied = policy.filter((one) => holds(one, { ...tls, ...headers })).map(({ Sid }) => Sid);
      expect(denied).to.deep.equal(refusedBy);
    });
  }

  const [tag, aliases] = ["aws:ResourceTag/guardian:stack", "kms:ResourceAliases"];
  const asking = (stack: string, ...others: string[]): Asked => ({
    "aws:RequestTag/guardian:stack": stack,
    "aws:TagKeys": ["guardian:stack", ...others].join(),
  });
  const theirs = { [aliases]: "alias/payroll" };
  const ours = { [aliases]: "alias/guardian-prod-backups" };
  for (const [action, what, asked, may] of [
    ["kms:TagResource", "a key that it is just making", asking("prod"), true],
    ["kms:TagResource", "a key of the stack's", { ...asking("prod"), ...ours, [tag]: "prod" }, true],
    ["kms:TagResource", "somebody's key", { ...asking("prod"), ...theirs }, false],
    ["kms:TagResource", "a key of two aliases", { ...asking("prod"), [aliases]: "alias/guardian-x,alias/pay" }, false],
    ["kms:TagResource", "a key of the stack's, by another tag besides", { ...asking("prod", "team"), ...ours }, false],
    ["kms:TagResource", "a key, by another tag alone", { "aws:TagKeys": "team" }, false],
    ["kms:PutKeyPolicy", "a key of the stack's", { ...ours, [tag]: "prod" }, true],
    ["kms:PutKeyPolicy", "somebody's key, tagged as ours", { ...theirs, [tag]: "prod" }, false],
    ["kms:ScheduleKeyDeletion", "somebody's key, tagged as ours", { ...theirs, [tag]: "prod" }, false],
    ["kms:ScheduleKeyDeletion", "a key without a tag", {}, false],
  ] as [string, string, Asked, boolean][]) {
    it(`18-9 the administrator ${may ? "may" : "may not"} ${action} of ${what}`, () => {
      const given = administratorStatements({ account: "1", bucket: "arn:aws:s3:::b", role: "r" });
      const speaking = given.filter(({ Action }) => [Action].flat().includes(action));
      expect(speaking.some((one) => holds(one, asked))).to.equal(may);
    });
  }

  it("18-6 a snapshot is taken of the database, and no tag is put on the database itself", () => {
    for (const [kind, of] of [
      ["instance", "DB"],
      ["cluster", "DBCluster"],
    ] as const) {
      const granted = statements(snapshotPolicy(kind, "database", "snapshots")).map((one) => [
        one.Action,
        one.Resource,
      ]);
      expect(granted).to.deep.equal([
        [`rds:Create${of}Snapshot`, ["database", "snapshots"]],
        ["rds:AddTagsToResource", "snapshots"],
        [[`rds:Describe${of}SnapshotAttributes`, `rds:Describe${of}Snapshots`, "rds:ListTagsForResource"], "*"],
      ]);
    }
  });
});
