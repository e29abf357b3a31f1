import { expect } from "chai";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { AwsBackupStore } from "../../components/aws-backup-store";
import { AwsMonitoring } from "../../components/aws-monitoring";
import { validateConfig } from "../../config";
import { awsFoundationKeys } from "../../config/aws";
import { administratorKeys } from "../../config/foundation/administrator";
import { withPolicies } from "../../scripts/docs/aws/page";
import { administratorActions, administratorStatements } from "../../scripts/docs/aws/administrator";
import { findEngine } from "../../scripts/pulumi/engine";
import { pulumi } from "../../scripts/pulumi/run";
import { environment } from "../../scripts/stack/backend";
import { check, record } from "../../spec";
import { age, consent, raw } from "../support/config";
import { declared } from "../support/declared";
import { long } from "../support/long";
import { root } from "../support/stack";
import { withFolder } from "../support/folder";

const text = readFileSync(join(root, "docs", "aws.md"), "utf8");

/** Blocks of shell, and whether the page says that they need an account. */
const blocks = [...text.matchAll(/(<!-- needs an account[^>]*-->\s*)?```sh\n([\s\S]*?)```/g)].map(
  ([, marked, code = ""]) => ({
    marked: marked !== undefined,
    lines: code.split("\n").filter((line) => line !== ""),
  }),
);

