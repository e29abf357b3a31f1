import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Stopped } from "../command";

/** One ^C reaches us by several ways at once (terminal, npm, `timeout`): what comes within this time is one. */
const sameMs = 250;

/** An engine that does not end after a signal is killed after this time: it waits for running calls without limit. */
const patienceMs = 60_000;

/** The demo was stopped from outside; the exit code is as a shell says it. */
export class Interrupted extends Stopped {
  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}; nothing of the demo is left`, 128 + constants.signals[signal]);
  }
}

/**
 * ^C, SIGTERM and SIGHUP while the demo runs. The engine, if one runs, is told and waited for; a second signal ends it at
 * once, a third kills it. Then, or at once if there is no engine, `happened` rejects.
 */
export class Interruption {
  readonly happened: Promise<never>;
  #reject: (reason: Interrupted) => void = () => undefined;
  #signal: NodeJS.Signals | undefined;
  #engine: ChildProcess | undefined;
  #count = 0;
  #last = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #listeners = new Map<NodeJS.Signals, () => void>();

  /**
   * @param terminal the engine is in the terminal's process group and gets ^C by itself
   * @param say gets one line when the first signal comes
   */
  constructor(
    private readonly terminal: boolean,
    private readonly say: (line: string) => void,
  ) {
    this.happened = new Promise((_, reject) => (this.#reject = reject));
    this.happened.catch(() => undefined); // whoever races against it hears of it
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const listener = (): void => this.stop(signal);
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  /** Acts as if the signal had come. */
  stop(signal: NodeJS.Signals): void {
    if (Date.now() - this.#last < sameMs) return;
    this.#last = Date.now();
    this.#count += 1;
    this.#signal ??= signal;
    const engine = this.#engine;
    if (this.#count === 1) this.say(engine ? "stopping: the engine first, then the server" : "stopping the server");
    if (!engine) {
      this.#reject(new Interrupted(this.#signal));
      return;
    }
    if (this.#count > 2) engine.kill("SIGKILL");
    else if (!(this.terminal && signal === "SIGINT")) engine.kill("SIGINT");
    this.#timer ??= setTimeout(() => engine.kill("SIGKILL"), patienceMs);
  }

  /** Call this when an engine was started. */
  watch(engine: ChildProcess): void {
    this.#engine = engine;
    engine.once("close", () => {
      this.#engine = undefined;
      clearTimeout(this.#timer);
      if (this.#signal) this.#reject(new Interrupted(this.#signal));
    });
  }

  /** The signal that came by now, or is just arriving. */
  async seen(): Promise<Interrupted | undefined> {
    await sleep(50); // Node hands signals over when it comes back to its event loop
    return this.#signal && new Interrupted(this.#signal);
  }

  /** Stops listening: the next signal ends the process as usual. */
  close(): void {
    clearTimeout(this.#timer);
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }
}
