import { createDecipheriv, pbkdf2Sync } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { LocalBackend } from "./local";

/** What a stack's file says of the passphrase that it needs. */
interface Salted {
  text: string;
  salt: string;
  /** There is a secret in the file, which nobody can read without the salt. */
  secret: boolean;
}

function read(file: string): Salted | undefined {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  const salt = /^encryptionsalt:\s*["']?([^\s"']+)/m.exec(text)?.[1];
  return salt === undefined ? undefined : { text, salt, secret: /^\s+(?:- )?secure:/m.test(text) };
}

/**
 * Whether a passphrase is the one that a salt was made with. It holds the word "pulumi", encrypted: `v1:<salt>:v1:<nonce>:
 * <text and tag>`, base64 (pulumi 3.250.0, pkg/secrets/passphrase and sdk/go/common/resource/config/crypt.go).
 */
function opens(salt: string, passphrase: string): boolean {
  const [, bytes = "", , nonce = "", sealed = ""] = salt.split(":");
  try {
    const key = pbkdf2Sync(passphrase, Buffer.from(bytes, "base64"), 1_000_000, 32, "sha256");
    const data = Buffer.from(sealed, "base64");
    const cipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"));
    cipher.setAuthTag(data.subarray(-16));
    return Buffer.concat([cipher.update(data.subarray(0, -16)), cipher.final()]).toString() === "pulumi";
  } catch {
    return false;
  }
}

/**
 * Takes the salt that the engine wrote out of the stacks' files again, as long as there is no secret in the file. It
 * belongs to this clone's passphrase only: committed, it would lock everybody else out, and a later `pulumi login`
 * would ask for a passphrase. With a secret in the file it stays, since it is needed to read it; and so does the salt of
 * another passphrase, which somebody committed.
 */
export function withoutSalt(local: LocalBackend): void {
  if (!local.ownPassphrase || !existsSync(local.passphrase)) return;
  const files = readdirSync(local.project).filter((name) => /^Pulumi\..+\.yaml$/.test(name));
  for (const file of files.map((name) => join(local.project, name))) {
    const found = read(file);
    if (!found || found.secret || !opens(found.salt, readFileSync(local.passphrase, "utf8").trim())) continue;
    const scratch = `${file}.${process.pid}.tmp`;
    try {
      writeFileSync(scratch, found.text.replace(/^encryptionsalt:.*\n?/m, ""));
      renameSync(scratch, file);
    } finally {
      rmSync(scratch, { force: true });
    }
  }
}

/** @returns the passphrase that the engine would use, and what it is named by; undefined where it would ask for one */
function passphraseOf(env: NodeJS.ProcessEnv): { text: string; from: string } | undefined {
  const { PULUMI_CONFIG_PASSPHRASE: given, PULUMI_CONFIG_PASSPHRASE_FILE: file } = env;
  if (given !== undefined) return { text: given, from: "PULUMI_CONFIG_PASSPHRASE" };
  if (!file) return undefined;
  try {
    return { text: readFileSync(file, "utf8").trim(), from: `PULUMI_CONFIG_PASSPHRASE_FILE (${file})` };
  } catch {
    return undefined;
  }
}

/**
 * What is missing where a stack's file was encrypted by somebody else: Pulumi says "incorrect passphrase" and nothing more.
 * @param stack the one that a failed command was about
 * @returns lines to show; none where the passphrase fits, or none is needed
 */
export function passphraseHints(project: string, stack: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (stack === undefined) return [];
  const file = join(project, `Pulumi.${stack}.yaml`);
  const found = read(file);
  const passphrase = passphraseOf(env);
  // Where none is named, the engine asks for it, or says which variables are missing.
  if (!found || !passphrase || opens(found.salt, passphrase.text)) return [];
  return [
    `the passphrase of ${basename(file)} is missing here: the file was written with another one (its encryptionsalt says so); the one of ${passphrase.from} does not open it`,
    "  to do: get it from whoever made the stack (a clone without a Pulumi login keeps it in .guardian/passphrase), put it into a file that only you may read, and name the file: PULUMI_CONFIG_PASSPHRASE_FILE=PATH",
    ...(found.secret ? [] : [`     or: no secret is in ${basename(file)}: take the line encryptionsalt out of it`]),
  ];
}
