import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { foundationProject } from "../../config/foundation/keys";

/** Keys, without their namespace, that let a program load @pulumi/aws or @pulumi/postgresql. */
const loading = ["aws", "access"];

const projects = ["guardian", foundationProject];

/**
 * An official Pulumi asks before each run for the plugin of every package in node_modules, used or not, and tries ten times where
 * it is offline. Where the stack declares nothing of these packages it is told not to; whoever sets the variable himself decides.
 * @param stack the one that is meant; its file says what it declares
 * @returns what to add to the engine's environment
 */
export function withoutPlugins(
  project: string,
  stack: string | undefined,
  env: NodeJS.ProcessEnv,
): Record<string, string> {
  const name = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";
  if (env[name] !== undefined || stack === undefined) return {};
  try {
    const file = read(join(project, "Pulumi.yaml"));
    // Another project's packages are its own business.
    if (!projects.includes(String(file["name"]))) return {};
    const config = read(join(project, `Pulumi.${stack}.yaml`))["config"] ?? {};
    return Object.entries(config).some(([key, value]) => loads(key, value)) ? {} : { [name]: "true" };
  } catch {
    return {}; // a file that cannot be read is the CLI's to complain about
  }
}

const read = (path: string): Record<string, unknown> =>
  existsSync(path) ? ((parse(readFileSync(path, "utf8")) as Record<string, unknown> | null) ?? {}) : {};

/** An empty text or object counts as absent (config/read.ts). */
function loads(key: string, value: unknown): boolean {
  const given = typeof value === "object" && value !== null ? Object.keys(value).length > 0 : value !== "";
  return given && value !== "{}" && loading.includes(key.replace(/^[^:]*:/, ""));
}
