import { performance } from "node:perf_hooks";
import type { Queryable } from "../../base/sql";
import { steady, type Pace } from "../../migrate/workers/pace";
import { openingSpeed } from "../../migrate/workers/throttle/control";
import type { Site } from "../check";
import { mayTakeTooLong } from "../in-time";

/** So many milliseconds after its beginning a row of turns ends with what it has: an `up` waits for it. */
export const longestMs = 30_000;
/**
 * Of the milliseconds that a turn took, so many count for the rest after it, at the most. Most of a longer turn is waited
 * for, by a far client or by one query. What this process itself works meanwhile counts for nothing, as with the throttle's
 * probes: to ask and to understand the answer takes as long as to find it.
 */
export const countedMs = 50;

/** How a measurement takes its time; tests have means of their own. */
export interface Paced {
  /** Share of the time that is worked. */
  readonly speed?: number;
  /** Milliseconds, in place of `longestMs`. */
  readonly longest?: number;
  /** What rests after each turn, in place of a steady pace. @param speed the share that is worked */
  readonly pace?: (speed: number) => Pick<Pace, "rest">;
}

/** One turn, and the rest after it. The first, 0, is always done. */
export type Turn = (i: number, work: (db: Queryable) => Promise<unknown>) => Promise<void>;

/**
 * One short transaction, with a snapshot of its own: one that is held for minutes keeps the server from clearing up behind
 * everybody who writes meanwhile.
 */
export const inTurnOf = <T>({ host }: Pick<Site, "host">, work: (db: Queryable) => Promise<T>): Promise<T> =>
  host.read(async (db) => {
    await mayTakeTooLong(db, host.parameters.lockTimeout);
    return work(db);
  });

/** One turn after the other, and as long a rest after each as the pace demands; what comes too late is left out. */
export function pacing({ host, signal }: Site, { speed = openingSpeed, longest = longestMs, ...paced }: Paced): Turn {
  const pace = paced.pace?.(speed) ?? steady(speed, "a gate");
  const began = performance.now();
  return async (i, work) => {
    signal.throwIfAborted();
    const from = performance.now();
    if (i > 0 && from - began > longest) return;
    const loop = performance.eventLoopUtilization();
    await inTurnOf({ host }, work);
    const served = performance.now() - from - performance.eventLoopUtilization(loop).active;
    await pace.rest(0, Math.min(Math.max(served, 0), countedMs), signal);
  };
}
