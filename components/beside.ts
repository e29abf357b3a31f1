import type * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config";
import type { Beside } from "./infrastructure";
import { lazily } from "./lazy";
import { kept } from "./secrets";

/** What is there besides the backup before anything is changed, and what the stack says of it. */
export function besideBackup(
  config: Pick<StackConfig, "aws" | "secrets">,
  stack: string,
): { beside: Beside | undefined; outputs: Record<string, pulumi.Input<string>> } {
  const outputs: Record<string, pulumi.Input<string>> = {};
  const { aws: target } = config;
  if (!target) return { beside: undefined, outputs };
  const beside: Beside = (backup, stage) => {
    const args = { stack, target, covers: backup.covers };
    const snapshot = new lazily.awsSnapshot.AwsSnapshot("snapshot", args, { parent: stage, after: backup });
    outputs["snapshot"] = kept(config, ["aws"], snapshot.identifier);
    return snapshot.taken;
  };
  return { beside, outputs };
}
