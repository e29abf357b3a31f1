import { randomUUID } from "node:crypto";
import type { Client } from "pg";
import { GuardianError, isPostgres } from "../base/errors";
import { connectFailure } from "./failures";
import { connectionLost, isLoss } from "./lost";
import { discard, openClient } from "./open";
import { readServerInfo, type ServerInfo } from "./server-info";
import type { ConnectionSettings } from "./settings";

export type { ServerInfo } from "./server-info";

export interface ProbeOptions {
  /** Seconds to wait for a statement while another connection holds a transaction open. Default 10. */
  readonly patience?: number;
}

/**
 * Connects twice, reads who the server is and makes sure that a connection is a session of its own. Sets nothing that
 * anyone else would notice: behind a pooler, settings land in sessions of other clients.
 *
 * @throws GuardianError if the server cannot be reached, is unfit, or a transaction pooler stands before it.
 */
export async function probeServer(settings: ConnectionSettings, options: ProbeOptions = {}): Promise<ServerInfo> {
  const { server, clients } = await probe(settings, options);
  await Promise.all(clients.map(discard));
  return server;
}

/** What a probe found, and its two connections, still open; whoever gets them ends them. */
interface Probed {
  server: ServerInfo;
  clients: [Client, Client];
}

async function probe(settings: ConnectionSettings, options: ProbeOptions = {}): Promise<Probed> {
  const a = await openClient(settings, "guardian-migration probe");
  let b: Client | undefined;
  try {
    b = await openClient(settings, "guardian-migration probe");
    await refusePooler(a, b, settings, (options.patience ?? 10) * 1000);
    return { server: await readServerInfo(a, settings), clients: [a, b] };
  } catch (err) {
    await Promise.all([a, ...(b ? [b] : [])].map(discard));
    throw isLoss(err) ? connectionLost(err, settings.explain()) : connectFailure(err, settings);
  }
}

const known = new WeakMap<ConnectionSettings, Promise<ServerInfo>>();

/** probeServer() once for each settings object; a failed probe is made anew next time. */
export function knownServer(settings: ConnectionSettings): Promise<ServerInfo> {
  return known.get(settings) ?? remember(settings, probeServer(settings));
}

/** knownServer(); where that takes a probe, with the connections that it leaves, so that no others have to be made. */
export async function knownWithClients(
  settings: ConnectionSettings,
): Promise<{ server: ServerInfo; clients: readonly Client[] }> {
  const server = known.get(settings);
  if (server) return { server: await server, clients: [] };
  const probed = probe(settings);
  await remember(
    settings,
    probed.then((found) => found.server),
  );
  return probed;
}

function remember(settings: ConnectionSettings, info: Promise<ServerInfo>): Promise<ServerInfo> {
  known.set(settings, info);
  info.catch(() => known.delete(settings));
  return info;
}

/**
 * A pooler in transaction mode lends a backend for one transaction: session locks, SET and prepared statements end up
 * with other clients. While B holds a transaction, A is asked again: was it B's backend that answered A before, did A's
 * backend change, or its setting go, or does A wait for B?
 */
async function refusePooler(a: Client, b: Client, settings: ConnectionSettings, patience: number): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const token = randomUUID();
    await a.query("SELECT pg_catalog.set_config('guardian_migration.probe', $1, false)", [token]);
    const before = await session(a);
    // One message, so that a short idle_in_transaction_session_timeout of this role does not end the probe.
    await b.query("BEGIN READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0");
    const other = await session(b);
    const after = await withPatience(session(a), patience);
    if (after === "waits") throw pooler("a second connection waits for the first one's transaction", settings);
    await b.query("ROLLBACK");
    if (before.pid === other.pid) throw pooler("two connections share one server process", settings);
    if (before.pid !== after.pid) throw pooler("its server process changed between statements", settings);
    if (after.token !== token) throw pooler("a setting was lost between statements", settings);
  }
  await a.query("SELECT pg_catalog.set_config('guardian_migration.probe', '', false)");
}

interface SessionState {
  pid: number;
  token: string | null;
}

async function session(client: Client): Promise<SessionState> {
  const text = `SELECT pg_catalog.pg_backend_pid() AS pid,
                       pg_catalog.current_setting('guardian_migration.probe', true) AS token`;
  const state = (await client.query<SessionState & Record<string, unknown>>(text)).rows[0];
  if (!state) throw new Error("no answer to SELECT");
  return state;
}

async function withPatience(answer: Promise<SessionState>, ms: number): Promise<SessionState | "waits"> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<"waits">((resolve) => {
    timer = setTimeout(() => resolve("waits"), ms);
  });
  // Some poolers end a client's wait by themselves with an error of their own (query_wait_timeout).
  const settled = answer.catch((err: unknown) => (isPostgres(err) ? ("waits" as const) : Promise.reject(err as Error)));
  try {
    return await Promise.race([settled, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function pooler(sign: string, settings: ConnectionSettings): GuardianError {
  const { port } = settings.fields;
  const ways: Record<number, string> = {
    6543: "use port 5432 instead of 6543: there Supabase gives a session of its own",
    6432: "use the server's own port, usually 5432, instead of PgBouncer's 6432",
  };
  return new GuardianError("transaction-pooler", {
    what: `a connection pooler in transaction mode stands before the database: ${sign}`,
    where: settings.explain(),
    todo: [ways[port] ?? "connect to the server's own port, usually 5432", "switch the pool to session mode"],
  });
}
