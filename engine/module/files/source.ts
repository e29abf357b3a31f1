import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, extname, join, sep } from "node:path";
import { sqlFolder } from "./folder";

/** The code that reads modules and data migrations: what it makes of the same files may change with it. */
const code = [
  "../../base/hash",
  "../../base/remembered",
  "./down",
  "./manifest",
  "./meaning",
  "./lexer",
  "./statements",
  "./touching",
  "./up-files",
  "../../migrate/definition/migration",
  "../../migrate/definition/range",
];

/**
 * A hash of folders of sql/ as they stand, byte for byte, and of the code that reads them. As long as it is the same,
 * what was read from them is the same, and parsing them again can be spared.
 * @param names folders below sql/: `004_enhanced_consent`, `data/consents`
 * @returns undefined if one of them cannot be read; reading it properly will say why
 */
export function sourceHash(names: readonly string[], folder = sqlFolder): string | undefined {
  const hash = createHash("sha256");
  const add = (name: string, path: string): void => {
    const content = readFileSync(path);
    hash.update(`${name} ${content.length}\n`).update(content);
  };
  try {
    for (const file of code) add(file, join(__dirname, file + extname(__filename)));
    add("parser", join(dirname(require.resolve("@libpg-query/parser")), "..", "package.json"));
    for (const name of [...names].sort()) {
      if (!/^(data\/)?\w+$/.test(name)) return undefined;
      for (const file of within(join(folder, name))) {
        if (file.endsWith(sep)) hash.update(`${name}/${file}\n`);
        else add(`${name}/${file}`, join(folder, name, file));
      }
    }
  } catch {
    return undefined;
  }
  return hash.digest("hex").slice(0, 32);
}

/** Everything in a folder, in order; folders too, with a separator at the end, for an empty one says something as well. */
function within(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const found = entries.flatMap((entry) => {
    if (!entry.isDirectory()) return [entry.name];
    const name = `${entry.name}${sep}`;
    return [name, ...within(join(folder, name)).map((file) => `${name}${file}`)];
  });
  return found.sort();
}
