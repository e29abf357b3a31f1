import { escapeIdentifier } from "pg";
import { GuardianError } from "../base/errors";
import { openClient, resolveConnection, type ConnectionSettings } from "../connect";
import { serverAccount } from "../server/account";
import { binaries, majors, type Major } from "../server/binaries";
import { pulumiCommand } from "../../spec/command";
import { startServer, type Server } from "../server/server";
import { chooseBase, makeScratchFolder, removeLeftovers } from "./folder";
import type { Scratch, ScratchOptions } from "./scratch";

/**
 * What is thrown away needs neither safety nor much memory (manual, chapter 20). Nothing but errors at its start gets
 * into its log; a dump locks all tables at once; what is read twice comes in the same order.
 */
const sparing = {
  shared_buffers: "32MB",
  maintenance_work_mem: "128MB",
  max_connections: "150",
  max_locks_per_transaction: "256",
  wal_level: "minimal",
  max_wal_senders: "0",
  // Nothing of a copy may ask another server.
  max_logical_replication_workers: "0",
  max_wal_size: "1GB",
  autovacuum: "off",
  jit: "off",
  synchronize_seqscans: "off",
  shared_preload_libraries: "",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
};

/**
 * Sees, without writing, that an embedded server can be started.
 *
 * @throws GuardianError naming the way to one
 */
export function embeddedMajor(wanted: number): Major {
  const major = majors.find((one) => one === wanted);
  if (major === undefined) throw unavailable(`there is no embedded PostgreSQL ${wanted} to restore the backup on`);
  try {
    binaries(major);
    serverAccount();
    return major;
  } catch (err) {
    throw explained(err);
  }
}

/** As openScratch() says, on this machine. */
export async function openEmbedded({ major: wanted, bytes, signal, say }: ScratchOptions): Promise<Scratch> {
  const major = embeddedMajor(wanted);
  const account = serverAccount();
  for (const folder of await removeLeftovers(account)) {
    say?.(`${folder} is a killed run's and holds patients' data, and could not be removed: remove it`);
  }
  const folder = makeScratchFolder(await chooseBase(account, bytes), account);
  const how = {
    throwAway: true,
    sealed: true,
    listen: "socket",
    settings: sparing,
    say: say ?? (() => undefined),
  } as const;
  const server = await startServer({ major, dataDir: folder, ...how }).catch((err: unknown) => {
    throw explained(err);
  });
  try {
    signal?.throwIfAborted();
  } catch (err) {
    await server.stop();
    throw err;
  }
  if (server.networked)
    say?.(
      "the scratch server has a network, because this system makes none without (unshare, user namespaces): what a restore evaluates may reach other machines",
    );
  return scratchOn(server);
}

/**
 * What a backup says of the first role is made before the rest comes back, and would hold for whoever restores and compares: a
 * read-only default, or a limit of time.
 */
const sessions = (major: number): string =>
  [
    "default_transaction_read_only=off statement_timeout=0 lock_timeout=0 idle_session_timeout=0",
    "idle_in_transaction_session_timeout=0",
    // An older server does not know it, and refuses the session.
    ...(major >= 17 ? ["transaction_timeout=0"] : []),
  ].join(" ");

function scratchOn(server: Server): Scratch {
  const { host, port, user, password, major, networked } = server;
  const login = { host, port, user, database: "postgres", sslmode: "disable", passwordFrom: "env:PASSWORD" };
  const settings = resolveConnection(login, {
    PASSWORD: password,
    PGOPTIONS: sessions(major).replace(/\S+/g, "-c $&"),
  });
  const createDatabase = async (name: string): Promise<ConnectionSettings> => {
    const client = await openClient(settings, "guardian-migration scratch");
    try {
      await client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0`);
      return settings.withDatabase(name);
    } finally {
      await client.end();
    }
  };
  return { settings, kind: "embedded", networked, major, createDatabase, close: () => server.stop() };
}

const ways = (): string[] => [
  "install the servers: `npm ci` without --omit=optional",
  `or name a server of your own of that version: ${pulumiCommand("config set --path guardian:scratch.host NAME")}`,
];

function unavailable(what: string): GuardianError {
  return new GuardianError("scratch-failed", { what, where: "the scratch server", todo: ways() });
}

/** What is wrong with an embedded server is said as what it means here: a backup cannot be proven. */
function explained(err: unknown): unknown {
  if (!(err instanceof GuardianError) || err.code !== "dev-server-failed") return err;
  const { what, where, todo } = err;
  return new GuardianError("scratch-failed", {
    what: `the backup cannot be restored here: ${what}`,
    where: where ?? "the scratch server",
    todo: [...todo, ...ways().slice(1)],
    cause: err,
  });
}
