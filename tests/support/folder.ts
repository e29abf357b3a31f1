import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs work with a temporary folder of its own, whose path has spaces; afterwards it is gone. */
export async function withFolder<T>(work: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "folder of a test "));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Called in a describe: gives every test an empty folder of its own, which is removed after it.
 * @param name with which the folder's begins
 * @returns the folder, or a path in it
 */
export function useFolder(name: string): (...path: string[]) => string {
  let folder = "";
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), name))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  return (...path) => join(folder, ...path);
}
