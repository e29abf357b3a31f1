import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { validateConfig } from "../../config";
import type { DatabaseInput } from "../../engine/connect";
import { GuardianError } from "../../engine/base/errors";
import { localBackend } from "../pulumi/local";
import { hasLogin } from "../pulumi/login";
import { selectedStack } from "../pulumi/stacks";

/**
 * The stack that `npm run pulumi` would take: nothing is destroyed of one that nobody named.
 * @throws GuardianError with the stacks that have a file here, where none is selected
 */
export function selectedHere(folder: string, env: NodeJS.ProcessEnv): string {
  if (!existsSync(folder)) throw unknownStack(folder, undefined);
  const project = realpathSync(folder);
  const home = hasLogin(project, env)
    ? (env["PULUMI_HOME"] ?? join(env["HOME"] ?? homedir(), ".pulumi"))
    : localBackend(project, env).home;
  const selected = selectedStack(project, home, env);
  if (selected !== undefined) return selected;
  const names = stackNames(folder);
  throw new GuardianError("stack-unselected", {
    what: "No stack is selected, and this command does not say which is meant; nothing was done",
    where: folder,
    todo:
      names.length > 0
        ? `name it: --stack ${names.join(" | ")}`
        : "name the stack, --stack NAME, or the project's folder, --cwd FOLDER",
  });
}

/** @returns the stacks that have a file */
function stackNames(folder: string): string[] {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return files.flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? []).sort();
}

function unknownStack(where: string, stack: string | undefined, names: readonly string[] = []): GuardianError {
  return new GuardianError("stack-unknown", {
    what: stack === undefined ? "There is no such folder" : `There is no stack ${stack} here`,
    where,
    todo:
      names.length > 0 ? `name one of these: --stack ${names.join(" | ")}` : "name the project's folder: --cwd FOLDER",
  });
}

/** The stack's guardian:database; undefined leaves everything to libpq's variables. */
export function readStack(folder: string, stack: string): DatabaseInput | undefined {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) throw unknownStack(file, stack, stackNames(folder));
  const { config } = (parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> } | null) ?? {};
  const value = config?.["guardian:database"];
  if (value === undefined) return undefined;
  if (typeof value === "object" && value !== null && "secure" in value) {
    throw new GuardianError("config-invalid", {
      what: "guardian:database is encrypted, and this command has no key",
      where: file,
      todo: "set it without --secret: it holds no password, passwordFrom only says where it is",
    });
  }
  const database = typeof value === "string" ? value : JSON.stringify(value);
  const { config: read, errors } = validateConfig({
    "guardian:through": "infrastructure",
    "guardian:database": database,
  });
  if (!read) throw new GuardianError("config-invalid", { what: errors.join("; "), where: file, todo: "mend the key" });
  const from = read.database?.passwordFrom;
  if (!from?.startsWith("file:") || isAbsolute(from.slice(5))) return read.database;
  return { ...read.database, passwordFrom: `file:${join(folder, from.slice(5))}` };
}
