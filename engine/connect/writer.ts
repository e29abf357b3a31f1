import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError, isPostgres, sqlstateOf } from "../base/errors";
import { CommitUnknownError, isLoss } from "./lost";
import { toldSql, transactionOutcome, untoldSql, type LastWord } from "./outcome";
import { openSession, Session, type OpenSession, type SessionOptions } from "./session";
import type { ConnectionSettings } from "./settings";
import { writtenTables, type Untouched } from "./written";

type Told = Omit<LastWord, "xid"> & { xid: string | null; written: string[] | null };

/** @param written SQL for the names of tables that it wrote to, which are asked for only if it wrote anything */
const lastWordSql = (written: string, told: string): string =>
  `SELECT x.xid, CASE WHEN x.xid IS NOT NULL THEN ${written} END AS written, ${told},
       (SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text AS xid) x`;

/** A connection that may write. Functions that write take a Writer, which no Reader can pass for. */
export class Writer extends Session {
  readonly #brand = true;
  #open = false;
  readonly #untouched: Untouched | undefined;

  constructor(made: OpenSession) {
    super(made);
    this.#untouched = made.options.untouched;
  }

  /** True for a Writer made by connectWriter; the private field makes the class nominal to TypeScript. */
  static is(value: unknown): value is Writer {
    return typeof value === "object" && value !== null && #brand in value && value.#brand;
  }

  /**
   * Runs the callback in one READ COMMITTED transaction. If the connection is lost during COMMIT, the server is asked
   * how it ended: the result is returned only if it committed, though the session is gone all the same.
   *
   * @throws what the callback throws, after ROLLBACK, or the refusal of one that wrote what it may not; ConnectionLostError if it was rolled back by a loss;
   *   CommitUnknownError if nobody can tell.
   */
  async transaction<T>(callback: (writer: this) => Promise<T>): Promise<T> {
    if (this.#open) throw new Error("a transaction is open on this connection already");
    this.#open = true;
    try {
      await this.query("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
      let result: T;
      let last: LastWord | undefined;
      try {
        result = await callback(this);
        await this.#untilNothingIsDeferred();
        last = await this.#lastWord();
      } catch (err) {
        await this.#rollBack();
        throw err;
      }
      await this.#commit(last);
      return result;
    } finally {
      this.#open = false;
    }
  }

  /** A deferred trigger of somebody's would write in COMMIT, when nobody asks any more (manual, SET CONSTRAINTS). */
  async #untilNothingIsDeferred(): Promise<void> {
    if (!this.#untouched) return;
    await this.script("SET CONSTRAINTS ALL IMMEDIATE").catch((err: unknown) => {
      // One that failed before, and whose error was passed over: the last word tells it.
      if (!isPostgres(err) || err.code !== "25P02") throw err;
    });
  }

  /** What it has written to is told at once: else the next transaction's account would have it too. */
  async #rollBack(): Promise<void> {
    const told = this.#untouched ? "; SELECT pg_catalog.pg_stat_force_next_flush()" : "";
    await this.control(`ROLLBACK${told}`).catch(() => undefined);
  }

  /**
   * The transaction's id, if it wrote anything, and the newest checkpoint; refuses one that failed or is over, whoever passed
   * over it, and one that wrote to a table that it may not.
   */
  async #lastWord(): Promise<LastWord | undefined> {
    const untouched = this.#untouched;
    const [written, values] = untouched
      ? [`ARRAY(${writtenTables})`, [untouched.tables]]
      : ["ARRAY[]::pg_catalog.text[]", []];
    const asked = this.query<Told>(lastWordSql(written, this.server.tellsCheckpoint ? toldSql : untoldSql), values);
    const answer = await asked.catch((err: unknown) => {
      if (isPostgres(err) && err.code === "25P02") return undefined;
      throw err;
    });
    if (answer && this.client.getTransactionStatus() === "T") {
      const { xid = null, checkpoint = null, timeline = null, written } = answer.rows[0] ?? {};
      if (untouched && written && written.length > 0) throw untouched.refusal(written, this.where);
      return xid === null ? undefined : { xid, checkpoint, timeline };
    }
    throw this.#broken(answer !== undefined);
  }

  /** @param ended whether a statement ended it, and not an error */
  #broken(ended: boolean): GuardianError {
    return new GuardianError("transaction-broken", {
      what: ended
        ? "a statement ended the transaction it ran in"
        : "a statement of the transaction failed and its error was passed over; nothing is committed",
      where: this.where,
      todo: ended ? "take BEGIN, COMMIT and ROLLBACK out of the SQL" : "mend the statement that failed",
    });
  }

  async #commit(last: LastWord | undefined): Promise<void> {
    try {
      const { command } = await this.control("COMMIT");
      // Of a transaction that a last statement broke the server says ROLLBACK, and no error (manual, COMMIT).
      if (command !== "COMMIT") throw this.#broken(false);
    } catch (err) {
      if (!isLoss(err) || !last) throw err;
      await this.#settle(last, err);
    }
  }

  /** Returns if the transaction committed. A server that does not answer yet is asked again. */
  async #settle({ xid, ...told }: LastWord, lost: unknown): Promise<void> {
    const until = Date.now() + this.commitPatience * 1000;
    // Of a server that does not tell its checkpoint nobody knows whether it gave the id to another transaction since.
    while (told.checkpoint !== null) {
      try {
        const outcome = await transactionOutcome(this.settings, xid, 10, told);
        if (outcome === "committed") return;
        if (outcome === "aborted") throw lost;
        if (outcome === "unknown") break;
      } catch (err) {
        if (err === lost) throw err;
        // The server answers, and has never heard of it: it is another one, or was restored.
        if (sqlstateOf(err) === "22023") break;
      }
      if (Date.now() > until) break;
      await sleep(500);
    }
    throw new CommitUnknownError(xid, this.where, lost);
  }
}

/** @throws GuardianError if the connection fails, or a transaction pooler, a standby or an old server is found. */
export async function connectWriter(settings: ConnectionSettings, options: SessionOptions): Promise<Writer> {
  return new Writer(await openSession(settings, options));
}
