import * as pulumi from "@pulumi/pulumi";
import { unlessGiven, type AlarmThresholds } from "../config/aws";

/** What CloudWatch is asked, and when the answer is bad news. */
export interface Watched {
  /** The alarm's name within its stack. */
  readonly name: string;
  /** What it means for who is woken by it. */
  readonly about: string;
  /** A metric of AWS/RDS with its dimensions, or an expression of metric math. */
  readonly of: Metric | { readonly expression: pulumi.Input<string> };
  readonly bad: "above" | "below";
  readonly threshold: pulumi.Input<number>;
  /** Minutes in a row after which it is raised. */
  readonly minutes: number;
  /** Where nothing is reported, such as of readers that a cluster does not have. */
  readonly silence: "missing" | "notBreaching";
}

interface Metric {
  readonly metricName: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly statistic: "Average" | "Maximum" | "Minimum";
}

/** An instance as the AWS provider describes it. */
export interface DescribedInstance {
  /** db-…, by which Performance Insights knows it. */
  readonly resourceId: string;
  /** In GiB. */
  readonly allocatedStorage: number;
}

const GiB = 1024 ** 3;

const above = (
  name: string,
  about: string,
  minutes: number,
  threshold: number,
  of: Watched["of"],
  silence: Watched["silence"] = "missing",
): Watched => ({ name, about, of, bad: "above", threshold, minutes, silence });

/** What an instance and a cluster have in common, by the same names. */
function common(dimensions: Metric["dimensions"], limits: AlarmThresholds): Watched[] {
  const metric = (metricName: string, statistic: Metric["statistic"]): Metric => ({
    metricName,
    dimensions,
    statistic,
  });
  return [
    above(
      "cpu",
      "The server computes all it can: queries wait",
      5,
      limits.cpuPercent,
      metric("CPUUtilization", "Average"),
    ),
    above(
      "connections",
      "So many sessions at once: new ones are about to be refused",
      3,
      limits.connections,
      metric("DatabaseConnections", "Maximum"),
    ),
    above(
      "read-latency",
      "A read of the disk takes so long: every query that misses the cache waits",
      5,
      limits.readLatencyMs / 1000,
      metric("ReadLatency", "Average"),
    ),
    above(
      "write-latency",
      "A write to the disk takes so long: every commit waits",
      5,
      limits.writeLatencyMs / 1000,
      metric("WriteLatency", "Average"),
    ),
  ];
}

/**
 * What to watch of an instance of RDS for PostgreSQL ("Amazon CloudWatch metrics for Amazon RDS"). Deadlocks are no metric
 * of its own: Performance Insights counts them a minute ("Performance Insights counters", db.Concurrency.deadlocks), and
 * where it is off, the alarm has no data and says so.
 */
export function ofInstance(
  instance: string,
  replicas: readonly string[],
  described: pulumi.Output<DescribedInstance>,
  limits: AlarmThresholds,
): Watched[] {
  const dimensions = { DBInstanceIdentifier: instance };
  const {
    freeStoragePercent: free = unlessGiven.freeStoragePercent,
    replicaLagSeconds: lag = unlessGiven.instanceLagSeconds,
  } = limits;
  return [
    ...common(dimensions, limits),
    {
      name: "free-storage",
      about: "The disk is filling up: full, the database takes no writes",
      of: { metricName: "FreeStorageSpace", dimensions, statistic: "Minimum" },
      bad: "below",
      threshold: described.allocatedStorage.apply((size) => (size * GiB * free) / 100),
      minutes: 5,
      silence: "missing",
    },
    above("deadlocks", "Transactions wait for each other in a circle, and one is ended", 1, limits.deadlocksPerMinute, {
      expression: pulumi.interpolate`DB_PERF_INSIGHTS('RDS', '${described.resourceId}', 'db.Concurrency.deadlocks.avg')`,
    }),
    ...replicas.map((replica) =>
      above(
        `replica-lag-${replica}`,
        "The replica shows what was true so many seconds ago; up to about 300 also where nothing is written at its source",
        3,
        lag,
        {
          metricName: "ReplicaLag",
          dimensions: { DBInstanceIdentifier: replica },
          statistic: "Maximum",
        },
      ),
    ),
  ];
}

/**
 * What to watch of an Aurora cluster ("Amazon CloudWatch metrics for Amazon Aurora"): other names and units. Its volume
 * grows by itself; what fills up is each instance's own disk. Lag is in milliseconds, deadlocks are a second's.
 */
export function ofCluster(cluster: string, limits: AlarmThresholds): Watched[] {
  const writer = { DBClusterIdentifier: cluster, Role: "WRITER" };
  const {
    freeLocalStorageGiB: free = unlessGiven.freeLocalStorageGiB,
    replicaLagSeconds: lag = unlessGiven.clusterLagSeconds,
  } = limits;
  return [
    ...common(writer, limits),
    {
      name: "free-storage",
      about: "The writer's own disk, where sorts and index builds are, is filling up",
      of: { metricName: "FreeLocalStorage", dimensions: writer, statistic: "Minimum" },
      bad: "below",
      threshold: free * GiB,
      minutes: 5,
      silence: "missing",
    },
    above(
      "deadlocks",
      "Transactions wait for each other in a circle, and one is ended",
      1,
      limits.deadlocksPerMinute / 60,
      {
        metricName: "Deadlocks",
        dimensions: writer,
        statistic: "Average",
      },
    ),
    above(
      "replica-lag",
      "A reader shows what was true so many milliseconds ago",
      3,
      lag * 1000,
      {
        metricName: "AuroraReplicaLag",
        dimensions: { DBClusterIdentifier: cluster, Role: "READER" },
        statistic: "Maximum",
      },
      "notBreaching",
    ),
  ];
}

/** @returns the body of a dashboard: a graph for each alarm, with its threshold as a line */
export function dashboardBody(watched: readonly pulumi.Unwrap<Watched>[], region: string): string {
  const widgets = watched.map(({ name, about, of, threshold }, i) => ({
    type: "metric",
    x: (i % 2) * 12,
    y: Math.floor(i / 2) * 6,
    width: 12,
    height: 6,
    properties: {
      title: `${name}: ${about}`,
      region,
      view: "timeSeries",
      period: 60,
      metrics: [
        "expression" in of
          ? [{ expression: of.expression, id: "e1", label: name }]
          : ["AWS/RDS", of.metricName, ...Object.entries(of.dimensions).flat(), { stat: of.statistic, label: name }],
      ],
      annotations: { horizontal: [{ label: "alarm", value: threshold }] },
    },
  }));
  return JSON.stringify({ widgets });
}
