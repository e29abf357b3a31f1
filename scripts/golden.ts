import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Files of the repository that a command makes. */
export interface Golden {
  /** The command as people type it: `npm run docs`. */
  command: string;
  /** Where the files are. */
  folder: string;
  /** Their text by their path below the folder. */
  files: ReadonlyMap<string, string>;
  /** Files that are there and are not made any more, by their path below the folder. */
  gone: readonly string[];
}

/** @returns the files that are missing or differ from what was made */
export function differing(files: ReadonlyMap<string, string>, folder: string): string[] {
  const read = (path: string): string | undefined =>
    existsSync(join(folder, path)) ? readFileSync(join(folder, path), "utf8") : undefined;
  return [...files].filter(([path, text]) => read(path) !== text).map(([path]) => path);
}

/**
 * Writes the files and removes those that are gone; or, to check, names those that are stale and writes nothing.
 * @returns the exit code: 1 if it checked and something is stale
 */
export function settle({ command, folder, files, gone }: Golden, check: boolean, say: (line: string) => void): number {
  const changed = differing(files, folder);
  const stale = [...changed, ...gone].map((path) => relative(join(__dirname, ".."), join(folder, path))).sort();
  if (check) {
    for (const path of stale) say(`stale: ${path}`);
    say(stale.length > 0 ? `run \`${command}\` and commit what it writes` : `${files.size} files are current`);
    return stale.length > 0 ? 1 : 0;
  }
  for (const path of gone) rmSync(join(folder, path));
  for (const path of changed) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), files.get(path) ?? "");
  }
  say(`${files.size} files, ${stale.length} of them changed`);
  return 0;
}
