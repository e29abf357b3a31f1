import { expect } from "chai";
import * as pulumi from "@pulumi/pulumi";
import { foundationProject, validateFoundation } from "../../config/foundation";
import { declaredIn } from "../support/declared";

const all = {
  instance: "guardian-db",
  replicas: ["reader"],
  bucket: "guardian-backups",
  objectLockDays: 30,
  migrationRole: "migration",
  alarms: { cpuPercent: 60 },
  notify: ["on-call@example.org"],
};

/** What the program of foundation/ declares of AWS and returns. */
async function foundation(stack: string, aws: unknown) {
  const call = (): Record<string, unknown> => ({
    ...{ arn: "arn:aws:iam::123456789012:user/admin", accountId: "123456789012" },
    ...{ resourceId: "db-ABC", allocatedStorage: 100 },
  });
  const outputs = ({ type }: { type: string }): Record<string, unknown> => ({
    arn: `arn:aws:x:r:1:${type}`,
    keyId: "k",
  });
  const given = { project: foundationProject, stack, config: { [`${foundationProject}:aws`]: aws } };
  const { resources, result } = await declaredIn("foundation", given, { call, outputs });
  return { types: resources.map(({ type }) => type), resources, result };
}

describe("foundation/, its part in AWS", function () {
  this.timeout(120_000);

  for (const stack of ["staging", "prod"]) {
    it(`18-5 18-7 ${stack}: a store, and alarms with the thresholds of the configuration, each by its key`, async () => {
      const { types, resources, result } = await foundation(stack, all);
      const count = (type: string): number => types.filter((one) => one.endsWith(type)).length;
      expect(["BackupStore", "Monitoring", "Bucket", "MetricAlarm", "TopicSubscription"].map(count)).to.deep.equal([
        1, 1, 1, 7, 1,
      ]);
      const cpu = resources.find(({ name }) => name === "cpu");
      expect(cpu?.inputs).to.include({ name: `guardian-${stack}-cpu`, threshold: 60 });
      expect(resources.find(({ type }) => type.endsWith(":Policy"))?.inputs["name"]).to.contain(stack);
      expect(Object.keys(result).sort()).to.deep.equal(["alarms", "backupKey", "bucket", "uploaderPolicy"]);
    });
  }

  it("18-5 a bucket alone, a cluster alone", async () => {
    const bucket = await foundation("prod", { bucket: "guardian-backups" });
    expect(bucket.types).to.include("guardian:aws:BackupStore").and.not.include("guardian:aws:Monitoring");
    const cluster = await foundation("prod", { cluster: "aurora" });
    expect(cluster.types).to.include("guardian:aws:Monitoring").and.not.include("guardian:aws:BackupStore");
    expect(Object.keys(cluster.result)).to.deep.equal(["alarms"]);
  });

  it("18-5 18-7 every name is one that AWS takes, whatever the stack is called, and no two stacks have one in common", async () => {
    // By what each service's reference says of it: CreateAlias, CreateTopic, PutDashboard, PutMetricAlarm, CreatePolicy.
    const taken: [type: string, key: string, pattern: RegExp][] = [
      ["aws:kms/alias:Alias", "name", /^alias\/(?!aws\/)[A-Za-z0-9/_-]{1,250}$/],
      ["aws:sns/topic:Topic", "name", /^[A-Za-z0-9_-]{1,256}$/],
      ["aws:cloudwatch/dashboard:Dashboard", "dashboardName", /^[A-Za-z0-9_-]{1,255}$/],
      ["aws:cloudwatch/metricAlarm:MetricAlarm", "name", /^[\x20-\x7e]{1,255}$/],
      ["aws:iam/policy:Policy", "name", /^[\w+=,.@-]{1,128}$/],
    ];
    const seen = new Map<string, string>();
    for (const stack of ["prod", "Prod_1", "prod.eu", "prod-eu", ".", "a".repeat(100), "a.".repeat(50)]) {
      const { resources } = await foundation(stack, all);
      for (const [wanted, key, pattern] of taken) {
        const names = resources.filter(({ type }) => type === wanted).map(({ inputs }) => String(inputs[key]));
        expect(names, wanted).not.to.deep.equal([]);
        for (const name of names) {
          expect(name, `${wanted} of ${stack}`).to.match(pattern);
          expect(seen.get(`${wanted} ${name}`), name).to.equal(undefined);
          seen.set(`${wanted} ${name}`, stack);
        }
      }
    }
    expect(seen.get("aws:sns/topic:Topic guardian-prod-alarms")).to.equal("prod");
  });

  it("18-8 what contradicts itself is refused before anything is declared", async () => {
    const refused = await foundation("prod", { instance: "i", cluster: "c" }).then(
      () => undefined,
      (err: unknown) => err,
    );
    expect(pulumi.RunError.isInstance(refused)).to.equal(true);
    expect(String(refused)).to.contain("guardian-foundation:aws names both an instance and a cluster");
  });

  it("18-5 takes numbers and lists as `config set` writes them", () => {
    const written = { ...all, objectLockDays: "30", alarms: { cpuPercent: "60" } };
    const { config, errors } = validateFoundation({ [`${foundationProject}:aws`]: JSON.stringify(written) });
    expect(errors).to.deep.equal([]);
    expect(config?.aws).to.deep.include({ objectLockDays: 30 });
    expect(config?.aws?.alarms.cpuPercent).to.equal(60);
  });
});
