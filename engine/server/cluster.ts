import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { GuardianError } from "../base/errors";
import { as, give, reaches, sharedFolder, type Account } from "./account";
import type { Binaries } from "./binaries";

/** The files of one server: `folder` holds the cluster (data), the superuser's password (0600) and the log. */
export interface Cluster {
  folder: string;
  data: string;
  passwordFile: string;
  log: string;
}

/** Where things lie in a server's folder. */
export function clusterIn(folder: string): Cluster {
  return {
    folder,
    data: join(folder, "data"),
    passwordFile: join(folder, "password"),
    log: join(folder, "server.log"),
  };
}

/** The place for temporary files, or where the account cannot reach that, one that it can reach and clear. */
export function temporaryBase(account: Account | undefined, base = tmpdir()): string {
  if (reaches(account, base)) return base;
  const own = join(sharedFolder(account), "temporary");
  mkdirSync(own, { recursive: true, mode: 0o700 });
  give(account, own); // else it could not remove its own folder from it
  return own;
}

/**
 * A new empty folder for a server that is thrown away afterwards, at a place that the account can reach and clear.
 * @param wanted where, if it will do; absent: where temporary files are
 */
export function temporaryFolder(account: Account | undefined, wanted?: string): string {
  const folder = mkdtempSync(join(temporaryBase(account, wanted), "guardian-pg-"));
  give(account, folder);
  return folder;
}

/** Makes `folder` (0700) for the account. @throws GuardianError when the account cannot get there. */
export function prepareFolder(folder: string, account: Account | undefined): void {
  if (!existsSync(folder)) {
    mkdirSync(dirname(folder), { recursive: true });
    mkdirSync(folder, { mode: 0o700 });
    give(account, folder);
  }
  if (reaches(account, folder)) return;
  throw new GuardianError("folder-unusable", {
    what: `The user ${account?.name ?? "who runs this"}, who runs PostgreSQL, cannot get into the data folder`,
    where: folder,
    todo: "choose a folder outside of private ones such as /root",
  });
}

/** True when the folder holds a cluster; then its major version is read. */
export function clusterMajor(cluster: Cluster): number | undefined {
  const file = join(cluster.data, "PG_VERSION");
  return existsSync(file) ? Number(readFileSync(file, "utf8").trim()) : undefined;
}

/**
 * Runs initdb: UTF-8, superuser `postgres` with a random password over scram-sha-256, no other way in.
 *
 * @param more arguments of initdb
 * @throws GuardianError with initdb's own words.
 */
export async function initialise(
  binaries: Binaries,
  cluster: Cluster,
  account: Account | undefined,
  more: readonly string[] = [],
): Promise<void> {
  // A password without newline for whoever reads it, with one for initdb.
  writeFileSync(cluster.passwordFile, randomBytes(24).toString("base64url"), { mode: 0o600 });
  give(account, cluster.passwordFile);
  const ctype = process.platform === "darwin" ? "en_US.UTF-8" : "C.UTF-8";
  const locale = ["--locale=C", `--lc-ctype=${ctype}`, "--encoding=UTF8"];
  const login = ["--username=postgres", "--auth=scram-sha-256", `--pwfile=${cluster.passwordFile}`];
  const args = [`--pgdata=${cluster.data}`, ...locale, ...login, "--no-sync", "--no-instructions", ...more];
  try {
    await promisify(execFile)(join(binaries.root, "bin", "initdb"), args, as(account));
  } catch (err) {
    const { stderr, message } = err as Error & { stderr?: string };
    throw new GuardianError("dev-server-failed", {
      what: `initdb of PostgreSQL ${binaries.version} failed: ${(stderr || message).trim()}`,
      where: cluster.data,
      todo: "see that the folder is on a disk with room and that its user may write there",
      cause: err,
    });
  }
}

/** The superuser's password. */
export function readPassword(cluster: Cluster): string {
  return readFileSync(cluster.passwordFile, "utf8").trim();
}
