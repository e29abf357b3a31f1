import { GuardianError } from "../base/errors";
import { readSecretFile } from "../connect/settings/secret-file";
import { type Identity, parseIdentities } from "./keys";

const key = "guardian:backup.identityFrom";

/**
 * The identities that backups are read with, from where the configuration says they are.
 * @param from env:NAME or file:PATH; a variable or file as age-keygen writes it
 * @throws GuardianError; quotes none
 */
export function readIdentities(from: string, env: NodeJS.ProcessEnv): Identity[] {
  const where = `${key} (${from})`;
  const name = from.slice(from.indexOf(":") + 1);
  if (from.startsWith("file:")) {
    const file = readSecretFile(name, from, { noun: "identity", key, code: "age-key-invalid" });
    return parseIdentities(file.reveal(), where);
  }
  const value = env[name];
  if (value !== undefined && value !== "") return parseIdentities(value, where);
  throw new GuardianError("age-key-invalid", {
    what: `the variable ${name} is ${value === undefined ? "not set" : "empty"}`,
    where,
    todo: `export ${name}="$(cat FILE)", FILE being what age-keygen wrote; or use file:PATH`,
  });
}
