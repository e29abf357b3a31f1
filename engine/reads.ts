import { AsyncLocalStorage } from "node:async_hooks";
import {
  ConnectionLostError,
  connectReader,
  type ConnectionSettings,
  type Reader,
  type Reading,
  type ServerInfo,
} from "./connect";

/** The signal that ends the reads of whoever runs in it, in the server too: what may write reads to the end, to tell how far it came. */
export const endingWith = new AsyncLocalStorage<AbortSignal>();

/** The read-only transactions of one process: one at a time on one session, and beside it what is read ahead. */
export class Reads {
  #reader: Promise<Reader> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #ahead = new Set<Promise<unknown>>();

  constructor(readonly settings: ConnectionSettings) {}

  async server(): Promise<ServerInfo> {
    return (await this.#open()).server;
  }

  /** One after the other. */
  read<T>(work: (db: Reading) => Promise<T>): Promise<T> {
    const signal = endingWith.getStore();
    const turn = this.#last.then(() => this.#read(work, signal));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** On a session of its own, beside what is read meanwhile; where no second connection is to be had, it takes its turn. */
  aside<T>(work: (db: Reading) => Promise<T>): Promise<T> {
    const signal = endingWith.getStore();
    const opened = connectReader(this.settings, { detail: "reading ahead" });
    const closed = opened.then(
      async (reader) => {
        try {
          return await reader.read(work, signal);
        } finally {
          await reader.close();
        }
      },
      () => this.read(work),
    );
    this.#ahead.add(closed);
    return closed.finally(() => this.#ahead.delete(closed));
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#ahead);
    await this.#reader?.then(
      (reader) => reader.close(),
      () => undefined,
    );
  }

  async #read<T>(work: (db: Reading) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const reused = this.#reader !== undefined;
    const reader = await this.#open();
    try {
      return await reader.read(work, signal);
    } catch (err) {
      if (signal?.aborted || !(err instanceof ConnectionLostError)) throw err;
      // A broken connection is not used again. One that broke while it lay idle is no reason to fail: reads can be repeated.
      await this.#drop(reader);
      if (!reused) throw err;
      return await this.#read(work, signal);
    } finally {
      // A cancel may come after the statement that it was meant for.
      if (signal?.aborted) await this.#drop(reader);
    }
  }

  async #drop(reader: Reader): Promise<void> {
    this.#reader = undefined;
    await reader.close();
  }

  async #open(): Promise<Reader> {
    this.#reader ??= connectReader(this.settings, { detail: "reading", another: true });
    try {
      return await this.#reader;
    } catch (err) {
      this.#reader = undefined;
      throw err;
    }
  }
}
