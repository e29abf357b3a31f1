import { checkRaw, readRaw, type Checked, type Raw } from "../read";
import { secretsOf } from "./access";
import { foundation, foundationProject, type FoundationConfig } from "./keys";

export { foundationProject, type FoundationConfig } from "./keys";
export { readPasswords, type Passwords } from "./passwords";

/** Checks raw configuration of foundation/. @param secretKeys keys whose values must not be shown */
export function validateFoundation(raw: Raw, secretKeys: readonly string[] = []): Checked<FoundationConfig> {
  const root = `${foundationProject}:`;
  const checked = checkRaw(root, foundation, raw, secretKeys) as Checked<FoundationConfig>;
  const access = checked.config?.access;
  // Pulumi says of a key as a whole that it holds a secret.
  if (!access || secretKeys.includes(`${root}access`)) return checked;
  const errors = secretsOf(access).map(
    ([key]) => `${root}${key} stands in clear in the stack's file: make another, and set it with --secret`,
  );
  return errors.length > 0 ? { config: undefined, errors } : checked;
}

/**
 * Reads and checks all keys of a stack of foundation/.
 * @throws pulumi.RunError that lists every error of the configuration at once
 */
export const readFoundation = (): FoundationConfig => readRaw(validateFoundation);
