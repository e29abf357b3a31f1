import * as pulumi from "@pulumi/pulumi";
import { Dashboard } from "@pulumi/aws/cloudwatch/dashboard";
import { MetricAlarm, type MetricAlarmArgs } from "@pulumi/aws/cloudwatch/metricAlarm";
import { Key } from "@pulumi/aws/kms/key";
import { getInstanceOutput } from "@pulumi/aws/rds/getInstance";
import { Topic } from "@pulumi/aws/sns/topic";
import { TopicPolicy } from "@pulumi/aws/sns/topicPolicy";
import { TopicSubscription } from "@pulumi/aws/sns/topicSubscription";
import type { AlarmThresholds } from "../config/aws";
import { thisAccount } from "./aws-account";
import { dashboardBody, ofCluster, ofInstance, type Watched } from "./aws-metrics";
import { alarmKeyPolicy, nameOf, topicPolicy } from "./aws-policies";

export interface AwsMonitoringArgs {
  /** The stack's name, in names and tags. */
  readonly stack: string;
  /** The database: exactly one of the two. */
  readonly target: { readonly instance?: string | undefined; readonly cluster?: string | undefined };
  /** Read replicas of an instance. */
  readonly replicas: readonly string[];
  /** When an alarm is raised; the defaults and their sources are in config/aws.ts. */
  readonly thresholds: AlarmThresholds;
  /** E-mail addresses. */
  readonly notify: readonly string[];
}

/** Alarms on what a rollout is watched by, a dashboard of the same, and who is told. Nothing of it is kept by a destroy. */
export class AwsMonitoring extends pulumi.ComponentResource {
  /** ARN of the topic, for others who want to be told. */
  readonly topicArn: pulumi.Output<string>;

  constructor(name: string, args: AwsMonitoringArgs, options?: pulumi.ComponentResourceOptions) {
    super("guardian:aws:Monitoring", name, {}, options);
    const { stack, target, replicas, thresholds, notify } = args;
    const tags = { "guardian:stack": stack };
    const prefix = `guardian-${nameOf(stack)}`;
    const mine = { parent: this };
    const account = thisAccount(mine);
    const key = new Key(
      name,
      {
        description: `Alarms of Guardian ${stack}`,
        enableKeyRotation: true,
        deletionWindowInDays: 7,
        policy: account.apply(alarmKeyPolicy),
        tags,
      },
      mine,
    );
    const topic = new Topic(name, { name: `${prefix}-alarms`, kmsMasterKeyId: key.keyId, tags }, mine);
    const policy = pulumi.all([topic.arn, account]).apply(([arn, of]) => topicPolicy(arn, of));
    const policed = new TopicPolicy(name, { arn: topic.arn, policy }, mine);
    for (const endpoint of notify) {
      // Without a policy that lets alarms publish, an address would be confirmed for nothing.
      new TopicSubscription(
        endpoint,
        { topic: topic.arn, protocol: "email", endpoint },
        { ...mine, dependsOn: [policed] },
      );
    }

    const { instance = "", cluster } = target;
    const watched =
      cluster === undefined
        ? ofInstance(instance, replicas, getInstanceOutput({ dbInstanceIdentifier: instance }, mine), thresholds)
        : ofCluster(cluster, thresholds);
    const told = [topic.arn];
    for (const one of watched) {
      const inputs = { name: `${prefix}-${one.name}`, alarmActions: told, okActions: told, tags };
      new MetricAlarm(one.name, { ...inputs, ...alarmInputs(one) }, { ...mine, dependsOn: [policed] });
    }
    const body = pulumi
      .output([watched, topic.arn] as const)
      // arn:aws:sns:<region>:…
      .apply(([all, arn]) => dashboardBody(all, arn.split(":")[3] ?? ""));
    new Dashboard(name, { dashboardName: prefix, dashboardBody: body }, mine);

    this.topicArn = topic.arn;
    this.registerOutputs({ topicArn: this.topicArn });
  }
}

function alarmInputs({ about, of, bad, threshold, minutes, silence }: Watched): MetricAlarmArgs {
  const metric =
    "expression" in of
      ? { metricQueries: [{ id: "e1", expression: of.expression, period: 60, returnData: true }] }
      : { namespace: "AWS/RDS", ...of, period: 60 };
  return {
    alarmDescription: about,
    ...metric,
    comparisonOperator: bad === "above" ? "GreaterThanThreshold" : "LessThanThreshold",
    threshold,
    evaluationPeriods: minutes,
    datapointsToAlarm: minutes,
    treatMissingData: silence,
  };
}
