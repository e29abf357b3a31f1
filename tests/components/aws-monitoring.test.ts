import { expect } from "chai";
import { AwsMonitoring, type AwsMonitoringArgs } from "../../components/aws-monitoring";
import { awsFoundationKeys } from "../../config/aws";
import { check, record } from "../../spec";
import { declared, type DeclaredResource } from "../support/declared";

const topic = "arn:aws:sns:eu-central-1:123456789012:alarms";
const described = { resourceId: "db-ABC", allocatedStorage: 100 };

/** The thresholds as the configuration has them. */
function thresholds(alarms: Record<string, number> = {}): AwsMonitoringArgs["thresholds"] {
  const { value, faults } = check(record(awsFoundationKeys, "x"), { aws: { instance: "i", alarms } });
  expect(faults).to.deep.equal([]);
  return value!.aws!.alarms;
}

const asked: { token: string; args: Record<string, unknown> }[] = [];
const monitoring = (args: AwsMonitoringArgs) =>
  declared(
    args.stack,
    {
      outputs: () => ({ arn: topic, keyId: "k-1" }),
      call: (token, given) => {
        asked.push({ token, args: given });
        if (token.endsWith(":getInstance")) return described;
        return { arn: "arn:aws:iam::123456789012:user/admin", accountId: "123456789012" };
      },
    },
    () => new AwsMonitoring("alarms", args),
  );

const component = "guardian:aws:Monitoring alarms";
const byName = (a: DeclaredResource, b: DeclaredResource): number => (a.name < b.name ? -1 : 1);
const alarmsOf = (resources: DeclaredResource[]): DeclaredResource[] =>
  resources.filter(({ type }) => type === "aws:cloudwatch/metricAlarm:MetricAlarm").toSorted(byName);

/** An alarm, whole. */
const alarm = (stack: string, name: string, inputs: Record<string, unknown>): DeclaredResource => ({
  type: "aws:cloudwatch/metricAlarm:MetricAlarm",
  name,
  inputs: {
    name: `guardian-${stack}-${name}`,
    alarmActions: [topic],
    okActions: [topic],
    tags: { "guardian:stack": stack },
    treatMissingData: "missing",
    ...inputs,
  },
  options: { parent: component, dependsOn: ["aws:sns/topic:Topic alarms", "aws:sns/topicPolicy:TopicPolicy alarms"] },
});
const above = (threshold: number, minutes: number): Record<string, unknown> => ({
  comparisonOperator: "GreaterThanThreshold",
  threshold,
  evaluationPeriods: minutes,
  datapointsToAlarm: minutes,
});
const below = (threshold: number, minutes: number): Record<string, unknown> => ({
  ...above(threshold, minutes),
  comparisonOperator: "LessThanThreshold",
});
const metric = (
  metricName: string,
  statistic: string,
  dimensions: Record<string, string>,
): Record<string, unknown> => ({
  namespace: "AWS/RDS",
  metricName,
  statistic,
  dimensions,
  period: 60,
});

const sorted = (resources: DeclaredResource[]): DeclaredResource[] => resources.toSorted(byName);

/** What is said of each; its words are no contract. */
const about = (resources: DeclaredResource[]): DeclaredResource[] =>
  resources.map(({ inputs: { alarmDescription, ...inputs }, ...others }) => {
    expect(alarmDescription)
      .to.be.a("string")
      .and.match(/^[A-Z][^\n]{20,}$/);
    return { ...others, inputs };
  });

