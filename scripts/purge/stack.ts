import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { validateConfig, type GuardianConfig } from "../../config/keys";
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

/** The stack's guardian:database; undefined leaves everything to libpq's variables. Other keys may be wrong. */
export function readStack(folder: string, stack: string): DatabaseInput | undefined {
  return readKeys(folder, stack, ["database"]).database;
}

/**
 * What a stack's file says, with the defaults of what it does not say, for commands that go without Pulumi.
 * @param names keys that are read, without their namespace; the others may be wrong
 * @throws GuardianError for a stack that has no file, and for keys that are wrong or encrypted
 */
export function readKeys(folder: string, stack: string, names: readonly string[]): GuardianConfig {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) throw unknownStack(file, stack, stackNames(folder));
  const { config } = (parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> } | null) ?? {};
  const given: Record<string, string> = { "guardian:through": "infrastructure" };
  for (const name of names) {
    const value = config?.[`guardian:${name}`];
    if (value === undefined || value === null) continue;
    if (typeof value === "object" && "secure" in value) {
      throw new GuardianError("config-invalid", {
        what: `guardian:${name} is encrypted, and this command has no key`,
        where: file,
        todo: "set it without --secret: it holds no password, passwordFrom only says where it is",
      });
    }
    given[`guardian:${name}`] = typeof value === "string" ? value : JSON.stringify(value);
  }
  const { config: read, errors } = validateConfig(given);
  if (!read) throw new GuardianError("config-invalid", { what: errors.join("; "), where: file, todo: "mend the key" });
  const { database, scratch, backup } = read;
  return {
    ...read,
    ...(database ? { database: inFolder(database, folder) } : {}),
    ...(scratch ? { scratch: inFolder(scratch, folder) } : {}),
    backup:
      backup.identityFrom === undefined ? backup : { ...backup, identityFrom: under(backup.identityFrom, folder) },
  };
}

/** A password's file is named from the project's folder. */
const inFolder = <T extends { passwordFrom?: string }>(server: T, folder: string): T =>
  server.passwordFrom === undefined ? server : { ...server, passwordFrom: under(server.passwordFrom, folder) };

const under = (from: string, folder: string): string =>
  !from.startsWith("file:") || isAbsolute(from.slice(5)) ? from : `file:${join(folder, from.slice(5))}`;
