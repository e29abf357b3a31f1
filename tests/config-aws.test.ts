import { expect } from "chai";
import { validateConfig } from "../config";
import { awsFoundationKeys } from "../config/aws";
import { check, record } from "../spec";
import { consent, raw } from "./support/config";

describe("config: guardian:aws", () => {
  const errors = (aws: unknown): string[] => validateConfig(raw({ legacyConsent: consent, aws })).errors;
  const identifier = "an identifier of RDS: at most 63 small letters, digits and single hyphens, a letter first";

  it("18-8 names an instance or a cluster, and nothing else", () => {
    for (const aws of [{ instance: "guardian-db" }, { cluster: "a" }, { instance: "a".repeat(63) }, {}, ""]) {
      expect(errors(aws), JSON.stringify(aws)).to.deep.equal([]);
    }
  });

  const refused: [string, unknown, string][] = [
    [
      "both",
      { instance: "a", cluster: "b" },
      "guardian:aws names both an instance and a cluster: keep cluster for Aurora, instance for any other database of RDS",
    ],
    [
      "neither",
      { instance: "" },
      "guardian:aws names no database: set instance to a DB instance of RDS, or cluster to a cluster of Aurora",
    ],
    ["two hyphens", { instance: "a--b" }, `guardian:aws.instance does not fit: it must be ${identifier}`],
    ["a hyphen at the end", { cluster: "a-" }, `guardian:aws.cluster does not fit: it must be ${identifier}`],
    ["an ARN", { instance: "arn:aws:rds:x:1:db:y" }, `guardian:aws.instance does not fit: it must be ${identifier}`],
    [
      "what RDS keeps in small letters",
      { instance: "Guardian-DB" },
      `guardian:aws.instance does not fit: it must be ${identifier}`,
    ],
    ["64 characters", { instance: "a".repeat(64) }, `guardian:aws.instance does not fit: it must be ${identifier}`],
    [
      "a key of the foundation's",
      { instance: "a", bucket: "b" },
      "guardian:aws.bucket is not known: the nearest known key is guardian:aws.cluster",
    ],
  ];
  for (const [what, aws, error] of refused) {
    it(`18-8 refuses ${what} by one error`, () => expect(errors(aws)).to.deep.equal([error]));
  }

  describe("of the foundation", () => {
    const read = (aws: unknown) => check(record(awsFoundationKeys, "x"), { aws }, { root: "guardian:" });
    const faults = (aws: unknown): string[] => read(aws).faults.map(({ text }) => text);

    const bucketName =
      "3 to 63 small letters, digits and hyphens, and begin or end with nothing that S3 keeps for itself (xn--, sthree-, amzn-s3-demo-; -s3alias, --ol-s3, --x-s3, --table-s3, -an)";

    it("18-5 takes no name of a bucket that S3 refuses", () => {
      const letters = ["ab", "a".repeat(64), "Backups", "back_ups", "-backups", "backups-", "back.ups", "192.168.5.4"];
      const ends = ["s3alias", "-ol-s3", "-x-s3", "-table-s3", "an"].map((end) => `backups-${end}`);
      const starts = ["xn--backups", "sthree-backups", "sthree-configurator", "amzn-s3-demo-backups", "b.mrap"];
      for (const bucket of [...letters, ...ends, ...starts]) {
        const complaint = `guardian:aws.bucket does not fit: it must be ${bucketName}`;
        expect(faults({ bucket }), bucket).to.deep.equal([complaint]);
      }
      for (const bucket of ["abc", "a".repeat(63), "0-backups", "backups-japan", "org--backups"]) {
        expect(faults({ bucket }), bucket).to.deep.equal([]);
      }
    });

    it("18-7 fills in every default", () => {
      expect(read({ instance: "guardian-db" }).value).to.deep.equal({
        aws: {
          instance: "guardian-db",
          replicas: [],
          alarms: {
            cpuPercent: 70,
            connections: 80,
            deadlocksPerMinute: 0,
            readLatencyMs: 20,
            writeLatencyMs: 20,
          },
          notify: [],
        },
      });
      expect(read(undefined)).to.deep.equal({ value: {}, faults: [] });
    });

    it("18-5 says all that is wrong at once", () => {
      expect(
        faults({
          cluster: "c",
          replicas: ["r", "r--"],
          bucket: "Backups.of.guardian",
          objectLockDays: 0,
          notify: ["nobody"],
          alarms: { cpuPercent: 101, memory: 1 },
        }),
      ).to.deep.equal([
        `guardian:aws.replicas has something else at [1]: it must be a list of identifiers of RDS`,
        `guardian:aws.bucket does not fit: it must be ${bucketName}`,
        "guardian:aws.objectLockDays is 0: it must be a whole number from 1 to 36500",
        "guardian:aws.alarms.cpuPercent is 101: it must be a number from 1 to 100",
        "guardian:aws.alarms.memory is not known: the nearest known key is guardian:aws.alarms.cpuPercent",
        "guardian:aws.notify has something else at [0]: it must be a list of e-mail addresses",
      ]);
    });

    it("18-5 refuses what has no use, and what contradicts itself", () => {
      expect(faults({ instance: "i", objectLockDays: 30, migrationRole: "r" })).to.deep.equal([
        "guardian:aws.objectLockDays is of no use without bucket: give it too, or take this out",
        "guardian:aws.migrationRole is of no use without bucket: give it too, or take this out",
      ]);
      expect(faults({ cluster: "c", replicas: ["r"] })).to.deep.equal([
        "guardian:aws.replicas goes with an instance: the readers of a cluster are known to Aurora",
      ]);
      expect(faults({ instance: "i", cluster: "c" })).to.deep.equal([
        "guardian:aws names both an instance and a cluster: keep cluster for Aurora, instance for any other database of RDS",
      ]);
      expect(faults({ instance: "i", replicas: ["r", "s", "r"], notify: ["a@b.org", "A@b.org"] })).to.deep.equal([
        "guardian:aws.replicas has a name twice",
        "guardian:aws.notify has a name twice",
      ]);
      expect(faults({ notify: ["on-call@example.org"] })).to.deep.equal([
        "guardian:aws names nothing: set bucket for backups, instance or cluster for alarms",
        "guardian:aws.notify is of no use without instance or cluster: give it too, or take this out",
      ]);
      expect(faults({ bucket: "guardian-backups" })).to.deep.equal([]);
      for (const alarms of [{ cpuPercent: 50 }, { freeStoragePercent: 20 }]) {
        expect(faults({ bucket: "guardian-backups", alarms })).to.deep.equal([
          "guardian:aws.alarms is of no use without instance or cluster: give it too, or take this out",
        ]);
      }
      expect(faults({ cluster: "c", alarms: { freeStoragePercent: 20, freeLocalStorageGiB: 5 } })).to.deep.equal([
        "guardian:aws.alarms.freeStoragePercent is of no use with cluster, only with instance: take this out",
      ]);
      expect(faults({ instance: "i", alarms: { freeStoragePercent: 20, freeLocalStorageGiB: 5 } })).to.deep.equal([
        "guardian:aws.alarms.freeLocalStorageGiB is of no use with instance, only with cluster: take this out",
      ]);
    });
  });
});
