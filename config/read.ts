import * as pulumi from "@pulumi/pulumi";
import type { ErrorCode } from "../spec/codes";
import type { Checked, Raw } from "./raw";

/**
 * Reads what the stack's file says, and checks it.
 * @throws pulumi.RunError that lists every error of the configuration at once; Pulumi shows it without a stack trace
 */
export function readRaw<T>(checked: (raw: Raw, secretKeys: readonly string[]) => Checked<T>): T {
  const raw = pulumi.runtime.allConfig();
  // Exported by the runtime, missing from its types.
  const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret: (key: string) => boolean };
  const { config, errors } = checked(raw, Object.keys(raw).filter(isConfigSecret));
  if (!config) throw refused(errors);
  return config;
}

/** @returns the error that lists all that is wrong with the stack's configuration */
export function refused(errors: readonly string[]): pulumi.RunError {
  return new pulumi.RunError(
    `The configuration of stack ${pulumi.getStack()} has ${errors.length} error${errors.length === 1 ? "" : "s"}` +
      ` (Pulumi.${pulumi.getStack()}.yaml) [${"config-invalid" satisfies ErrorCode}]:\n${errors.map((error) => `  ${error}`).join("\n")}`,
  );
}
