import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { validateConfig } from "../../config";
import type { DatabaseInput } from "../../engine/connect";
import { GuardianError } from "../../engine/base/errors";

/** The stack's guardian:database; undefined leaves everything to libpq's variables. */
export function readStack(folder: string, stack: string): DatabaseInput | undefined {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) {
    const names = existsSync(folder)
      ? readdirSync(folder).flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? [])
      : [];
    throw new GuardianError("stack-unknown", {
      what: `There is no stack ${stack} here`,
      where: file,
      todo:
        names.length > 0
          ? `name one of these: --stack ${names.join(" | ")}`
          : "name the project's folder: --cwd FOLDER",
    });
  }
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
