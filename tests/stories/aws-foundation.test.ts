import { expect } from "chai";
import * as pulumi from "@pulumi/pulumi";
import { AwsBackupStore } from "../../components/aws-backup-store";
import { startAwsStandIn, withAwsStack } from "../support/aws-stand-in";
import { long } from "../support/long";

describe("the store for backups, on the real engine and with a stand-in for the AWS provider", function () {
  this.timeout(120_000);

  long(
    "18-5 a destroy takes the uploader's right, leaves key, bucket and all that guards it, and names each",
    async () => {
      const aws = await startAwsStandIn();
      await withAwsStack(aws, { project: "guardian-foundation", name: "prod" }, async (own) => {
        const program = (): Promise<Record<string, unknown>> => {
          const args = { stack: pulumi.getStack(), bucket: "guardian-backups", objectLockDays: 30, migrationRole: "m" };
          const { bucket, keyArn: backupKey } = new AwsBackupStore("backups", args);
          return Promise.resolve({ bucket, backupKey });
        };
        const up = await own.run(["up", "--yes", "--skip-preview", "--stack", "prod"], { program });
        expect(up.code, up.stdout + up.stderr).to.equal(0);
        const made = aws.calls.splice(0);
        expect(made).to.have.length(12);

        const destroy = await own.run(["destroy", "--yes", "--skip-preview", "--stack", "prod"], { program });
        const output = destroy.stdout + destroy.stderr;
        expect(destroy.code, output).not.to.equal(0);
        expect(aws.calls.sort()).to.deep.equal([
          "delete aws:iam/policy:Policy",
          "delete aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        ]);
        // What others stand on is not even tried, once one of these is refused.
        const guards = ["BucketPolicy", "BucketObjectLockConfiguration", "BucketLifecycleConfiguration", "Alias"];
        for (const guard of guards) expect(output).to.match(new RegExp(`:${guard}::backups" cannot be deleted`));
        expect(output).to.contain("because it is protected").and.contain('bucket   : "guardian-backups"');
        expect(output).to.match(/Resources:\n +- 2 deleted\n/);
        const state = await own.must(["stack", "export"]);
        const kept = made.map((call) => call.replace("create ", "")).filter((type) => !type.startsWith("aws:iam/"));
        expect(kept).to.have.length(10);
        for (const type of kept) expect(state).to.contain(`"type": "${type}"`);
      }).finally(() => aws.stop());
    },
  );
});
