import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { foundationProject } from "../../config/foundation/keys";

/** Keys, without their namespace, that let a program load @pulumi/aws or @pulumi/postgresql. */
const loading = ["aws", "access"];

const projects = ["guardian", foundationProject];

/** The providers of these packages, as a state names them. */
const providers = ["pulumi:providers:aws", "pulumi:providers:postgresql"];

/** Options that configure beside the stack's file: -c, also among other letters, --config, --config-file. */
const configuring = /^(-[^-]*c|--config)/;

/**
 * An official Pulumi asks before each run for the plugin of every package in node_modules, used or not, and tries ten times where
 * it is offline. Where the stack declares nothing of these packages, and its state has nothing of them that a run would take back,
 * it is told not to. A state that cannot be read (another backend than files) may have; whoever sets the variable himself decides.
 * @param stack the one that is meant; its file says what it declares
 * @param env with PULUMI_BACKEND_URL, where the state is in files
 * @param args the command line's
 * @returns what to add to the engine's environment
 */
export function withoutPlugins(
  project: string,
  stack: string | undefined,
  env: NodeJS.ProcessEnv,
  args: readonly string[] = [],
): Record<string, string> {
  const name = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";
  if (env[name] !== undefined || stack === undefined || args.some((arg) => configuring.test(arg))) return {};
  try {
    const file = read(join(project, "Pulumi.yaml"));
    // Another project's packages are its own business.
    if (!projects.includes(String(file["name"]))) return {};
    const config = read(join(project, `Pulumi.${stack}.yaml`))["config"] ?? {};
    if (Object.entries(config).some(([key, value]) => loads(key, value))) return {};
    const backend = new URL(env["PULUMI_BACKEND_URL"] ?? "");
    const state = stateText(join(fileURLToPath(backend), ".pulumi", "stacks", String(file["name"])), stack);
    return providers.some((one) => state.includes(one)) ? {} : { [name]: "true" };
  } catch {
    return {}; // a file that cannot be read is the CLI's to complain about; of a state elsewhere nothing is known
  }
}

/** @returns a stack's state in the file backend; empty where it has none yet */
function stateText(folder: string, stack: string): string {
  const plain = join(folder, `${stack}.json`);
  if (existsSync(plain)) return readFileSync(plain, "utf8");
  return existsSync(`${plain}.gz`) ? gunzipSync(readFileSync(`${plain}.gz`)).toString("utf8") : "";
}

const read = (path: string): Record<string, unknown> =>
  existsSync(path) ? ((parse(readFileSync(path, "utf8")) as Record<string, unknown> | null) ?? {}) : {};

/** An empty text or object counts as absent (config/read.ts). */
function loads(key: string, value: unknown): boolean {
  const given = typeof value === "object" && value !== null ? Object.keys(value).length > 0 : value !== "";
  return given && value !== "{}" && loading.includes(key.replace(/^[^:]*:/, ""));
}
