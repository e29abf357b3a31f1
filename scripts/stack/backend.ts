import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { packageName } from "../../spec";

/** The clone that this file is in. */
export const clone = resolve(__dirname, "../..");

/** Where a stack keeps what Pulumi needs, apart from the user's own. */
export interface Backend {
  /** Absolute folders: the state, which must be there, and PULUMI_HOME. */
  state: string;
  home: string;
  /** Its secrets are made up. */
  passphrase: string;
}

/** What points the engine to this backend, and nowhere else. */
export function variables({ state, home, passphrase }: Backend): Record<string, string> {
  return {
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: pathToFileURL(state).href,
    PULUMI_CONFIG_PASSPHRASE: passphrase,
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
}

/** The engine's whole environment. The user's own settings of Pulumi and libpq have no business in it. */
export function environment(backend: Backend, more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PULUMI_|PG)/.test(name));
  return { ...Object.fromEntries(kept), ...variables(backend), ...more };
}

/**
 * Pulumi.yaml of a project that stands for the product's and is elsewhere.
 * @param plugin folder of the plugin, where it is not the product's
 */
export function projectFile(plugin = join(clone, "provider")) {
  return { name: "guardian", runtime: "nodejs", plugins: { providers: [{ name: packageName, path: plugin }] } };
}
