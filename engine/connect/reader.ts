import type { QueryResult, QueryResultRow } from "pg";
import { GuardianError } from "../base/errors";
import type { Queryable } from "../base/sql";
import { openSession, Session, type SessionOptions } from "./session";
import type { ConnectionSettings } from "./settings";

/** One read-only transaction with one snapshot; of no use once the callback that got it has ended. */
export class Reading implements Queryable {
  readonly #session: Session;
  #over = false;

  constructor(
    session: Session,
    private readonly signal?: AbortSignal,
  ) {
    this.#session = session;
  }

  async query<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<QueryResult<R>> {
    this.#check();
    const result = await this.#session.query<R>(text, values);
    this.#stillOpen();
    return result;
  }

  async script(text: string): Promise<void> {
    this.#check();
    await this.#session.script(text);
    this.#stillOpen();
  }

  /** Called when the transaction ends. */
  finish(): void {
    this.#over = true;
  }

  #check(): void {
    this.signal?.throwIfAborted();
    if (this.#over) throw new Error("this read transaction has ended; query inside its callback");
  }

  /** A COMMIT or ROLLBACK in a script would leave the snapshot; the session stays read-only all the same. */
  #stillOpen(): void {
    if (this.#session.client.getTransactionStatus() === "T") return;
    this.#over = true;
    throw new GuardianError("transaction-broken", {
      what: "a statement ended the read-only transaction it ran in",
      where: this.#session.where,
      todo: "take BEGIN, COMMIT and ROLLBACK out of the script",
    });
  }
}

/**
 * A connection that cannot write: preview's checks, diffs and reads use it, and writing code does not accept it (it has
 * no query of its own, and a Writer is nominally another class).
 */
export class Reader {
  readonly #session: Session;
  #busy = false;

  constructor(session: Session) {
    this.#session = session;
  }

  get server() {
    return this.#session.server;
  }

  get pid(): number {
    return this.#session.pid;
  }

  /**
   * Runs the callback in BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY, one at a time. The session's default is
   * read-only besides, and the first query fixes the mode: SET TRANSACTION READ WRITE is refused from then on
   * (manual, SET TRANSACTION). PostgreSQL 15 alone lets large objects through.
   *
   * @param signal ends the running statement, and lets no further one start; the Reader is to be closed then
   * @throws what the callback throws; the signal's reason; ConnectionLostError.
   */
  async read<T>(callback: (reading: Reading) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#busy) throw new Error("a Reader runs one read at a time; open another, or wait");
    this.#busy = true;
    const reading = new Reading(this.#session, signal);
    signal?.addEventListener("abort", this.#session.interrupt, { once: true });
    try {
      await this.#session.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1");
      return await callback(reading);
    } catch (err) {
      signal?.throwIfAborted();
      throw err;
    } finally {
      signal?.removeEventListener("abort", this.#session.interrupt);
      reading.finish();
      this.#busy = false;
      // Nothing was written, so ROLLBACK is as good as COMMIT, and it works in a failed transaction too.
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    try {
      await this.#session.client.query("ROLLBACK");
    } catch {
      // The connection is gone, and the transaction with it; the callback's own error says so.
    }
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}

/** @throws GuardianError if the connection fails, or a transaction pooler, a standby or an old server is found. */
export async function connectReader(settings: ConnectionSettings, options: SessionOptions): Promise<Reader> {
  return new Reader(new Session(await openSession(settings, { ...options, readOnly: true })));
}
