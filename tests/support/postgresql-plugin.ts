import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { allOnPath } from "../../scripts/pulumi/paths";
import { builtByGo } from "./go";
import { root } from "./plugin";

const name = "pulumi-resource-postgresql";
const sources = join(root, "scripts", "pulumi-postgresql");

/**
 * The folder of the plugin of @pulumi/postgresql: where PATH has it, else built from its makers' sources, 104 s of processor time at
 * the first call.
 * @throws Error that says why there is none
 */
export async function postgresqlPlugin(): Promise<string> {
  const [onPath] = allOnPath(name, process.env);
  if (onPath !== undefined) return dirname(onPath);
  const hash = createHash("sha256");
  for (const file of readdirSync(sources).sort()) hash.update(readFileSync(join(sources, file)));
  const version = hash.digest("hex").slice(0, 12);
  const args = (folder: string): string[] => ["build", "-ldflags=-s -w", "-o", join(folder, name), "."];
  return dirname(await builtByGo({ name, version, args, cwd: sources }));
}