describe("components: alarms in AWS", function () {
  this.timeout(120_000);

  for (const stack of ["staging", "prod"]) {
    it(`18-7 ${stack}: alarms of an instance, whole, by its own names`, async () => {
      const target = { instance: "guardian-db" };
      const args = { stack, target, replicas: ["reader-1"], thresholds: thresholds(), notify: [] };
      const { resources } = await monitoring(args);
      const of = { DBInstanceIdentifier: "guardian-db" };
      expect(about(alarmsOf(resources))).to.deep.equal(
        sorted([
          alarm(stack, "cpu", { ...metric("CPUUtilization", "Average", of), ...above(70, 5) }),
          alarm(stack, "connections", { ...metric("DatabaseConnections", "Maximum", of), ...above(80, 3) }),
          alarm(stack, "read-latency", { ...metric("ReadLatency", "Average", of), ...above(0.02, 5) }),
          alarm(stack, "write-latency", { ...metric("WriteLatency", "Average", of), ...above(0.02, 5) }),
          alarm(stack, "free-storage", { ...metric("FreeStorageSpace", "Minimum", of), ...below(20 * 1024 ** 3, 5) }),
          alarm(stack, "deadlocks", {
            metricQueries: [
              {
                id: "e1",
                expression: "DB_PERF_INSIGHTS('RDS', 'db-ABC', 'db.Concurrency.deadlocks.avg')",
                period: 60,
                returnData: true,
              },
            ],
            ...above(0, 1),
          }),
          alarm(stack, "replica-lag-reader-1", {
            ...metric("ReplicaLag", "Maximum", { DBInstanceIdentifier: "reader-1" }),
            // Above what an idle source makes of it.
            ...above(360, 3),
          }),
        ]),
      );
      expect(asked.map(({ token, args: given }) => [token, given["dbInstanceIdentifier"]])).to.deep.include([
        "aws:rds/getInstance:getInstance",
        "guardian-db",
      ]);
    });
  }

  it("18-7 alarms of a cluster have Aurora's names and units, and nobody asks for an instance", async () => {
    asked.length = 0;
    const limits = thresholds({ deadlocksPerMinute: 6, replicaLagSeconds: 0.5, cpuPercent: 50 });
    const args = { stack: "prod", target: { cluster: "aurora" }, replicas: [], thresholds: limits, notify: [] };
    const { resources } = await monitoring(args);
    const writer = { DBClusterIdentifier: "aurora", Role: "WRITER" };
    expect(about(alarmsOf(resources))).to.deep.equal(
      sorted([
        alarm("prod", "cpu", { ...metric("CPUUtilization", "Average", writer), ...above(50, 5) }),
        alarm("prod", "connections", { ...metric("DatabaseConnections", "Maximum", writer), ...above(80, 3) }),
        alarm("prod", "read-latency", { ...metric("ReadLatency", "Average", writer), ...above(0.02, 5) }),
        alarm("prod", "write-latency", { ...metric("WriteLatency", "Average", writer), ...above(0.02, 5) }),
        alarm("prod", "free-storage", { ...metric("FreeLocalStorage", "Minimum", writer), ...below(5 * 1024 ** 3, 5) }),
        alarm("prod", "deadlocks", { ...metric("Deadlocks", "Average", writer), ...above(0.1, 1) }),
        alarm("prod", "replica-lag", {
          ...metric("AuroraReplicaLag", "Maximum", { DBClusterIdentifier: "aurora", Role: "READER" }),
          ...above(500, 3),
          treatMissingData: "notBreaching",
        }),
      ]),
    );
    expect(asked.map(({ token }) => token)).to.deep.equal(["aws:index/getCallerIdentity:getCallerIdentity"]);
  });

  it("18-7 who is told: a topic under a key that alarms may use, whole, and an address for each", async () => {
    const target = { instance: "guardian-db" };
    const notify = ["on-call@example.org", "dba@example.org"];
    const { resources } = await monitoring({ stack: "prod", target, replicas: [], thresholds: thresholds(), notify });
    const tags = { "guardian:stack": "prod" };
    const parsed = ({ inputs, ...others }: DeclaredResource): unknown => {
      const text = inputs["policy"];
      return {
        ...others,
        inputs: { ...inputs, ...(typeof text === "string" ? { policy: JSON.parse(text) as unknown } : {}) },
      };
    };
    const sns = resources.filter(({ type }) => /^(guardian:aws|aws:(kms|sns)\/)/.test(type)).map(parsed);
    const fromHere = { StringEquals: { "aws:SourceAccount": "123456789012" } };
    const subscription = (endpoint: string): unknown => ({
      type: "aws:sns/topicSubscription:TopicSubscription",
      name: endpoint,
      inputs: { topic, protocol: "email", endpoint },
      options: {
        parent: component,
        dependsOn: ["aws:sns/topic:Topic alarms", "aws:sns/topicPolicy:TopicPolicy alarms"],
      },
    });
    expect(sns).to.deep.equal([
      { type: "guardian:aws:Monitoring", name: "alarms", inputs: {}, options: {} },
      {
        type: "aws:kms/key:Key",
        name: "alarms",
        inputs: {
          description: "Alarms of Guardian prod",
          enableKeyRotation: true,
          deletionWindowInDays: 7,
          policy: {
            Version: "2012-10-17",
            Statement: [
              {
                Sid: "ByPoliciesOfThisAccount",
                Effect: "Allow",
                Principal: { AWS: "arn:aws:iam::123456789012:root" },
                Action: "kms:*",
                Resource: "*",
              },
              {
                Sid: "AlarmsOfThisAccount",
                Effect: "Allow",
                Principal: { Service: "cloudwatch.amazonaws.com" },
                Action: ["kms:Decrypt", "kms:GenerateDataKey*"],
                Resource: "*",
                Condition: fromHere,
              },
            ],
          },
          tags,
        },
        options: { parent: component },
      },
      {
        type: "aws:sns/topic:Topic",
        name: "alarms",
        inputs: { name: "guardian-prod-alarms", kmsMasterKeyId: "k-1", tags },
        options: { parent: component, dependsOn: ["aws:kms/key:Key alarms"] },
      },
      {
        type: "aws:sns/topicPolicy:TopicPolicy",
        name: "alarms",
        inputs: {
          arn: topic,
          policy: {
            Version: "2012-10-17",
            Statement: [
              {
                Sid: "AlarmsOfThisAccount",
                Effect: "Allow",
                Principal: { Service: "cloudwatch.amazonaws.com" },
                Action: "sns:Publish",
                Resource: topic,
                Condition: fromHere,
              },
              {
                Sid: "OnlyTls",
                Effect: "Deny",
                Principal: "*",
                Action: "sns:Publish",
                Resource: topic,
                Condition: { Bool: { "aws:SecureTransport": "false" } },
              },
            ],
          },
        },
        options: { parent: component, dependsOn: ["aws:sns/topic:Topic alarms"] },
      },
      ...notify.map(subscription),
    ]);
  });

  it("18-7 a dashboard of the same: a graph for each alarm, with its threshold", async () => {
    const args = { target: { instance: "guardian-db" }, replicas: [], thresholds: thresholds(), notify: [] };
    const { resources } = await monitoring({ stack: "prod", ...args });
    const [dashboard, ...others] = resources.filter(({ type }) => type === "aws:cloudwatch/dashboard:Dashboard");
    expect(others).to.deep.equal([]);
    expect(dashboard?.inputs["dashboardName"]).to.equal("guardian-prod");
    const { widgets } = JSON.parse(String(dashboard?.inputs["dashboardBody"])) as {
      widgets: { x: number; y: number; properties: { title: string; annotations: object; metrics: unknown[] } }[];
    };
    const graphs = widgets.map(({ properties }) => properties.title.split(":")[0]);
    expect(graphs.toSorted()).to.deep.equal(alarmsOf(resources).map(({ name }) => name));
    expect(new Set(widgets.map(({ x, y }) => `${x},${y}`)).size).to.equal(widgets.length);
    expect(widgets[0]).to.deep.equal({
      type: "metric",
      x: 0,
      y: 0,
      width: 12,
      height: 6,
      properties: {
        title: "cpu: The server computes all it can: queries wait",
        region: "eu-central-1",
        view: "timeSeries",
        period: 60,
        metrics: [
          ["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", "guardian-db", { stat: "Average", label: "cpu" }],
        ],
        annotations: { horizontal: [{ label: "alarm", value: 70 }] },
      },
    });
    const deadlocks = widgets[5];
    expect(deadlocks?.properties.metrics).to.deep.equal([
      [
        {
          expression: "DB_PERF_INSIGHTS('RDS', 'db-ABC', 'db.Concurrency.deadlocks.avg')",
          id: "e1",
          label: "deadlocks",
        },
      ],
    ]);
  });
});
