import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * The files that a file backend keeps in its folder (`.pulumi`), or in one folder of it (`locks`, `stacks`), by path; none
 * for any other backend, which knows its own runs.
 * @param backend PULUMI_BACKEND_URL
 * @param ending of the names that are meant
 */
export function backendFiles(backend: string | undefined, kind: "" | "locks" | "stacks", ending = ".json"): string[] {
  if (!backend?.startsWith("file://")) return [];
  let folder: string;
  try {
    const expanded = backend.replace(/^file:\/\/~/, pathToFileURL(homedir()).href);
    folder = join(fileURLToPath(expanded), ".pulumi", kind);
  } catch {
    return [];
  }
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: kind !== "", encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));
}
