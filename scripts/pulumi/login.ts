import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";

/**
 * Whether the user has told Pulumi where his state lives: by variable, in the project file, or by `pulumi login`. Then
 * his login and his stacks are used untouched. (Pulumi, "State and backends"; the CLI reads credentials.json in
 * $PULUMI_CREDENTIALS_PATH, else in $PULUMI_HOME, else in ~/.pulumi.)
 */
export function hasLogin(project: string, env: NodeJS.ProcessEnv): boolean {
  if (env["PULUMI_BACKEND_URL"] || env["PULUMI_ACCESS_TOKEN"]) return true;
  return projectBackend(project) || !!credentials(env)?.current;
}

/** `backend: {url: …}` in Pulumi.yaml. A file that cannot be read is the CLI's to complain about. */
function projectBackend(project: string): boolean {
  try {
    const file = parse(readFileSync(join(project, "Pulumi.yaml"), "utf8")) as { backend?: { url?: string } } | null;
    return !!file?.backend?.url;
  } catch {
    return false;
  }
}

function credentials(env: NodeJS.ProcessEnv): { current?: string } | undefined {
  const home = env["PULUMI_HOME"] ?? join(env["HOME"] ?? homedir(), ".pulumi");
  const folder = env["PULUMI_CREDENTIALS_PATH"] ?? home;
  try {
    return JSON.parse(readFileSync(join(folder, "credentials.json"), "utf8")) as { current?: string };
  } catch {
    return undefined;
  }
}
