import { connect } from "node:net";
import { GuardianError } from "../../engine/base/errors";
import { createV6, logins, withClient } from "../v6/database";
import { clusterIn } from "../../engine/server/cluster";
import { databaseName, defaultPort, type DevFiles, type DevState } from "./dev-files";
import { newestDumpable } from "./newest";
import { startServer, type Major } from "../../engine/server/server";
import { runningPid, stopPid } from "../../engine/server/stop";

/** What the commands report. */
export interface DevStatus {
  state: "running" | "stopped" | "absent";
  host?: string;
  port?: number;
  major?: Major;
  database?: string;
  user?: string;
  users?: number;
  pid?: number;
  passwordFile?: string;
  serviceFile?: string;
  folder?: string;
}

export interface StartOptions {
  users?: number | undefined;
  port?: number | undefined;
  major?: Major | undefined;
  say: (line: string) => void;
}

/** Whether the server runs, and how to reach it. The password is named by its file only. */
export function status(files: DevFiles): DevStatus {
  const state = files.read();
  if (!state) return { state: "absent" };
  const pid = runningPid(clusterIn(state.folder));
  const { users, port, major, folder } = state;
  return {
    state: pid === undefined ? "stopped" : "running",
    host: "127.0.0.1",
    port,
    major,
    database: databaseName,
    user: "guardian_migrator",
    ...(users === undefined ? {} : { users }),
    ...(pid === undefined ? {} : { pid }),
    passwordFile: files.password,
    serviceFile: files.service,
    folder,
  };
}

/**
 * Starts the interactive server, which outlives this process, and loads v6 if that was not done yet.
 *
 * @throws GuardianError when the port is taken, or what is there already is not what was asked for.
 */
export async function start(files: DevFiles, options: StartOptions): Promise<DevStatus> {
  const { say } = options;
  const known = files.read();
  const before = status(files);
  if (known) insist(known, options, before.state === "running");
  if (before.state === "running" && known?.users !== undefined) {
    say(`PostgreSQL ${known.major} is already running on port ${known.port}, process ${before.pid ?? 0}`);
    return before;
  }
  const major = known?.major ?? options.major ?? (await choose(say));
  const port = options.port ?? known?.port ?? defaultPort;
  const folder = known?.folder ?? files.chooseFolder(say);
  const state: DevState = { major, port, folder, ...(known?.users === undefined ? {} : { users: known.users }) };
  files.write(state); // before the server: a command killed half way leaves a note of what it began
  if (before.state === "running") await stop(files);
  if (await taken(port)) {
    throw new GuardianError("port-taken", {
      what: `Port ${port} is taken by another program`,
      where: `127.0.0.1:${port}`,
      todo: ["stop that program", "choose another port: `npm run db -- start --port N`"],
    });
  }
  const server = await startServer({ major, dataDir: folder, port, persistent: true, say });
  files.writeConnection(state, server.password);
  say(`PostgreSQL ${major} runs on port ${port}, process ${server.pid}`);
  if (state.users === undefined) {
    const users = options.users ?? 10_000;
    const { admin } = logins(server, "postgres");
    await withClient(admin, (client) => client.query(`DROP DATABASE IF EXISTS ${databaseName} WITH (FORCE)`));
    say(`loading v6 with ${users} users`);
    await createV6(server, databaseName, { users, progress: (step, ms) => say(`  ${step}: ${ms} ms`) });
    files.write({ ...state, users });
  }
  return status(files);
}

/** Stops the server by its own process id. False when it was not running. */
export async function stop(files: DevFiles): Promise<boolean> {
  const state = files.read();
  const pid = state && runningPid(clusterIn(state.folder));
  if (pid === undefined) return false;
  await stopPid(pid);
  return true;
}

/** Stops the server, removes its data and starts a new one, on the same port unless another is given. */
export async function reset(files: DevFiles, options: StartOptions): Promise<DevStatus> {
  let known: DevState | undefined;
  try {
    known = files.read();
    await stop(files);
  } catch (err) {
    if (!(err instanceof GuardianError) || known) throw err; // an unreadable note is what reset is for
  }
  files.remove(known?.folder);
  const port = options.port ?? known?.port;
  return start(files, port === undefined ? options : { ...options, port });
}

/** Asking for something else than what is there must not be passed over in silence. */
function insist(known: DevState, wanted: StartOptions, running: boolean): void {
  const differs = [
    wanted.users !== undefined && known.users !== undefined && wanted.users !== known.users && `${known.users} users`,
    wanted.major !== undefined && wanted.major !== known.major && `PostgreSQL ${known.major}`,
    running && wanted.port !== undefined && wanted.port !== known.port && `port ${known.port}`,
  ].filter((text) => text !== false);
  if (differs.length === 0) return;
  throw new GuardianError("server-exists", {
    what: `The database is there already, with ${differs.join(", ")}`,
    where: known.folder,
    todo: [
      "leave the option out to use it as it is",
      "`npm run db -- reset` with the same options makes a new one; its data is lost",
    ],
  });
}

async function choose(say: (line: string) => void): Promise<Major> {
  try {
    const { major, why } = await newestDumpable();
    say(why);
    return major;
  } catch (err) {
    if (!(err instanceof GuardianError)) throw err;
    say(`PostgreSQL 17, which nothing here can dump, so the stack's backup will fail: ${err.message}`);
    return 17;
  }
}

function taken(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
  });
}
