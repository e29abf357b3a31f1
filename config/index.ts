import * as pulumi from "@pulumi/pulumi";
import { configuration, configurationWith, type GuardianConfig } from "./keys";
import { checkRaw, meant, readRaw, type Checked, type Raw } from "./read";

export type { GuardianConfig } from "./keys";
export { flagNames } from "./flags";
export { stages, stageType, type Stage } from "./stages";

/** The same as the program uses it: allow-lists are secret in state. */
export type StackConfig = Omit<GuardianConfig, "allowList"> & {
  allowList: Partial<Record<string, pulumi.Output<string[]>>>;
};

/**
 * Reads and checks all guardian:* keys of the stack.
 * @param modules the folders of sql/, which guardian:flags may name; undefined: any name passes
 * @throws pulumi.RunError that lists every error of the configuration at once; Pulumi shows it without a stack trace
 */
export function readConfig(modules?: readonly string[]): StackConfig {
  const config = readRaw((raw, secretKeys) => validateConfig(raw, secretKeys, modules));
  const lists = Object.entries(config.allowList).map(([flag, users]) => [flag, pulumi.secret(users ?? [])] as const);
  return { ...config, allowList: Object.fromEntries(lists) };
}

/**
 * Checks raw configuration.
 * @param secretKeys keys whose values must not be shown
 * @param modules as for readConfig
 */
export function validateConfig(
  raw: Raw,
  secretKeys: readonly string[] = [],
  modules?: readonly string[],
): Checked<GuardianConfig> {
  const root = "guardian:";
  // Whatever is wrong with a flag that is declared: that its percentage is not known besides helps nobody.
  const flags = meant(raw[`${root}flags`], configuration.fields.flags);
  const names = typeof flags === "object" && flags !== null ? Object.keys(flags) : [];
  return checkRaw(root, configurationWith(names, modules), raw, secretKeys) as Checked<GuardianConfig>;
}
