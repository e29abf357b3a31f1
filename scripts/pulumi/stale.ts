import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { alive } from "./lock";

/**
 * Whether a file backend holds the lock of a run that is dead (kill -9, power loss): Pulumi's own error says only that
 * the stack is locked. Locks are files `.pulumi/locks/…/*.json` with the pid and host of their owner.
 * @param backend PULUMI_BACKEND_URL; anything but file:// answers false, such a backend knows its own runs
 */
export function staleLock(backend: string | undefined): boolean {
  if (!backend?.startsWith("file://")) return false;
  let folder: string;
  try {
    const expanded = backend.replace(/^file:\/\/~/, pathToFileURL(homedir()).href);
    folder = join(fileURLToPath(expanded), ".pulumi", "locks");
  } catch {
    return false;
  }
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .some((name) => deadOwner(join(folder, name)));
}

function deadOwner(file: string): boolean {
  try {
    const owner = JSON.parse(readFileSync(file, "utf8")) as { pid?: number; hostname?: string };
    return owner.hostname === hostname() && typeof owner.pid === "number" && !alive(owner.pid);
  } catch {
    return false;
  }
}
