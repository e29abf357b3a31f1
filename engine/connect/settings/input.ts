import { GuardianError } from "../../base/errors";
import { Secret } from "./secret";
import { readSecretFile } from "./secret-file";

/** What names the password's place. */
export const passwordKey = "guardian:database.passwordFrom";

/** The config key guardian:database, or the provider's `database` input; each absent field is libpq's business. */
export interface DatabaseInput {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
  readonly user?: string | undefined;
  /** One of `sslModes`. */
  readonly sslmode?: string | undefined;
  /** "env:NAME" or "file:PATH": where the password is, never the password. */
  readonly passwordFrom?: string | undefined;
}

/**
 * Refuses what would be taken for something else further on.
 *
 * @throws GuardianError naming the key.
 */
export function checkInput(input: DatabaseInput, key = passwordKey): void {
  const { database, passwordFrom } = input;
  if (database && (/^postgres(ql)?:\/\//.test(database) || /^\s*\w+\s*=/.test(database))) {
    throw new GuardianError("setting-invalid", {
      what: "guardian:database.database is a connection string; it may hold a password, which is not shown then, and is to be changed: it stands in the file's history",
      where: "guardian:database",
      todo: "give host, port, database, user and passwordFrom as keys of their own",
    });
  }
  if (passwordFrom !== undefined && !/^(env|file):./s.test(passwordFrom)) {
    throw new GuardianError("setting-invalid", {
      what: `${key} is neither env:NAME nor file:PATH; if it is the password itself, change it: a history has it`,
      where: key,
      todo: ["env:NAME, such as env:PGPASSWORD", "file:PATH, such as file:/run/secrets/guardian-password"],
    });
  }
}

/**
 * The password that `passwordFrom` points to; one newline at the end of a file is dropped. A relative path counts from
 * the working directory, which for the plugin is the project's folder.
 *
 * @throws GuardianError if the variable is unset or the file cannot be read, may be read by others, or is empty.
 */
export function configuredPassword(
  from: string | undefined,
  env: NodeJS.ProcessEnv,
  key = passwordKey,
): { password: Secret; origin: string } | undefined {
  if (from === undefined) return undefined;
  const name = from.slice(from.indexOf(":") + 1);
  if (from.startsWith("env:")) {
    const value = env[name];
    if (value) return { password: new Secret(value), origin: `the variable ${name}` };
    throw missing(`the variable ${name} is not set`, `${key} (${from})`, [`export ${name} first`]);
  }
  const of = key === passwordKey ? undefined : ({ noun: "password", key, code: "password-missing" } as const);
  return { password: readSecretFile(name, from, of), origin: `the file ${name}` };
}

function missing(what: string, where: string, todo: string[]): GuardianError {
  return new GuardianError("password-missing", { what, where, todo });
}
