import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { moduleNames, sqlFolder } from "../engine/module/files/manifest";
import { endWith, run, terminal } from "./command";
import { settle } from "./golden";
import { startServer } from "../engine/server/server";
import { createV6, withClient, type Login } from "./v6/database";
import { applyAll } from "./v6/operator";
import { readFacts } from "./verify-sql/facts";
import { render } from "./verify-sql/render";

const command = {
  name: "npm run verify-sql",
  purpose: "writes verify.sql of every module",
  about: `It applies the modules to a small v6 on a PostgreSQL of its own and takes down what the catalogue says of the objects that
module.yaml lists. What only a person knows stands beside it: verify.before.sql and verify.after.sql go into verify.sql
as they are.`,
  options: { check: { about: "write nothing; exit code 1 and the names of the files that are stale" } },
  exits: { "0": "the files are written, or current", "1": "files are stale, or it failed" },
};

/**
 * Makes every verify.sql; they are the same on every version of PostgreSQL.
 * @param migrator the owner of a v6 without modules; they are applied to it
 * @returns texts by their path below sql/
 * @throws GuardianError if a module cannot be applied
 */
export async function makeVerifySql(migrator: Login): Promise<Map<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), "guardian-verify-"));
  try {
    cpSync(sqlFolder, folder, { recursive: true });
    for (const name of moduleNames(folder)) writeFileSync(join(folder, name, "verify.sql"), ""); // the old one might refuse
    const modules = await applyAll(migrator, folder);
    return await withClient(migrator, async (client) => {
      const files = new Map<string, string>();
      for (const module of modules) {
        const extra = { before: extraOf(module.name, "before"), after: extraOf(module.name, "after") };
        files.set(`${module.name}/verify.sql`, render(module.name, await readFacts(client, module), extra));
      }
      return files;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function extraOf(module: string, when: "before" | "after"): string {
  const file = join(sqlFolder, module, `verify.${when}.sql`);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

async function make(): Promise<Map<string, string>> {
  const server = await startServer({ major: 17, inMemory: true });
  try {
    return await makeVerifySql((await createV6(server, "verify", { users: 20 })).migrator);
  } finally {
    await server.stop();
  }
}

/** Runs the command; returns the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return run(command, args, terminal, async ({ check }) => {
    const golden = { command: command.name, folder: sqlFolder, files: await make(), gone: [] };
    return settle(golden, check, terminal.say);
  });
}

if (require.main === module) endWith(main(process.argv.slice(2)));
