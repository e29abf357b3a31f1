import { sqlstateOf } from "../../../base/errors";
import type { Queryable } from "../../../base/sql";
import type { Reader } from "../../../connect";
import { textSettings } from "../../../fingerprint/content";
import type { Pace } from "../../../migrate/workers/pace";

/** Milliseconds that one statement should take: whoever waits behind it waits no longer. */
const targetMs = 200;
/** Milliseconds after which a statement is ended, and tried with half of its rows. */
const mostMs = 30_000;

/**
 * For the rest of a transaction: rows by their keys, one after the other, by the index. A hash join would read the whole
 * table for each statement. Values are written as text the way pg_dump writes them.
 */
const settings = `${textSettings};
  SET LOCAL statement_timeout = ${mostMs}; SET LOCAL lock_timeout = ${mostMs}; SET LOCAL max_parallel_workers_per_gather = 0;
  SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`;

/** How much one statement takes on; it follows how long they take. */
export interface Portion {
  most: number;
  readonly ceiling: number;
}

/** Short reading transactions, one at a time, with a rest after each as long as the throttle wants it. */
export class Readings {
  constructor(
    readonly reader: Reader,
    readonly pace: Pace,
    readonly signal: AbortSignal,
  ) {}

  /** @param portion becomes larger or smaller, by how long the work takes */
  async turn<T>(work: (db: Queryable) => Promise<T>, portion?: Portion): Promise<T> {
    this.signal.throwIfAborted();
    const began = performance.now();
    const result = await this.reader.read(async (db) => {
      await db.script(settings);
      return work(db);
    });
    const took = performance.now() - began;
    if (portion)
      portion.most = Math.round(
        Math.max(1, Math.min((portion.most * targetMs) / Math.max(took, 1), 2 * portion.most, portion.ceiling)),
      );
    await this.pace.rest(0, took, this.signal);
    return result;
  }
}

/** Whether the server ended a statement that took too long. */
export const tookTooLong = (err: unknown): boolean => sqlstateOf(err) === "57014";
