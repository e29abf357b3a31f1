import { setTimeout as sleep } from "node:timers/promises";
import type { Client, QueryResult, QueryResultRow } from "pg";
import { GuardianError, isPostgres } from "../base/errors";
import type { Progress } from "../base/progress";
import type { Queryable } from "../base/sql";
import { LockWatch, lockTimeoutDefault } from "./lock-wait";
import { connectionLost, ConnectionLostError, isLoss } from "./lost";
import { discard, openClient } from "./open";
import { knownWithClients, type ServerInfo } from "./probe";
import { refuseSession, sessionFacts } from "./server-info";
import { idleInTransactionDefault, setUpSession } from "./session-setup";
import type { ConnectionSettings } from "./settings";
import type { Untouched } from "./written";

export interface SessionOptions {
  /** Completes application_name: "guardian-migration <detail>". */
  readonly detail: string;
  /** When aborted, the running statement is cancelled and no further one starts. */
  readonly signal?: AbortSignal;
  /** Milliseconds that a statement waits for a lock, unless its transaction sets less; 0 for ever. Default 60,000. */
  readonly lockTimeout?: number;
  /** Gets a line while a statement waits for another session's lock. */
  readonly onWait?: (progress: Progress) => void;
  /** Seconds that a transaction may sit idle before the server ends the session; 0 for ever. Default 60. */
  readonly idleInTransaction?: number;
  /** Seconds to ask a server that does not answer how a COMMIT ended; a restart takes a while. Default 30. */
  readonly commitPatience?: number;
  /** What it writes is refused by the server (default_transaction_read_only). Default false. */
  readonly readOnly?: boolean;
  /** Another session with these settings will be wanted in a moment: it gets the second connection of the probe. */
  readonly another?: boolean;
  /** Of a Writer: tables to which no transaction may write. */
  readonly untouched?: Untouched;
}

/** Milliseconds after which a statement that is still at work is cancelled once more. */
const cancelAgain = 250;

/** One connection with known settings; statements given to it at the same time run one after the other. */
export class Session implements Queryable {
  /** Backend process id and start, as in pg_stat_activity: together they name a session for good. */
  readonly pid: number;
  readonly backendStart: string;
  readonly server: ServerInfo;
  readonly settings: ConnectionSettings;
  readonly client: Client;
  protected readonly commitPatience: number;
  readonly #signal: AbortSignal | undefined;
  readonly #watch: LockWatch;
  #tail: Promise<unknown> = Promise.resolve();
  #cancelling: Promise<unknown> = Promise.resolve();
  /** Whether a statement is at work that may be cancelled. */
  #running = false;
  #lostBy: unknown;

