import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/**
 * The port that the dev stack connects to, from guardian:database in the clone's Pulumi.dev.yaml; undefined where that
 * file does not say, or cannot be read: then nothing can be compared.
 */
export function stackPort(clone: string): number | undefined {
  try {
    const { config } = parse(readFileSync(join(clone, "Pulumi.dev.yaml"), "utf8")) as {
      config?: Record<string, unknown>;
    };
    const found = config?.["guardian:database"];
    // `config set` without --path leaves the object as a text.
    const database = (typeof found === "string" ? JSON.parse(found) : found) as { port?: unknown } | undefined;
    const port = Number(database?.port);
    return Number.isInteger(port) && port > 0 ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the clone's own state, without a Pulumi login, knows a dev stack that was up at least once. */
export function hasDevState(clone: string): boolean {
  return existsSync(join(clone, ".guardian", "state", ".pulumi", "stacks", "guardian", "dev.json"));
}
