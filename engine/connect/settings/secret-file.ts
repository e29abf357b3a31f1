import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { ErrorCode } from "../../../spec/codes";
import { GuardianError } from "../../base/errors";
import { Secret } from "./secret";

/** The longest file that is taken for a secret, in bytes. */
const longest = 64 * 1024;

/** What a file is read for. */
interface SecretOf {
  /** What it holds, in one word. */
  noun: string;
  /** The key of the configuration that names it. */
  key: string;
  code: ErrorCode;
  /** One more way out, where there is no such file. */
  todo?: string;
}

const ofPassword: SecretOf = {
  noun: "password",
  key: "guardian:database.passwordFrom",
  code: "password-missing",
  todo: "for the dev database: npm run db -- start",
};

/**
 * Reads a password, or another secret, that stands alone in a file; one newline at its end is dropped. Never waits: a FIFO
 * that nobody writes to is refused like anything else that is no plain file. As libpq does with keys, a file is refused that others may read
 * (0600 or less, or 0640 or less where root owns it).
 * @param from what the key says
 * @throws GuardianError
 */
export function readSecretFile(path: string, from: string, of: SecretOf = ofPassword): Secret {
  const { noun, key } = of;
  const bad = (what: string, ...todo: string[]): GuardianError =>
    new GuardianError(of.code, { what: `the ${noun} file ${path} ${what}`, where: `${key} (${from})`, todo });
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, uid, size } = fstatSync(file);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
      throw bad("is not a plain file", `write the ${noun} alone into a file, mode 0600`, "use env:NAME");
    }
    const open = mode & (uid === 0 ? 0o037 : 0o077);
    if (process.platform !== "win32" && open !== 0) {
      throw bad(
        `can be read by others (mode 0${(mode & 0o777).toString(8)}) and was not used`,
        `chmod 0600 ${path}`,
        "where a mount decides the mode: Kubernetes takes defaultMode: 0400, Docker mode: 0400, for a secret's files",
        "where it cannot be changed: put it into a variable (export NAME=$(cat FILE)) and use env:NAME",
      );
    }
    if (size > longest) throw bad(`has ${size} bytes, more than a ${noun}`, `write the ${noun} alone into it`);
    const bytes = Buffer.alloc(longest);
    const value = bytes.toString("utf8", 0, readSync(file, bytes, 0, longest, 0)).replace(/\r?\n$/, "");
    bytes.fill(0);
    if (value === "") throw bad("is empty", `write the ${noun} into it`);
    return new Secret(value);
  } catch (err) {
    if (err instanceof GuardianError) throw err;
    const code = err instanceof Error && "code" in err ? String(err.code) : "unreadable";
    throw bad(
      `cannot be read (${code})`,
      ...(of.todo === undefined ? [] : [of.todo]),
      `write the ${noun} alone into the file, mode 0600`,
    );
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
