import { expect } from "chai";
import { bucketPolicy, snapshotPolicy, type Statement } from "../../components/aws-policies";

type Asked = Record<string, string>;

/** What IAM makes of an operator ("IAM JSON policy elements: Condition operators"): without the key, only a negated one is true. */
const operators: Record<string, (given: string | undefined, wanted: string) => boolean> = {
  Bool: (given, wanted) => given === wanted,
  Null: (given, wanted) => (given === undefined) === (wanted === "true"),
  NumericLessThan: (given, wanted) => given !== undefined && Number(given) < Number(wanted),
  StringEquals: (given, wanted) => given === wanted,
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
