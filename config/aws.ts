import {
  integer,
  like,
  list,
  number,
  optional,
  otherwise,
  record,
  ruled,
  within,
  type Complaint,
  type Property,
  type Value,
} from "../spec";

/**
 * RDS, "DBInstanceIdentifier" and "DBClusterIdentifier": 1 to 63 letters, digits and single hyphens, a letter first. Small ones
 * only: RDS keeps them so, and what is written otherwise would differ from it, and be replaced, at each `up`.
 */
const identifier = /^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,62}$/;

const named = (description: string) =>
  like(
    identifier,
    "an identifier of RDS: at most 63 small letters, digits and single hyphens, a letter first",
    description,
  );

/** Which database of RDS is meant. */
const target = {
  instance: optional(named("The DB instance, where it belongs to no Aurora cluster.")),
  cluster: optional(named("The Aurora cluster, in place of an instance.")),
};

type Target = { instance?: string | undefined; cluster?: string | undefined };

/** @returns the error of a configuration that names two databases */
function notBoth(found: Target): Complaint[] {
  if (!("instance" in found && "cluster" in found)) return [];
  const text = "names both an instance and a cluster: keep cluster for Aurora, instance for any other database of RDS";
  return [{ path: [], text }];
}

/** Exactly one of the two names the database. */
function oneOf(found: Target): Complaint[] {
  if ("instance" in found || "cluster" in found) return notBoth(found);
  const text = "names no database: set instance to a DB instance of RDS, or cluster to a cluster of Aurora";
  return [{ path: [], text }];
}

/** A stack of the migration. */
export const awsKeys = {
  aws: optional(
    ruled(
      record(
        target,
        "The database in Amazon RDS: before a change, a snapshot of it is taken beside the backup. Region, profile and role are the AWS provider's own keys (aws:region, aws:profile …).",
      ),
      oneOf,
    ),
  ),
};

/** Limits that hold for an instance or for a cluster alone, where none is given. */
export const unlessGiven = {
  /**
   * RDS counts the lag of a replica of PostgreSQL from the last transaction that it replayed: on an idle source it grows until a
   * segment of WAL is switched, every 5 minutes ("Monitoring replication lag" for RDS for PostgreSQL).
   */
  instanceLagSeconds: 360,
  clusterLagSeconds: 10,
  freeStoragePercent: 20,
  freeLocalStorageGiB: 5,
} as const;

/**
 * When CloudWatch says that a database needs a look. Each default has its source: the v7 papers on benchmarks and on
 * performance monitoring, the guide's own test of performance, or a limit of this product.
 */
const alarms = record(
  {
    cpuPercent: otherwise(
      70,
      within(1, 100, number("CPU, as a mean of 5 minutes. 70: where the v7 paper on benchmarks scales up.")),
    ),
    connections: otherwise(
      80,
      within(1, 100_000, integer("Connections at once. 80: critical in the v7 paper on performance monitoring.")),
    ),
    replicaLagSeconds: optional(
      within(
        0.01,
        86_400,
        number(
          `How far a replica is behind. Aurora: ${unlessGiven.clusterLagSeconds}, twice where data migrations begin to rest. A replica of an instance: ${unlessGiven.instanceLagSeconds}, since it counts up to 5 minutes where its source is idle.`,
        ),
      ),
    ),
    freeStoragePercent: optional(
      within(
        1,
        99,
        number(
          `Room left on an instance's disk. ${unlessGiven.freeStoragePercent}: four fifths are used, high in that paper.`,
        ),
      ),
    ),
    freeLocalStorageGiB: optional(
      within(
        0.1,
        10_000,
        number(
          `Room left on an Aurora instance for sorts and index builds. ${unlessGiven.freeLocalStorageGiB}: this project's choice.`,
        ),
      ),
    ),
    deadlocksPerMinute: otherwise(
      0,
      within(
        0,
        10_000,
        number("Deadlocks a minute. 0: the migration locks in a fixed order, so that each one is news."),
      ),
    ),
    readLatencyMs: otherwise(
      20,
      within(0.1, 60_000, number("One read of the disk. 20: what the guide accepts for a whole log-in query.")),
    ),
    writeLatencyMs: otherwise(20, within(0.1, 60_000, number("One write to the disk. 20: as for reads."))),
  },
  "Above what, or below what, an alarm is raised.",
);

