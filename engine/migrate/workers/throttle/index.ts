import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fromPostgres } from "../../../base/errors";
import { begin, decide, decisionMs, speedOf, type Decision, type Rules } from "./control";
import { keep, openQuietly } from "./keep";
import { intervalMs, Probe, slowIntervalMs } from "./probe";
import { Monitor, noSignals } from "./signals";
import { defaultLimits, type Signals, type ThrottleOptions } from "./types";

export { defaultLimits, type ThrottleOptions } from "./types";

/** Milliseconds between two looks at what the server says of itself. */
const watchMs = 500;
/** A speed below which the migration takes less of the server than frequent probes would. */
const slow = 0.5;
/** Milliseconds without a word of the server after which nothing is certain any more. */
const silenceMs = 2000;

/**
 * Makes a data migration as fast as its server can bear: watches it in the background by two connections of its own
 * (one may hang on a lock without blinding the other), decides every 200 ms, and lets the workers rest after each batch.
 */
export class Throttle {
  readonly #options: ThrottleOptions;
  readonly #probe: Probe;
  readonly #monitor: Monitor;
  readonly #rules: Rules;
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[] = [];
  readonly #troubles = new Map<string, string>();
  #signals: Signals = noSignals;
  #heard = performance.now();
  #decision: Decision;
  #wake: () => void = () => undefined;
  #decided: Promise<void> = Promise.resolve();

  private constructor(options: ThrottleOptions, probe: Probe, monitor: Monitor) {
    const { budget, maxWorkers } = options;
    this.#options = options;
    this.#probe = probe;
    this.#monitor = monitor;
    const limits = { ...defaultLimits, ...options.limits };
    this.#rules = { budget, maxWorkers, limits };
    this.#decision = begin(this.#rules);
  }

  /**
   * Measures what is usual, with about 3.5 s of probes, and the signals once. Call it before there is any load of ours.
   *
   * @throws GuardianError if a connection or the probe fails.
   */
  static async open(options: ThrottleOptions): Promise<Throttle> {
    const probe = new Probe(options);
    const monitor = new Monitor(options.tables);
    const forProbes = await openQuietly(options.connect);
    try {
      const forSignals = await openQuietly(options.connect);
      try {
        await probe.measureUsual(forProbes);
        const throttle = new Throttle(options, probe, monitor);
        throttle.#signals = await monitor.read(forSignals, options.workers());
        throttle.#start(forProbes, forSignals);
        return throttle;
      } catch (err) {
        await forSignals.close();
        throw err;
      }
    } catch (err) {
      await forProbes.close();
      throw fromPostgres(err, "throttle of the data migration", "run it again, or mend what the server says");
    }
  }

  /**
   * So many workers may run, at most maxWorkers; what is left over one is the share of its time that the last of them
   * works. At least 0.05, but 0 while a hard reason stops them all. At most 250 ms old.
   */
  get speed(): number {
    return speedOf(this.#decision);
  }

  /** Why it goes slower, for the status line; undefined at full speed. */
  get reason(): string | undefined {
    return this.#decision.reason;
  }

  /** What is not watched, for want of rights; say each line once. */
  unavailable(): string[] {
    return this.#monitor.unavailable();
  }

  /**
   * Waits after a batch as long as the speed demands. With speed 1.6 worker 0 goes on at once, worker 1 works 60 % of
   * its time, worker 2 waits. Ends when there is room, on abort and on close.
   *
   * @param worker  0 … maxWorkers - 1
   * @param workMs  how long the batch took; 0 to ask before the first one.
   * @param over    aborted when there is nothing left to wait for.
   */
  async rest(worker: number, workMs: number, over?: AbortSignal): Promise<void> {
    const from = performance.now();
    while (!this.#options.signal.aborted && !this.#stop.signal.aborted && !over?.aborted) {
      const share = Math.min(1, this.speed - worker);
      const left = share > 0 ? workMs / share - workMs - (performance.now() - from) : Infinity;
      if (left <= 0) return;
      // The speed may rise meanwhile: every decision wakes whoever rests longer.
      const stop = new AbortController();
      const slept = sleep(Math.min(left, decisionMs * 5), undefined, { signal: stop.signal }).catch(() => undefined);
      await Promise.race([slept, this.#decided]);
      stop.abort();
    }
  }

  /** Ends the watching and closes its connections. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await Promise.all(this.#loops);
  }

  #start(forProbes: Parameters<typeof keep>[0], forSignals: Parameters<typeof keep>[0]): void {
    const { connect, workers, signal } = this.#options;
    const stopped = AbortSignal.any([this.#stop.signal, signal]);
    const pause = (ms: number) => sleep(ms, undefined, { signal: stopped }).catch(() => undefined);
    const failed = (what: string) => (err: Error | undefined) => {
      if (err) this.#troubles.set(what, `${what}: ${err.message.split("\n")[0] ?? ""}`);
      else this.#troubles.delete(what);
    };
    const turn = (session: typeof forProbes) =>
      this.#probe.turn(session, stopped, this.speed < slow ? slowIntervalMs : intervalMs);
    const probing = keep(forProbes, connect, stopped, turn, failed("the probe fails"));
    const watch = async (session: typeof forSignals) => {
      this.#signals = await this.#monitor.read(session, workers());
      this.#heard = performance.now();
      await pause(watchMs);
    };
    const watching = keep(forSignals, connect, stopped, watch, failed("the server cannot be watched"));
    const deciding = async () => {
      while (!stopped.aborted) {
        this.#decide();
        await pause(decisionMs);
      }
      this.#wake();
    };
    this.#heard = performance.now();
    this.#loops.push(probing, watching, deciding());
  }

  #decide(): void {
    const silence = performance.now() - this.#heard;
    const silent = silence > silenceMs ? `the server has not answered for ${(silence / 1000).toFixed(0)} s` : undefined;
    const [trouble] = this.#troubles.values();
    const seen = { signals: this.#signals, latency: this.#probe.latency(), blind: trouble ?? silent };
    this.#decision = decide(this.#decision, seen, this.#rules);
    if (this.#decision.judged) this.#probe.forget();
    this.#wake();
    this.#decided = new Promise((resolve) => (this.#wake = resolve));
  }
}
