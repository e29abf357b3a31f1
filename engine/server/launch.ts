import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, fchownSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { GuardianError } from "../base/errors";
import { as, type Account } from "./account";
import type { Binaries } from "./binaries";
import { readPassword, type Cluster } from "./cluster";

/**
 * Runs the server and waits for its end. Its own end comes when standard input does: the kernel closes that pipe however
 * our process dies, kill -9 included, so a temporary server never outlives it. The shell is in a session of its own, so
 * ^C in the terminal does not reach the server before we have finished with it. On standard output it tells the server's id, then that the server
 * ended, and removes the folder $2, if any, only after we have had a chance to read the log: the data first. $1 is the
 * signal that ends the server. $3, if not empty, asks for a server without a network (unshare(1), of util-linux 2.38): it has
 * no other interface than a loopback that is down, and sockets in folders. Where the system has or allows none, it goes without,
 * and tells so beside the id.
 */
const warden = `
signal=$1; folder=$2; sealed=$3; networked=; shift 3
trap '' PIPE
if [ -z "$sealed" ]; then :
elif unshare --user --map-current-user --net true 2>/dev/null; then
  set -- unshare --user --map-current-user --net -- "$@"
else networked=" networked"
fi
exec 3<&0 4>&1 </dev/null >&2
"$@" 3<&- 4>&- &
server=$!
echo "$server$networked" >&4
( read -r _ <&3; kill "-$signal" "$server" ) 4>&- &
watcher=$!
wait "$server"
kill "$watcher" 2>/dev/null && { echo ended >&4; read -r _ <&3; }
[ -z "$folder" ] || rm -rf "$folder/data" "$folder"`;

/** A server process: the warden's, or that of a persistent server itself. */
export interface Launched {
  child: ChildProcess;
  /** The server's process id, as soon as it is known. */
  pid: () => number | undefined;
  /** It was to be without a network and is not. Known with its id. */
  networked: () => boolean;
  /** True once the server is no more, whether it failed or was stopped. */
  ended: () => boolean;
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done, fail) => probe.once("error", fail).listen(0, "127.0.0.1", done));
  const address = probe.address();
  await new Promise((done) => probe.close(done));
  if (address === null || typeof address === "string")
    throw new GuardianError("port-taken", { what: "no TCP port could be had" });
  return address.port;
}

/** Where a server listens: on 127.0.0.1, or on a socket in its own folder, which its user alone may use. */
export type Listening = "tcp" | "socket";

/** The host, as clients take it. */
export const hostOf = (cluster: Cluster, listen: Listening): string =>
  listen === "tcp" ? "127.0.0.1" : cluster.folder;

/** Settings as postgres takes them on its command line. */
export function options(
  cluster: Cluster,
  port: number,
  settings: Record<string, string>,
  listen: Listening = "tcp",
): string[] {
  const where =
    listen === "tcp"
      ? { listen_addresses: "127.0.0.1", unix_socket_directories: "" }
      : { listen_addresses: "", unix_socket_directories: cluster.folder, unix_socket_permissions: "0700" };
  const all = { ...settings, ...where, port: String(port) };
  return ["-D", cluster.data, ...Object.entries(all).flatMap(([key, value]) => ["-c", `${key}=${value}`])];
}

/** Starts postgres: under the warden, or (persistent) on its own, so that it outlives us. */
export function launch(
  binaries: Binaries,
  cluster: Cluster,
  account: Account | undefined,
  args: string[],
  keep: { persistent: boolean; removeFolder: boolean; stopBy?: "INT" | "QUIT"; sealed?: boolean },
): Launched {
  const log = openSync(cluster.log, "a", 0o600);
  if (account) fchownSync(log, account.uid, account.gid);
  const postgres = join(binaries.root, "bin", "postgres");
  const folder = keep.removeFolder ? cluster.folder : "";
  const how = [keep.stopBy ?? "INT", folder, keep.sealed === true ? "sealed" : ""];
  const wardenArgs = ["-c", warden, "guardian-postgres", ...how, postgres, ...args];
  const child = keep.persistent
    ? spawn(postgres, args, { ...as(account), detached: true, stdio: ["ignore", log, log] })
    : spawn("/bin/sh", wardenArgs, { ...as(account), detached: true, stdio: ["pipe", "pipe", log] });
  closeSync(log);
  let told = "";
  let failed = false;
  child.on("error", () => (failed = true)); // the program is missing or may not be run
  child.stdin?.on("error", () => undefined); // the server may be gone before its pipe is closed
  child.stdout?.on("data", (data: Buffer) => (told += data.toString()));
  // Nothing of this keeps our process alive; when it ends, so does the warden.
  for (const part of [child, child.stdin, child.stdout]) (part as { unref?(): void } | null)?.unref?.();
  return {
    child,
    pid: () => (keep.persistent ? child.pid : /^\d+( networked)?\n/.test(told) ? Number.parseInt(told, 10) : undefined),
    networked: () => told.includes(" networked\n"),
    ended: () => failed || told.includes("ended") || child.exitCode !== null || child.signalCode !== null,
  };
}

/** Waits until the server answers a query; returns its process id. @throws GuardianError with the end of its log if it stops or never answers. */
export async function ready(
  launched: Launched,
  cluster: Cluster,
  at: { host: string; port: number },
  seconds = 60,
): Promise<number> {
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until && !launched.ended()) {
    // The file may be that of another server on the same folder, which would answer as well.
    const pid = launched.pid();
    if (pid !== undefined && postmasterPid(cluster) === pid && (await answers(cluster, at))) return pid;
    await sleep(25);
  }
  throw new GuardianError("dev-server-failed", {
    what: `PostgreSQL did not start: ${lastWords(cluster)}`,
    where: `${cluster.data}, ${at.host} port ${at.port}`,
    todo: "mend what the log says, or choose another folder or port",
  });
}

async function answers(cluster: Cluster, at: { host: string; port: number }): Promise<boolean> {
  const login = { ...at, user: "postgres", database: "postgres", password: readPassword(cluster) };
  const client = new Client({ ...login, connectionTimeoutMillis: 5000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SELECT 1");
    return true;
  } catch {
    return false; // still starting up, or stopped: the caller looks at the process
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The server's process id as it wrote it (manual, 73.1: postmaster.pid), whether it still runs or not. */
export function postmasterPid(cluster: Cluster): number | undefined {
  const file = join(cluster.data, "postmaster.pid");
  if (!existsSync(file)) return undefined;
  const pid = Number.parseInt(readFileSync(file, "utf8"), 10);
  return Number.isFinite(pid) && pid > 0 ? pid : undefined;
}

/** What the server said last, for an error at its start, when no query has run yet. */
function lastWords(cluster: Cluster): string {
  if (!existsSync(cluster.log)) return "it wrote no log";
  const lines = readFileSync(cluster.log, "utf8").trim().split("\n");
  const telling = lines.filter((line) => /FATAL|PANIC|could not|error while loading/.test(line));
  const last = (telling.length > 0 ? telling : lines).slice(-3);
  return last.map((line) => line.replace(/^\S+ \S+ UTC \[\d+\] /, "")).join(" / ");
}
