import * as pulumi from "@pulumi/pulumi";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { checkRaw, meant, type Checked, type Raw } from "../raw";
import { readRaw } from "../read";
import { accessKeys, secretsOf } from "./access";
import { foundation, foundationProject, type FoundationConfig } from "./keys";

export { foundationProject, type FoundationConfig } from "./keys";
export { readPasswords, type Passwords } from "./passwords";

const root = `${foundationProject}:`;

/**
 * Checks raw configuration of foundation/.
 * @param secretKeys keys whose values must not be shown
 * @param written the key `access` as it stands in the stack's file, where that is known
 */
export function validateFoundation(
  raw: Raw,
  secretKeys: readonly string[] = [],
  written?: unknown,
): Checked<FoundationConfig> {
  const checked = checkRaw(root, foundation, raw, secretKeys) as Checked<FoundationConfig>;
  const access = checked.config?.access;
  if (!access) return checked;
  // Pulumi says of a key as a whole that it holds a secret: which of several passwords that is, the file alone tells.
  const holdsSecret = secretKeys.includes(`${root}access`);
  const file = meant(written, accessKeys.access);
  const errors = secretsOf(access)
    .filter(([key]) => !holdsSecret || typeof valueAt({ access: file }, key.split(".")) === "string")
    .map(([key]) => `${root}${key} stands in clear in the stack's file: make another, and set it with --secret`);
  return errors.length > 0 ? { config: undefined, errors } : checked;
}

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((found, key) => (found as Record<string, unknown> | null | undefined)?.[key], value);

/**
 * The key `access` as the stack's file has it, in which a secret is an object, `{secure: …}`. Undefined where the file stands
 * elsewhere (`--config-file`): then Pulumi's word of the whole key is all that there is.
 */
function writtenAccess(folder: string): unknown {
  try {
    const text = readFileSync(join(folder, `Pulumi.${pulumi.getStack()}.yaml`), "utf8");
    return (parse(text) as { config?: Record<string, unknown> } | null)?.config?.[`${root}access`];
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw err;
  }
}

/**
 * Reads and checks all keys of a stack of foundation/.
 * @param folder the project's, with the stacks' files
 * @throws pulumi.RunError that lists every error of the configuration at once
 */
export const readFoundation = (folder: string): FoundationConfig =>
  readRaw((raw, secretKeys) => validateFoundation(raw, secretKeys, writtenAccess(folder)));
