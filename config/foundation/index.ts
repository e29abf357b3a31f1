import { checkRaw, readRaw, type Checked, type Raw } from "../read";
import { foundation, foundationProject, type FoundationConfig } from "./keys";

export { foundationProject, type FoundationConfig } from "./keys";
export { readPasswords, type Passwords } from "./passwords";

/** Checks raw configuration of foundation/. @param secretKeys keys whose values must not be shown */
export const validateFoundation = (raw: Raw, secretKeys: readonly string[] = []): Checked<FoundationConfig> =>
  checkRaw(`${foundationProject}:`, foundation, raw, secretKeys) as Checked<FoundationConfig>;

/**
 * Reads and checks all keys of a stack of foundation/.
 * @throws pulumi.RunError that lists every error of the configuration at once
 */
export const readFoundation = (): FoundationConfig => readRaw(validateFoundation);
