import { steady } from "../../migrate/workers/pace";
import { openingSpeed } from "../../migrate/workers/throttle/control";
import type { Site } from "../check";

/** So many milliseconds after its beginning a row of turns ends with what it has: a snapshot is held meanwhile. */
export const longestMs = 30_000;
/**
 * Of the milliseconds that a turn took, so many count for the rest after it, at the most. Most of a longer turn is waited
 * for, by a far client or by one query; and a rest is inside a transaction, which the server ends after a minute of it.
 */
export const countedMs = 50;

/** How a measurement takes its time; tests have means of their own. */
export interface Paced {
  /** Share of the time that is worked. */
  readonly speed?: number;
  /** Milliseconds, in place of `longestMs`. */
  readonly longest?: number;
}

/** One turn, and the rest after it. The first, 0, is always done. */
export type Turn = (i: number, work: () => Promise<unknown>) => Promise<void>;

/** One turn after the other, and as long a rest after each as the pace demands; what comes too late is left out. */
export function pacing({ signal }: Site, { speed = openingSpeed, longest = longestMs }: Paced): Turn {
  const pace = steady(speed, "a gate");
  const began = performance.now();
  return async (i, work) => {
    signal.throwIfAborted();
    const from = performance.now();
    if (i > 0 && from - began > longest) return;
    await work();
    await pace.rest(0, Math.min(performance.now() - from, countedMs), signal);
  };
}