  constructor(made: OpenSession) {
    this.client = made.client;
    this.settings = made.settings;
    this.server = made.server;
    this.pid = made.pid;
    this.backendStart = made.backendStart;
    this.commitPatience = made.options.commitPatience ?? 30;
    this.#signal = made.options.signal;
    this.#watch = new LockWatch(this, made.options.lockTimeout ?? lockTimeoutDefault, made.options.onWait);
    this.client.on("error", (err) => (this.#lostBy ??= err));
    this.#signal?.addEventListener("abort", this.interrupt, { once: true });
  }

  query<R extends QueryResultRow = QueryResultRow>(text: string, values: readonly unknown[] = []) {
    const extended = { text, values: [...values], queryMode: "extended" };
    return this.#next(() => this.client.query<R>(extended), false);
  }

  async script(text: string): Promise<void> {
    await this.#next(() => this.client.query(text), false);
  }

  /** BEGIN, COMMIT, ROLLBACK: also after an abort, so that what is open can be closed. */
  protected control(text: string): Promise<QueryResult> {
    return this.#next(() => this.client.query(text), true);
  }

  /** Ends the running statement (it fails with 57014), by a connection of its own. False if there was none to ask. */
  async cancel(): Promise<boolean> {
    try {
      const helper = await openClient(this.settings, "guardian-migration cancel");
      const text = `SELECT pg_catalog.pg_cancel_backend(pid) AS done FROM pg_catalog.pg_stat_activity
                     WHERE pid = $1 AND backend_start = $2::pg_catalog.timestamptz`;
      try {
        const { rows } = await helper.query<{ done: boolean }>(text, [this.pid, this.backendStart]);
        return rows[0]?.done ?? false;
      } finally {
        await discard(helper);
      }
    } catch {
      // No second connection to be had: hang up; client_connection_check_interval ends the statement within 2 s.
      this.client.connection.stream.destroy();
      return false;
    }
  }

  /** Says goodbye; never throws. A cancel's own connection is not left behind, unless it hangs for longer than a second. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.interrupt);
    await Promise.race([this.#cancelling, sleep(1000, undefined, { ref: false })]);
    await discard(this.client);
  }

  get where(): string {
    return `${this.settings.toString()}, backend ${this.pid}`;
  }

  /** Ends the running statement, and does not wait for that. One that comes next may be met: the session is to be closed then. */
  readonly interrupt = (): void => {
    if (this.client.getTransactionStatus() !== null) this.#cancelling = this.#cancelRunning();
  };

  /**
   * Until the statement has ended: a cancel that comes between the messages of one statement (parse, bind, execute) finds the
   * server reading, and is forgotten (tcop/postgres.c, ProcessInterrupts). What ends a transaction is not asked again.
   */
  async #cancelRunning(): Promise<void> {
    const ended = (): Promise<unknown> => Promise.race([this.#tail, sleep(cancelAgain, undefined, { ref: false })]);
    await this.cancel();
    await ended();
    while (this.#running && this.client.getTransactionStatus() !== null) {
      await this.cancel();
      await ended();
    }
  }

  #next<T>(run: () => Promise<T>, always: boolean): Promise<T> {
    const mine = this.#tail.then(async () => {
      if (!always && this.#signal?.aborted) throw this.#cancelled();
      this.#running = !always;
      try {
        return await this.#watch.around(run);
      } catch (err) {
        if (isLoss(err)) throw connectionLost((this.#lostBy ??= err), this.where);
        throw isPostgres(err) && err.code === "57014" && this.#signal?.aborted ? this.#cancelled() : err;
      } finally {
        this.#running = false;
      }
    });
    this.#tail = mine.catch(() => undefined);
    return mine;
  }

  #cancelled(): GuardianError {
    return new GuardianError("interrupted", {
      what: "cancelled on request; what was under way is rolled back",
      where: this.where,
      todo: "run again to go on",
      sqlstate: "57014",
    });
  }
}

export interface OpenSession {
  readonly client: Client;
  readonly settings: ConnectionSettings;
  readonly server: ServerInfo;
  readonly pid: number;
  readonly backendStart: string;
  readonly options: SessionOptions;
}

/**
 * Opens a connection and gives it known settings; before the first one it makes sure that no transaction pooler
 * stands between, where SET would reach other clients' sessions.
 *
 * @throws GuardianError
 */
export async function openSession(settings: ConnectionSettings, options: SessionOptions): Promise<OpenSession> {
  const { server, clients } = await knownWithClients(settings);
  const [probed, another] = clients;
  if (another && options.another) keepSpare(settings, another);
  else if (another) void discard(another);
  if (probed) return begin(probed, settings, server, options);
  const spare = takeSpare(settings);
  // One that the server has ended meanwhile is no reason to fail.
  const kept = spare && (await begin(spare, settings, server, options).catch(unlessLost));
  return kept ?? begin(await openClient(settings, nameOf(options)), settings, server, options);
}

function unlessLost(err: unknown): undefined {
  if (!(err instanceof ConnectionLostError)) throw err;
}

const nameOf = ({ detail }: SessionOptions): string => `guardian-migration ${detail}`;

/** What a session says of itself. */
type Me = Pick<OpenSession, "pid" | "backendStart"> & Parameters<typeof refuseSession>[0];

/** Gives a connection its settings. @throws GuardianError where it must not be worked with */
async function begin(
  client: Client,
  settings: ConnectionSettings,
  server: ServerInfo,
  options: SessionOptions,
): Promise<OpenSession> {
  try {
    const {
      idleInTransaction = idleInTransactionDefault,
      lockTimeout = lockTimeoutDefault,
      readOnly = false,
    } = options;
    await setUpSession(client, server, { name: nameOf(options), idleInTransaction, lockTimeout, readOnly });
    const text = `SELECT pg_catalog.pg_backend_pid() AS pid, backend_start::pg_catalog.text AS "backendStart", ${sessionFacts}
                    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())`;
    const me = (await client.query<Me>(text)).rows[0];
    if (!me) throw new Error("pg_stat_get_activity does not show this session");
    refuseSession(me, settings);
    return { client, settings, server, pid: me.pid, backendStart: me.backendStart, options };
  } catch (err) {
    await discard(client);
    throw isLoss(err) ? connectionLost(err, settings.toString()) : err;
  }
}

/** Connections that a probe left, for whoever comes next; milliseconds that they are kept. */
const spares = new WeakMap<ConnectionSettings, Client>();
const sparePatience = 5000;

function keepSpare(settings: ConnectionSettings, client: Client): void {
  spares.set(settings, client);
  setTimeout(() => spares.get(settings) === client && void dropSpare(settings), sparePatience).unref();
}

function takeSpare(settings: ConnectionSettings): Client | undefined {
  const client = spares.get(settings);
  spares.delete(settings);
  return client;
}

/** Ends the connection that was kept for another session of these settings (`another`), if nobody took it. Never throws. */
export async function dropSpare(settings: ConnectionSettings): Promise<void> {
  const client = takeSpare(settings);
  if (client) await discard(client);
}
