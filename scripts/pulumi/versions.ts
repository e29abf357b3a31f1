import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** The engine this project is built and tested with; scripts/pulumi-cli/go.mod pins the same. */
export const pinned = "3.250.0";

/** The oldest engine that is taken from PATH: the SDK in package.json is of this version. */
export const oldest = "3.230.0";

/** Reads `3.250.0` out of what `pulumi version` or `go version` prints; undefined if there is no version in it. */
export function parseVersion(text: string): string | undefined {
  return /(\d+\.\d+(?:\.\d+)?)/.exec(text)?.[1];
}

/** True if version a is b or newer; both are dotted numbers, a missing part counts as 0. */
export function atLeast(a: string, b: string): boolean {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/**
 * Asks an executable for its version and so proves that it runs here: a file for another processor, a broken link or a
 * shim without a tool behind it answers undefined.
 */
export async function askVersion(path: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    // It ends before its garbage is worth a collection, which would be a third of its time.
    const quiet = { ...env, PULUMI_SKIP_UPDATE_CHECK: "true", GOGC: "off" };
    const { stdout } = await promisify(execFile)(path, ["version"], { env: quiet, timeout: 20_000 });
    return parseVersion(stdout);
  } catch {
    return undefined;
  }
}
