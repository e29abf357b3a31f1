import { accessSync, constants, mkdirSync, realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import { pinned } from "./versions";

/** True if the file exists, is no folder and may be executed by us. */
export function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** All executables of that name on PATH, in its order; relative entries are passed over. */
export function allOnPath(name: string, env: NodeJS.ProcessEnv): string[] {
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder.startsWith("/"));
  return [...new Set(folders)].map((folder) => join(folder, name)).filter(executable);
}

/**
 * The folder of the cached engine, outside the work tree (XDG Base Directory Specification: $XDG_CACHE_HOME, else
 * ~/.cache). It holds `pulumi` and, if it was downloaded, `pulumi-language-nodejs`.
 */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  const xdg = env["XDG_CACHE_HOME"];
  const base = xdg?.startsWith("/") ? xdg : join(env["HOME"] ?? homedir(), ".cache");
  return join(base, "guardian", "pulumi", pinned);
}

/** Makes the cache folder. @throws GuardianError if it cannot be written. */
export function makeCacheFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (cause) {
    throw new GuardianError("folder-unusable", {
      what: "The folder that keeps the pulumi engine cannot be written",
      where: folder,
      todo: ["set XDG_CACHE_HOME to a folder you may write", "install Pulumi so that `pulumi` is on PATH"],
      cause,
    });
  }
}

/**
 * Whether this engine can start Node programs itself: it looks for its language host on PATH and beside its own
 * executable, links resolved. A "no" where the truth is "yes" costs nothing, the program is then served inline.
 */
export function hasLanguageHost(engine: string, env: NodeJS.ProcessEnv): boolean {
  const host = "pulumi-language-nodejs";
  return allOnPath(host, env).length > 0 || executable(join(dirname(realpathSync(engine)), host));
}
