import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { main } from "../../scripts/gates";
import { clientFolder } from "../../scripts/pg-clients";
import { major, type Login } from "./postgres";
import { withFolder } from "./folder";

/** What the command came to: its exit code, what it said to people, and what it printed. */
export interface Ran {
  code: number;
  said: string[];
  printed: string[];
}

/**
 * Runs `npm run gates` for a stack of its own.
 * @param keys what the stack's file has besides the connection, without the namespace
 */
export async function runGates(login: Login, keys: Record<string, unknown>, ...args: string[]): Promise<Ran> {
  return withFolder(async (folder) => {
    const { host, port, user, password, database } = login;
    const config = { database: { host, port, user, database }, ...keys };
    const named = Object.entries(config).map(([key, value]) => [`guardian:${key}`, value]);
    // JSON is YAML.
    writeFileSync(join(folder, "Pulumi.night.yaml"), JSON.stringify({ config: Object.fromEntries(named) as object }));
    const [said, printed]: [string[], string[]] = [[], []];
    const around = {
      clone: folder,
      env: { ...process.env, GUARDIAN_PG_BIN: await clientFolder(major), PGPASSWORD: password },
      say: (line: string) => void said.push(line),
      print: (line: string) => void printed.push(line),
    };
    return { code: await main(["--stack", "night", ...args], around), said, printed };
  });
}