export type AlarmThresholds = Value<typeof alarms>;

/** @returns whether a limit is given, other than what stands for it anyway */
function alarmsGiven(found: AlarmThresholds | undefined): boolean {
  const known: Readonly<Record<string, Property>> = alarms.fields;
  return Object.entries(found ?? {}).some(([key, value]) => value !== known[key]?.default);
}

/**
 * S3, "General purpose bucket naming rules", with what it keeps for itself. No dots, which TLS certificates of S3 do not cover; without
 * them no name is an IP address either.
 */
const bucket = like(
  /^(?!xn--|sthree-|amzn-s3-demo-)(?!.*(?:-s3alias|--ol-s3|--x-s3|--table-s3|-an)$)[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]$/,
  "3 to 63 small letters, digits and hyphens, and begin or end with nothing that S3 keeps for itself (xn--, sthree-, amzn-s3-demo-; -s3alias, --ol-s3, --x-s3, --table-s3, -an)",
  "The bucket for backups; no other account of Amazon may have one of this name.",
);

/** The foundation of a stack, which outlives the migration. */
export const awsFoundationKeys = {
  aws: optional(
    ruled(
      record(
        {
          ...target,
          replicas: otherwise(
            [],
            list(
              named("A read replica."),
              "Read replicas of the instance to watch; Aurora's are known.",
              "a list of identifiers of RDS",
            ),
          ),
          bucket: optional(bucket),
          objectLockDays: optional(
            within(
              1,
              36_500,
              integer(
                "For how many days no backup can be deleted or overwritten. It cannot be taken back for what is there.",
              ),
            ),
          ),
          migrationRole: optional(
            like(
              /^[\w+=,.@-]{1,64}$/,
              "the name of a role of IAM",
              "The role that runs the migration: gets the right to upload.",
            ),
          ),
          alarms: otherwise({}, alarms),
          notify: otherwise(
            [],
            list(
              like(/^[^\s@]+@[^\s@]+\.[^\s@]+$/, "an e-mail address", "An address."),
              "Who gets the alarms by e-mail, once confirmed there.",
              "a list of e-mail addresses",
            ),
          ),
        },
        "What lasts in Amazon's cloud: a bucket and a key for backups where bucket is given, alarms of the database.",
      ),
      (found) => {
        const wrong = notBoth(found);
        const watched = "instance" in found || "cluster" in found;
        const useless = (key: string, without: string): void => {
          const text = `is of no use without ${without}: give it too, or take this out`;
          wrong.push({ path: [key], text });
        };
        if (!watched && !("bucket" in found)) {
          wrong.push({ path: [], text: "names nothing: set bucket for backups, instance or cluster for alarms" });
        }
        for (const key of ["objectLockDays", "migrationRole"]) {
          if (key in found && !("bucket" in found)) useless(key, "bucket");
        }
        for (const key of ["replicas", "notify"] as const) {
          const names = found[key]?.map((name) => name.toLowerCase()) ?? [];
          if (new Set(names).size < names.length) wrong.push({ path: [key], text: "has a name twice" });
        }
        if ((found.notify?.length ?? 0) > 0 && !watched) useless("notify", "instance or cluster");
        if (!watched && alarmsGiven(found.alarms)) useless("alarms", "instance or cluster");
        for (const [key, kind, other] of [
          ["freeStoragePercent", "instance", "cluster"],
          ["freeLocalStorageGiB", "cluster", "instance"],
        ] as const) {
          if (found.alarms?.[key] === undefined || kind in found || !(other in found)) continue;
          const text = `is of no use with ${other}, only with ${kind}: take this out`;
          wrong.push({ path: ["alarms", key], text });
        }
        if ((found.replicas?.length ?? 0) > 0 && !("instance" in found)) {
          wrong.push({
            path: ["replicas"],
            text: "goes with an instance: the readers of a cluster are known to Aurora",
          });
        }
        return wrong;
      },
    ),
  ),
};
