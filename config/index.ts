import * as pulumi from "@pulumi/pulumi";
import { check, pulumiCommand, type Property } from "../spec";
import type { ErrorCode } from "../spec/codes";
import { configuration, configurationWith, type GuardianConfig } from "./keys";

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
  const raw = pulumi.runtime.allConfig();
  // Exported by the runtime, missing from its types.
  const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret: (key: string) => boolean };
  const { config, errors } = validateConfig(raw, Object.keys(raw).filter(isConfigSecret), modules);
  if (!config) {
    throw new pulumi.RunError(
      `The configuration of stack ${pulumi.getStack()} has ${errors.length} error${errors.length === 1 ? "" : "s"}` +
        ` (Pulumi.${pulumi.getStack()}.yaml) [${"config-invalid" satisfies ErrorCode}]:\n${errors.map((error) => `  ${error}`).join("\n")}`,
    );
  }
  const lists = Object.entries(config.allowList).map(([flag, users]) => [flag, pulumi.secret(users ?? [])] as const);
  return { ...config, allowList: Object.fromEntries(lists) };
}

/**
 * Checks raw configuration, `guardian:key` → string (objects as JSON), as Pulumi hands it over. Keys of other
 * namespaces are others' business.
 * @param secretKeys keys whose values must not be shown
 * @param modules as for readConfig
 * @returns the configuration, or undefined and all errors: which key, what is wrong with it, what is allowed
 */
export function validateConfig(
  raw: Record<string, string>,
  secretKeys: readonly string[] = [],
  modules?: readonly string[],
): { config: GuardianConfig | undefined; errors: string[] } {
  const root = "guardian:";
  const own = Object.entries(raw).filter(([key]) => key.startsWith(root));
  const given = Object.fromEntries(own.map(([key, value]) => [key.slice(root.length), value]));
  // Whatever is wrong with a flag that is declared: that its percentage is not known besides helps nobody.
  const flags = meant(given["flags"], configuration.fields.flags);
  const names = typeof flags === "object" && flags !== null ? Object.keys(flags) : [];
  const { value, faults } = check(configurationWith(names, modules), given, {
    root,
    reads: meant,
    hides: (path) => secretKeys.some((key) => root + path === key || (root + path).startsWith(`${key}.`)),
    objects: `set its keys one by one, ${pulumiCommand("config set --path")}`,
  });
  const absent = Object.fromEntries(Object.keys(configuration.fields).map((key) => [key, undefined]));
  const config = value && ({ ...absent, ...value } as GuardianConfig);
  return { config, errors: faults.map((fault) => fault.text) };
}

/**
 * What stands for what: a number or a truth value may be written as text, an object of the top level as JSON. An empty
 * text or object is absent, since a key that Pulumi.yaml declares must have a default.
 */
function meant(value: unknown, { type }: Property): unknown {
  if (value === "") return undefined;
  if (type === "object") return full(typeof value === "string" ? parsed(value) : value);
  if (typeof value !== "string") return value;
  if (type === "boolean") return value === "true" || (value !== "false" && value);
  const numeric = (type === "number" || type === "integer") && /^-?\d+(\.\d+)?$/.test(value.trim());
  return numeric ? Number(value) : value;
}

function full(object: unknown): unknown {
  const empty = typeof object === "object" && object !== null && Object.keys(object).length === 0;
  return empty && !Array.isArray(object) ? undefined : object;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) ?? text;
  } catch {
    return text;
  }
}
