import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { refused } from "../read";
import { passwordsOf, secretsOf } from "./access";
import { foundationProject, type FoundationConfig } from "./keys";

/** Passwords in clear, by their key: `database`, `migrator`. They go no further than this process and the plugin. */
export type Passwords = Readonly<Record<string, string>>;

/** What SASLprep leaves as it is (RFC 4013), and one can paste. */
const printable = /^[\x21-\x7e]+$/;
const shortest = 16;

/**
 * Reads the passwords that the configuration points to, or holds as secrets. They are never made here: a program that made one
 * would make another at each run, and a resource that keeps one would keep it in the state.
 * @param folder from where a path counts
 * @throws pulumi.RunError that lists all that cannot be read, or used
 */
export function readPasswords(config: FoundationConfig, folder: string, env: NodeJS.ProcessEnv): Passwords {
  const { database, access } = config;
  const references: [key: string, from: string][] = access ? passwordsOf(access) : [];
  if (database?.passwordFrom !== undefined) references.unshift(["database.passwordFrom", database.passwordFrom]);
  const found = new Map<string, string>();
  const errors: string[] = [];
  for (const [key, from] of references) {
    const read = readPassword(from, folder, env);
    const role = key.split(".").at(-2) ?? "";
    const wrong = "wrong" in read ? read.wrong : role === "database" ? undefined : unfit(read.password, found);
    if (wrong !== undefined) errors.push(`${foundationProject}:${key} (${from}): ${wrong}`);
    if ("password" in read) found.set(role, read.password);
  }
  for (const [key, password] of access ? secretsOf(access) : []) {
    const wrong = unfit(password, found);
    if (wrong !== undefined) errors.push(`${foundationProject}:${key}: ${wrong}`);
    found.set(key.split(".").at(-2) ?? "", password);
  }
  if (errors.length > 0) throw refused(errors);
  return Object.fromEntries(found);
}

function unfit(password: string, others: ReadonlyMap<string, string>): string | undefined {
  if (!printable.test(password)) return "the password has other characters than printable ASCII without spaces";
  if (password.length < shortest) return `the password has fewer than ${shortest} characters: openssl rand -base64 24`;
  const [same] = [...others].filter(([, other]) => other === password);
  return same && `the password is the same as that of ${same[0]}: each role has its own`;
}

function readPassword(from: string, folder: string, env: NodeJS.ProcessEnv): { password: string } | { wrong: string } {
  const name = from.slice(from.indexOf(":") + 1);
  if (from.startsWith("env:")) {
    const password = env[name];
    return password ? { password } : { wrong: `the variable ${name} is not set: export it before pulumi is started` };
  }
  const path = resolve(folder, name);
  try {
    const file = statSync(path);
    if (!file.isFile()) return { wrong: `it is not a plain file: ${path}` };
    // As libpq does with keys: 0600 or less, or 0640 or less where root owns it.
    if ((file.mode & (file.uid === 0 ? 0o037 : 0o077)) !== 0) {
      return { wrong: `others may read the file: chmod 0600 ${path}` };
    }
    const password = readFileSync(path, "utf8").replace(/\r?\n$/, "");
    return password ? { password } : { wrong: "the file is empty" };
  } catch (err) {
    return { wrong: `the file cannot be read (${(err as NodeJS.ErrnoException).code ?? "unknown"}): ${path}` };
  }
}
