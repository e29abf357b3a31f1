import * as pulumi from "@pulumi/pulumi";
import { validateConfig, type GuardianConfig } from "./keys";
import { readRaw } from "./read";

export { validateConfig, type GuardianConfig } from "./keys";
export { flagNames } from "./flags";
export { stages, stageType, type Stage } from "./stages";

/** The same as the program uses it: allow-lists are secret in state. */
export type StackConfig = Omit<GuardianConfig, "allowList"> & {
  allowList: Partial<Record<string, pulumi.Output<string[]>>>;
  /** The keys that are a secret in the stack's file, or have one in them. */
  secrets: ReadonlySet<string>;
};

/**
 * Reads and checks all guardian:* keys of the stack.
 * @param modules the folders of sql/, which guardian:flags may name; undefined: any name passes
 * @throws pulumi.RunError that lists every error of the configuration at once; Pulumi shows it without a stack trace
 */
export function readConfig(modules?: readonly string[]): StackConfig {
  const secrets = new Set<string>();
  const config = readRaw((raw, secretKeys) => {
    for (const key of secretKeys) if (key.startsWith("guardian:")) secrets.add(key.slice("guardian:".length));
    return validateConfig(raw, secretKeys, modules);
  });
  const lists = Object.entries(config.allowList).map(([flag, users]) => [flag, pulumi.secret(users ?? [])] as const);
  return { ...config, allowList: Object.fromEntries(lists), secrets };
}
