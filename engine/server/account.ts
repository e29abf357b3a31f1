import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuardianError } from "../base/errors";
import type { Binaries } from "./binaries";

/** The operating-system user that runs the server; undefined means the one who runs this process. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

/**
 * PostgreSQL refuses to run as root (manual, 19.1), so root lends the server to another user that is already there.
 *
 * @throws GuardianError when root finds neither `postgres` nor `nobody`.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = ["-u", "-g"].map((flag) =>
      spawnSync("id", [flag, name], { env: environment(), encoding: "utf8" }),
    );
    if (uid?.status !== 0 || gid?.status !== 0) continue;
    return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new GuardianError("dev-server-failed", {
    what: "PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as",
    todo: "run this command as an ordinary user",
  });
}

/** The environment of what we run: the system's own programs are found whatever PATH our caller has. */
export function environment(): Record<string, string> {
  return { PATH: `${process.env["PATH"] ?? ""}:/usr/bin:/bin`, LC_ALL: "C" };
}

/** What spawn needs to run a program as the account; the working folder is one that everybody may be in. */
export function as(account: Account | undefined): {
  uid?: number;
  gid?: number;
  cwd: string;
  env: Record<string, string>;
} {
  const env = environment();
  return account ? { uid: account.uid, gid: account.gid, cwd: "/", env } : { cwd: "/", env };
}

/** True if the account may enter the folder or run the file. The kernel is asked, since ACLs and mounts count too. */
export function reaches(account: Account | undefined, path: string): boolean {
  return spawnSync("/bin/sh", ["-c", 'test -x "$1"', "sh", path], as(account)).status === 0;
}

/**
 * A folder of this program's own under the system's temporary folders that the account can enter: owned by us, writable
 * by nobody else, so that no other user can put a program or a link there first.
 *
 * @throws GuardianError when none of them will do.
 */
export function sharedFolder(account: Account | undefined, bases = [tmpdir(), "/var/tmp", "/tmp"]): string {
  const uid = process.getuid?.() ?? 0;
  for (const base of bases) {
    if (!existsSync(base) || !reaches(account, base)) continue;
    const folder = join(base, `guardian-postgres-${uid}`);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const found = lstatSync(folder);
    if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0 && reaches(account, folder))
      return folder;
  }
  throw new GuardianError("folder-unusable", {
    what: `No temporary folder is both ours alone and open to the user ${account?.name ?? "who runs this"}`,
    where: bases.join(", "),
    todo: ["remove the folder guardian-postgres-* there that someone else made", "set TMPDIR to a folder of your own"],
  });
}

/**
 * The same binaries at a place where the account can run them: themselves, or a copy (a clone under /root cannot serve).
 *
 * @param say gets one line, the first time that a copy is used.
 */
export function reachable(found: Binaries, account: Account | undefined, say: (line: string) => void): Binaries {
  if (reaches(account, join(found.root, "bin", "postgres"))) return found;
  const root = join(sharedFolder(account), `server-${found.version}-${process.platform}-${process.arch}`);
  if (!existsSync(root)) {
    const draft = `${root}.${process.pid}`;
    cpSync(found.root, draft, { recursive: true, verbatimSymlinks: true });
    open(draft); // the originals may have been unpacked for their owner alone
    try {
      renameSync(draft, root); // whole or not at all: two commands may copy at once
    } catch (err) {
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(root)) throw err;
    }
  }
  if (!announced.has(root))
    say(`${account?.name ?? "this user"} cannot run programs in ${found.root}; PostgreSQL runs from a copy in ${root}`);
  announced.add(root);
  return { ...found, root };
}

/** Copies that this process has spoken of: once is enough, however many servers it starts. */
const announced = new Set<string>();

/** Lets everybody read what a folder holds, and run what its owner may run. */
function open(path: string): void {
  const found = lstatSync(path);
  if (found.isSymbolicLink()) return;
  chmodSync(path, (found.mode & 0o100) !== 0 ? 0o755 : 0o644);
  if (found.isDirectory()) readdirSync(path).forEach((name) => open(join(path, name)));
}

/** Gives files to the account; nothing to do when we are it. */
export function give(account: Account | undefined, ...paths: string[]): void {
  if (account) paths.forEach((path) => chownSync(path, account.uid, account.gid));
}
