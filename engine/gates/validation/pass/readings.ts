import { setTimeout as sleep } from "node:timers/promises";
import { sqlstateOf } from "../../../base/errors";
import type { Queryable } from "../../../base/sql";
import type { Reader } from "../../../connect";
import { textSettings } from "../../../fingerprint/content";
import type { Pace } from "../../../migrate/workers/pace";

/** Milliseconds that one statement should take: whoever waits behind it waits no longer. */
const targetMs = 200;
/** Milliseconds after which a statement is ended, and tried with half of its rows. */
const mostMs = 30_000;
/** As long as a lock is waited for at most, in milliseconds: well before the statement itself would be ended. */
const lockMs = 10_000;
/** Milliseconds of a rest after which it is told why it lasts. */
const tellMs = 2000;
/** So often it is waited for. */
const tries = 6;

/**
 * For the rest of a transaction: rows by their keys, one after the other, by the index. A hash join would read the whole
 * table for each statement. Values are written as text the way pg_dump writes them.
 */
const settings = (lock: number): string => `${textSettings};
  SET LOCAL statement_timeout = ${mostMs}; SET LOCAL lock_timeout = ${lock}; SET LOCAL max_parallel_workers_per_gather = 0;
  SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`;

/** How much one statement takes on; it follows how long they take. */
export interface Portion {
  most: number;
  readonly ceiling: number;
}

/** Short reading transactions, one at a time, with a rest after each as long as the throttle wants it. */
export class Readings {
  readonly #lock: number;

  /**
   * @param patience as long as a lock is waited for, in milliseconds, if that is less than usual
   * @param onRest is called now and then while a rest lasts
   */
  constructor(
    readonly reader: Reader,
    readonly pace: Pace,
    readonly signal: AbortSignal,
    patience: number,
    private readonly onRest: () => void = () => undefined,
  ) {
    this.#lock = Math.ceil(Math.min(patience, lockMs));
  }

  /**
   * A lock that somebody else holds (VACUUM FULL, ALTER TABLE) is waited for some times, with a pause in between.
   * @param portion becomes larger or smaller, by how long the work takes
   */
  async turn<T>(work: (db: Queryable) => Promise<T>, portion?: Portion): Promise<T> {
    for (let left = tries - 1; ; left--) {
      try {
        return await this.#once(work, portion);
      } catch (err) {
        if (left === 0 || !isLocked(err)) throw err;
        await sleep(this.#lock / 2, undefined, { signal: this.signal });
      }
    }
  }

  async #once<T>(work: (db: Queryable) => Promise<T>, portion: Portion | undefined): Promise<T> {
    this.signal.throwIfAborted();
    const began = performance.now();
    const result = await this.reader.read(async (db) => {
      await db.script(settings(this.#lock));
      return work(db);
    });
    const took = performance.now() - began;
    if (portion)
      portion.most = Math.round(
        Math.max(1, Math.min((portion.most * targetMs) / Math.max(took, 1), 2 * portion.most, portion.ceiling)),
      );
    const telling = setInterval(this.onRest, tellMs);
    await this.pace.rest(0, took, this.signal).finally(() => clearInterval(telling));
    return result;
  }
}

/** Whether the server ended a statement that took too long. */
export const tookTooLong = (err: unknown): boolean => sqlstateOf(err) === "57014";

/** Whether a lock was not to be had in time (lock_not_available). */
export const isLocked = (err: unknown): boolean => sqlstateOf(err) === "55P03";
