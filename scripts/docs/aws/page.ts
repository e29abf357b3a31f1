import { readFileSync } from "node:fs";
import { join } from "node:path";
import { policyText, snapshotPolicy, uploaderPolicy } from "../../../components/aws-policies";
import { administratorStatements } from "./administrator";

const [region, account] = ["eu-central-1", "123456789012"];
const rds = (kind: string, name: string): string => `arn:aws:rds:${region}:${account}:${kind}:${name}`;

/** The policies that docs/aws.md shows, by the name that stands before each. */
const policies: Record<string, () => string> = {
  administrator: () =>
    policyText(administratorStatements({ account, bucket: "arn:aws:s3:::BUCKET", role: "MIGRATION" })),
  uploader: () => {
    const key = `arn:aws:kms:${region}:${account}:key/KEY`;
    return uploaderPolicy({ bucket: "arn:aws:s3:::BUCKET", key, region });
  },
  instance: () => snapshotPolicy("instance", rds("db", "INSTANCE"), rds("snapshot", "guardian-STACK-*")),
  cluster: () => snapshotPolicy("cluster", rds("cluster", "CLUSTER"), rds("cluster-snapshot", "guardian-STACK-*")),
};

/** @returns docs/aws.md, by its path below docs/: what people wrote there, with the policies that the code makes */
export function awsPages(): Map<string, string> {
  return new Map([["aws.md", withPolicies(readFileSync(join(__dirname, "..", "..", "..", "docs", "aws.md"), "utf8"))]]);
}

/**
 * @param text a page with marks `<!-- npm run docs: NAME -->`, each before a block of JSON
 * @returns the same with each block as the code makes it
 * @throws Error for a mark that names no policy, and for a policy without a mark
 */
export function withPolicies(text: string): string {
  const placed = new Set<string>();
  const page = text.replace(/<!-- npm run docs: (\w+) -->\n+```json\n[\s\S]*?```/g, (_all, name: string) => {
    const policy = policies[name];
    if (!policy) throw new Error(`docs/aws.md has a mark for a policy that there is not: ${name}`);
    placed.add(name);
    return `<!-- npm run docs: ${name} -->\n\n\`\`\`json\n${JSON.stringify(JSON.parse(policy()), undefined, 2)}\n\`\`\``;
  });
  const missing = Object.keys(policies).filter((name) => !placed.has(name));
  if (missing.length > 0) throw new Error(`docs/aws.md has no mark for the policies ${missing.join(", ")}`);
  return page;
}
