import { setTimeout as sleep } from "node:timers/promises";
import type { QueryResult, QueryResultRow } from "pg";
import { GuardianError } from "../base/errors";
import type { Askable } from "../base/sql";
import { openSession, Session } from "./session";
import type { ConnectionSettings } from "./settings";

/** Milliseconds that a trial waits for a lock: whoever works is not to be kept waiting, and not to keep it. */
const lockTimeout = 50;

/** Milliseconds that one statement of a trial may take. */
const statementTimeout = 5000;

/** Seconds that a trial may stand still between two statements, and that it may take in all (PostgreSQL 17 and later). */
const [idle, whole] = [10, 60];

/** @returns the text from its first word on: no blanks, comments, which nest (manual, 4.1.5), and empty statements before it */
function withoutComments(text: string): string {
  let rest = text;
  for (;;) {
    rest = rest.replace(/^[\s;]+/, "");
    if (rest.startsWith("--")) rest = rest.replace(/^--[^\n\r]*/, "");
    else if (rest.startsWith("/*")) rest = afterComment(rest);
    else return rest;
  }
}

function afterComment(text: string): string {
  let depth = 0;
  for (const mark of text.matchAll(/\/\*|\*\//g)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return text.slice(mark.index + 2);
  }
  return "";
}

/** What begins, ends, prepares or marks a transaction, or reaches past it (manual, SQL Commands). */
const control = /^(abort|begin|commit|end|prepare|release|rollback|savepoint|start|call|listen|load)\b/i;

/**
 * A transaction that writes and is never committed: what functions do is seen, and nothing of it stays. There is no way to
 * commit: it has no COMMIT of its own, takes one statement at a time by the extended protocol (a second one in the text is a
 * syntax error), refuses each that begins, ends or prepares a transaction, and refuses to go on once the server says that
 * none is open; a procedure cannot commit inside a transaction block (manual, CALL). It is no Writer, and no Reading.
 *
 * What a rollback does not take back: numbers that sequences gave, transaction ids, WAL and dead rows of the tables written
 * to, statistics, and the mark that a foreign key leaves at the row it looks up. NOTIFY is not sent, advisory locks of the
 * transaction are let go with it, and those of the session with the session, which ends too.
 */
export class Trial implements Askable {
  readonly #session: Session;
  #over = false;

  constructor(session: Session) {
    this.#session = session;
  }

  /** One statement. @throws GuardianError for one that a trial does not take */
  async query<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<QueryResult<R>> {
    if (this.#over) throw new Error("this trial has ended; query inside its callback");
    if (control.test(withoutComments(text)))
      throw this.#broken("a trial takes no statement that begins, ends, prepares or marks a transaction");
    const result = await this.#session.query<R>(text, values);
    if (this.#session.client.getTransactionStatus() !== "T") {
      this.#over = true;
      throw this.#broken("a statement ended the trial that it ran in");
    }
    return result;
  }

  /** Takes back what the work did, roles and settings of the transaction included, whether it fails or not. */
  async takenBack<T>(work: () => Promise<T>): Promise<T> {
    await this.#session.query("SAVEPOINT trial");
    try {
      return await work();
    } finally {
      if (!this.#over) {
        await this.#session.query("ROLLBACK TO SAVEPOINT trial");
        await this.#session.query("RELEASE SAVEPOINT trial");
      }
    }
  }

  /** Called when the transaction ends. */
  finish(): void {
    this.#over = true;
  }

  #broken(what: string): GuardianError {
    const todo = "take BEGIN, COMMIT, ROLLBACK and PREPARE out of what is tried";
    return new GuardianError("transaction-broken", { what, where: this.#session.where, todo });
  }
}

/**
 * Runs the work in a transaction of a session of its own, READ COMMITTED, and rolls it back, whatever happens. Whoever kills
 * this process, or its connection, does the same: the server ends a transaction whose client is gone, and one that stands still.
 * @param detail completes application_name
 * @param signal when aborted, the running statement is cancelled and no further one starts
 * @throws what the work throws; ConnectionLostError; GuardianError if there is no connection
 */
export async function inTrial<T>(
  settings: ConnectionSettings,
  detail: string,
  work: (trial: Trial) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const limits = { lockTimeout, idleInTransaction: idle };
  const session = new Session(await openSession(settings, { detail, ...limits, ...(signal ? { signal } : {}) }));
  const trial = new Trial(session);
  try {
    await session.query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
    const longest = { statement_timeout: `${statementTimeout}ms`, lock_timeout: `${lockTimeout}ms` };
    const ends = session.server.major >= 17 ? { transaction_timeout: `${whole}s` } : {};
    await session.query("SELECT pg_catalog.set_config(key, value, true) FROM pg_catalog.json_each_text($1)", [
      JSON.stringify({ ...longest, ...ends }),
    ]);
    return await work(trial);
  } finally {
    trial.finish();
    // If the server does not answer, the goodbye that follows ends the transaction all the same.
    await Promise.race([
      session.client.query("ROLLBACK").catch(() => undefined),
      sleep(1000, undefined, { ref: false }),
    ]);
    await session.close();
  }
}
