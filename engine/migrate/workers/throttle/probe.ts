import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../../../connect";
import type { Latency, ThrottleOptions, Usual } from "./types";

/** The window: so many probes make up the p95. */
const windowSize = 100;
/** Milliseconds from the start of one probe to the start of the next. */
export const intervalMs = 15;
/**
 * The same while the migration is slow: 66 probes a second are themselves 5 % of a processor, more than the migration
 * takes then, and who has to get slower still learns it from 6 of them, in 0.3 s.
 */
export const slowIntervalMs = 50;
/** Probes thrown away before what is usual is measured: caches of the session are filled, and our own code gets compiled. */
const warmUp = 10;
/** Milliseconds after which fewer probes have to tell what is usual, where each is slow. */
const usualMs = 3000;
const fewest = 20;
/** So many of the slow interval tell what is usual: 2 s. */
const enoughSlow = 40;

/** The nearest-rank percentile of a sample, 0 of none. */
export function percentile(sample: readonly number[], share: number): number {
  const sorted = [...sample].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/**
 * What a probe of `ms` stands for: an application would have sent others while it waited, and these would have waited
 * for the rest. Without them one probe stuck for a second weighed as much as one of a millisecond.
 */
export function expand(ms: number, interval = intervalMs): number[] {
  const all = [ms];
  for (let rest = ms - interval; rest > 0 && all.length < windowSize; rest -= interval) all.push(rest);
  return all;
}

/**
 * The server's share of a probe, in milliseconds, or undefined if it cannot be told. The time in which our own event
 * loop was busy is taken off: the answer may have been there and lay unread. That is exact where a timer's lateness
 * only hints at it. But the server may have been slow in that very time, so a probe that it makes up much of is
 * thrown away, rather than taken for a fast one. A processor that keeps our process waiting counts as the server's
 * slowness: where both share a machine it is, and elsewhere it only makes us too polite.
 */
export function served(ms: number, busyMs: number): number | undefined {
  return busyMs > Math.max(1, ms / 4) ? undefined : Math.max(0, ms - busyMs);
}

/** When a probe was sent, and how busy the event loop had been until then. */
interface Mark {
  start: number;
  loop: EventLoopUtilization;
}

function mark(): Mark {
  return { start: performance.now(), loop: performance.eventLoopUtilization() };
}

/** Asks the application's question again and again, and keeps how long the last hundred took. */
export class Probe {
  readonly #options: Pick<ThrottleOptions, "probe" | "signal">;
  #window: number[] = [];
  #running: Mark | undefined;
  #interval = intervalMs;
  readonly #usual = new Map<number, Usual>();

  constructor(options: Pick<ThrottleOptions, "probe" | "signal">) {
    this.#options = options;
  }

  /**
   * Measures what the application has now, by probes of either interval: an idle processor falls asleep between those
   * that are sent seldom, and they take half as long again. Judged by what is usual for the others they kept a migration at
   * its least speed on a server that had nothing else to do, for the slow speed's own sake.
   *
   * @throws DatabaseError of the probe; ConnectionLostError.
   */
  async measureUsual(session: Session): Promise<void> {
    for (let i = 0; i < warmUp; i++) await this.#once(session);
    await this.#measure(session, intervalMs, windowSize);
    await this.#measure(session, slowIntervalMs, enoughSlow);
    this.forget();
  }

  async #measure(session: Session, interval: number, enough: number): Promise<void> {
    this.forget();
    const until = performance.now() + usualMs;
    while (this.#window.length < enough && (performance.now() < until || this.#window.length < fewest))
      await this.turn(session, undefined, interval);
    const [p95, p99] = [percentile(this.#window, 0.95), percentile(this.#window, 0.99)];
    this.#usual.set(interval, { p95: Math.max(0.01, p95), p99 });
  }

  /**
   * One probe, and the pause up to the next one. With another interval than before what was measured is forgotten.
   *
   * @param interval milliseconds from its start to that of the next one
   */
  async turn(session: Session, signal?: AbortSignal, interval = intervalMs): Promise<void> {
    if (interval !== this.#interval) this.forget();
    this.#interval = interval;
    const start = performance.now();
    await this.#once(session);
    const rest = Math.max(1, interval - (performance.now() - start));
    await sleep(rest, undefined, signal ? { signal } : {}).catch(() => undefined);
  }

  /** The last hundred, one that has not come back yet among them: it took so long already. */
  latency(): Latency {
    const open = this.#running && this.#elapsed(this.#running);
    const all = open === undefined || open < intervalMs ? this.#window : [...this.#window, ...expand(open)];
    const last = all.slice(-windowSize);
    const usual = this.#usual.get(this.#interval) ?? { p95: 0, p99: 0 };
    return { p95: percentile(last, 0.95), count: last.length, usual };
  }

  /** From now on only what comes is judged. */
  forget(): void {
    this.#window = [];
    if (this.#running) this.#running = mark();
  }

  async #once(session: Session): Promise<void> {
    this.#running = mark();
    try {
      await session.query(this.#options.probe.text, this.#options.probe.values());
      const ms = this.#elapsed(this.#running);
      if (ms !== undefined) this.#window = [...this.#window, ...expand(ms)].slice(-windowSize);
    } finally {
      this.#running = undefined;
    }
  }

  #elapsed(since: Mark): number | undefined {
    return served(performance.now() - since.start, performance.eventLoopUtilization(since.loop).active);
  }
}
