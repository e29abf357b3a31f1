import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqlFolder } from "../../../engine/module/files/manifest";

const folders: string[] = [];

/**
 * A copy of sql/ as the version before had one module: without the bounds on what a user can write, and without the
 * comparison of what was made (verify.sql).
 * @returns the folder of modules
 */
export function withoutBounds(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "guardian-unbounded-"));
  folders.push(folder);
  const sql = join(folder, "sql");
  cpSync(join(sqlFolder, name), join(sql, name), { recursive: true });
  writeFileSync(join(sql, name, "verify.sql"), "");
  const up = join(sql, name, "up");
  const files = statSync(up, { throwIfNoEntry: false })
    ? readdirSync(up).map((file) => join(up, file))
    : [join(sql, name, "up.sql")];
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    writeFileSync(
      file,
      text
        .replaceAll(/CHECK \(octet_length\((\w+(?:::text)?)\) <= \d+\)/g, "CHECK (true)")
        .replaceAll(/octet_length\((NEW\.\w+::text)\) > \d+/g, "false"),
    );
  }
  return sql;
}

// Not an after hook: in a parallel run that is the first file's alone.
process.once("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
