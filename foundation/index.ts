import * as pulumi from "@pulumi/pulumi";
import { lazily } from "../components/lazy-foundation";
import { readFoundation, readPasswords, type FoundationConfig } from "../config/foundation";

/**
 * What outlives a migration, brought up first and seldom, by an administrator: the migration's stack needs none, and its
 * destroy takes nothing of this away. Each part is loaded where it is configured: a stack without roles needs no plugin of
 * PostgreSQL's, one without a cloud none of the cloud's.
 */
export = async () => {
  const config = readFoundation(__dirname);
  const outputs: Record<string, unknown> = {};

  if (config.access && config.database) {
    const { DatabaseAccess } = lazily.databaseAccess;
    const passwords = readPasswords(config, __dirname, process.env);
    const { database, access } = config;
    outputs["roles"] = new DatabaseAccess("access", { database, access, passwords }).roles;
  }

  if (config.aws) Object.assign(outputs, inAws(pulumi.getStack(), config.aws));

  if (Object.keys(outputs).length === 0) {
    const keys = "its keys are in docs/configuration.md, and foundation/Pulumi.prod.yaml has them all";
    await pulumi.log.warn(`stack ${pulumi.getStack()} of foundation/ configures nothing: ${keys}`);
  }
  return outputs;
};

/** @returns what the stack says of its part in AWS */
function inAws(stack: string, aws: NonNullable<FoundationConfig["aws"]>): Record<string, unknown> {
  const { bucket, objectLockDays, migrationRole, instance, cluster, replicas, alarms, notify } = aws;
  const outputs: Record<string, unknown> = {};
  if (bucket !== undefined) {
    const { AwsBackupStore } = lazily.awsBackupStore;
    const store = new AwsBackupStore("backups", { stack, bucket, objectLockDays, migrationRole });
    Object.assign(outputs, { bucket: store.bucket, backupKey: store.keyArn, uploaderPolicy: store.uploaderPolicyArn });
  }
  if (instance !== undefined || cluster !== undefined) {
    const { AwsMonitoring } = lazily.awsMonitoring;
    const watched = { stack, target: { instance, cluster }, replicas, thresholds: alarms, notify };
    outputs["alarms"] = new AwsMonitoring("alarms", watched).topicArn;
  }
  return outputs;
}