/** The words of a line as a shell has them. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|"([^"]*)"|\S+/g)].map(([word, single, double]) => single ?? double ?? word);

describe("docs/aws.md", function () {
  this.timeout(180_000);

  long("18-9 every block of shell that needs no account does what it says, on the real CLI", async () => {
    return withFolder(async (folder) => {
      const foundation = join(folder, "foundation");
      mkdirSync(foundation);
      for (const path of ["", "foundation"]) {
        const name = path === "" ? "guardian" : "guardian-foundation";
        writeFileSync(join(folder, path, "Pulumi.yaml"), `name: ${name}\nruntime: nodejs\n`);
        const file = join(root, path, "Pulumi.prod.yaml");
        if (existsSync(file)) cpSync(file, join(folder, path, "Pulumi.prod.yaml"));
      }
      const env = environment({ state: folder, home: join(folder, "home"), passphrase: "tests only" });
      const engine = (await findEngine({ log: { line: () => undefined } })).path;
      const run = async (args: string[]): Promise<void> => {
        const options = { cwd: folder, env, engine, stdio: "pipe" } as const;
        const { code, stdout, stderr } = await pulumi([...args, "--non-interactive"], options);
        expect(code, `${args.join(" ")}: ${stdout}${stderr}`).to.equal(0);
      };
      const configOf = (path: string): Record<string, unknown> =>
        (parse(readFileSync(join(folder, path, "Pulumi.prod.yaml"), "utf8")) as { config: Record<string, unknown> })
          .config;

      await run(["stack", "init", "prod"]);
      const runnable = blocks.filter(({ marked }) => !marked);
      expect(runnable).to.have.length(4);
      // None is left out by being called nothing, or something else.
      const fences = text.match(/^```.*$/gm) ?? [];
      expect(new Set(fences.filter((_fence, i) => i % 2 === 0))).to.deep.equal(new Set(["```json", "```sh", "```sql"]));
      const after: Record<string, unknown>[] = [];
      for (const { lines } of runnable) {
        for (const line of lines) {
          expect(line).to.match(/^npm run pulumi -- /);
          // What the reader puts in himself.
          await run(words(line.replace("npm run pulumi -- ", "").replace("age1…", age)));
        }
        after.push(configOf(""));
      }
      const built = configOf("foundation");
      expect(built["aws:region"]).to.equal("eu-central-1");
      const { value, faults } = check(record(awsFoundationKeys, "x"), { aws: built["guardian-foundation:aws"] });
      expect(faults).to.deep.equal([]);
      expect(value?.aws).to.deep.include({
        instance: "guardian-prod",
        bucket: "example-org-guardian-backups",
        objectLockDays: 30,
        migrationRole: "guardian-migration",
        notify: ["on-call@example.org"],
      });
      expect(value?.aws?.alarms.connections).to.equal(150);

      const read = (config: Record<string, unknown> = {}) => {
        const own = Object.entries(config).filter(([key]) => key.startsWith("guardian:"));
        const keys = Object.fromEntries(own.map(([key, one]) => [key.slice("guardian:".length), one]));
        return validateConfig(raw({ ...keys, legacyConsent: consent }));
      };
      expect(read(after[1])).to.have.property("errors").that.deep.equals([]);
      expect(read(after[1]).config?.aws).to.deep.equal({ instance: "guardian-prod" });
      const database = { database: built["guardian-foundation:database"] };
      expect(check(record(administratorKeys, "x"), database).faults).to.deep.equal([]);
      expect(read(after[2]).errors).to.deep.equal([]);
      expect(read(after[2]).config?.backup).to.deep.include({
        to: "s3://example-org-guardian-backups/prod",
        region: "eu-central-1",
        recipients: [age],
      });
      expect(read(after[3]).errors).to.deep.equal([]);
      expect(read(after[3]).config).to.include({ aws: undefined, through: "infrastructure" });
    });
  });

  it("18-9 every other block is marked, and is of a command that asks Amazon or downloads", () => {
    const marked = blocks.filter((block) => block.marked).flatMap(({ lines }) => lines);
    expect(marked).to.have.length.above(4);
    for (const line of marked) {
      expect(line).to.match(/^(aws \w+ |npm run pulumi -- (--cwd foundation )?(preview|up|plugin install)\b)/);
    }
  });

  it("18-9 says what comes before a snapshot is deleted: else refresh and up make one of today in its place", () => {
    const before = text.slice(0, text.indexOf("aws rds delete-db-snapshot"));
    const said = before.slice(before.indexOf("The snapshots are yours to delete")).replace(/\s+/g, " ");
    expect(said).to.contain("First `npm run pulumi -- config rm guardian:aws` and `up`, then delete");
  });

  it("18-9 its policies are those of the code", () => {
    const compact = (page: string): string => page.replace(/\s+/g, "");
    expect(compact(withPolicies(text)), "run `npm run docs`").to.equal(compact(text));
    expect(() => withPolicies("")).to.throw("no mark for the policies administrator, uploader, instance, cluster");
    expect(() => withPolicies("<!-- npm run docs: toad -->\n\n```json\n{}\n```")).to.throw("not: toad");
  });

  it("18-9 the administrator's policy has actions for each type that foundation/ declares, and for no other", async () => {
    const used = new Set<string>();
    const call = (token: string): Record<string, unknown> => {
      used.add(token);
      return { arn: "arn:aws:iam::1:user/a", accountId: "1", resourceId: "db-1", allocatedStorage: 1 };
    };
    const { value } = check(record(awsFoundationKeys, "x"), { aws: { instance: "i" } });
    const store = { stack: "prod", bucket: "b-b-b", objectLockDays: 1, migrationRole: "r" };
    const of = { target: { instance: "i" }, replicas: [], notify: ["a@b.c"], thresholds: value!.aws!.alarms };
    const { resources } = await declared("prod", { outputs: () => ({ arn: "arn:aws:sns:r:1:t" }), call }, () => {
      new AwsBackupStore("backups", store);
      new AwsMonitoring("alarms", { stack: "prod", ...of });
    });
    for (const { type } of resources) if (type.startsWith("aws:")) used.add(type);
    expect(Object.keys(administratorActions).sort()).to.deep.equal([...used].sort());
    const actions = Object.values(administratorActions).flat();
    for (const action of actions) expect(action).to.match(/^[a-z0-9]+:[A-Z]\w+$/);

    const given = administratorStatements({ account: "1", bucket: "arn:aws:s3:::b", role: "r" });
    expect(given.flatMap(({ Action }) => Action).sort()).to.deep.equal([...new Set(actions)].sort());
    const anywhere = given
      .filter(({ Resource, Condition }) => Resource === "*" && !Condition)
      .flatMap(({ Action }) => Action);
    const dangerous = /^(iam:|s3:|kms:(PutKeyPolicy|ScheduleKeyDeletion|TagResource))/;
    expect(anywhere.filter((action) => dangerous.test(action))).to.deep.equal([]);
    // What makes something new, and what AWS narrows to no resource.
    expect(anywhere.filter((action) => !/:(Describe|Get|List)/.test(action))).to.deep.equal([
      "kms:CreateKey",
      "kms:EnableKeyRotation",
      "sns:Unsubscribe",
    ]);
    const attaching = given.filter(({ Action }) => Action.includes("iam:AttachRolePolicy"));
    expect(attaching.map(({ Resource, Condition }) => [Resource, Condition])).to.deep.equal([
      ["arn:aws:iam::1:role/r", { ArnLike: { "iam:PolicyARN": "arn:aws:iam::1:policy/guardian-*" } }],
    ]);
  });
});
