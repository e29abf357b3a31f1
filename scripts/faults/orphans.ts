import { setTimeout as sleep } from "node:timers/promises";
import { kill, processes, type Process } from "./processes";

/** What a kill left running: the plugin promises to be gone 5 s after its CLI, in milliseconds and a little more. */
const mostMs = 6000;

/** Processes whose CLI was killed, or ended after a kill, and what became of them. */
export class Orphans {
  #known: { process: Process; until?: number }[] = [];

  constructor(private readonly patience: number = mostMs) {}

  /** Takes down what goes on after a kill; as long as its CLI lives, it may. */
  note(left: readonly Process[]): void {
    this.#known.push(...left.map((process) => ({ process })));
  }

  /** Their CLI has ended: from now on their time runs. */
  parted(): void {
    for (const one of this.#known) one.until ??= performance.now() + this.patience;
  }

  /**
   * Waits until they are gone, or their time is over: who is left then is killed, or it would disturb the next run.
   * @returns a line for each that was left
   */
  async outlived(): Promise<string[]> {
    this.parted();
    const all = new Map<number, string>();
    for (;;) {
      all.clear();
      for (const { pid, command } of processes()) all.set(pid, command);
      // Another process may have got the id.
      this.#known = this.#known.filter(({ process: { pid, command } }) => all.get(pid) === command);
      if (this.#known.every(({ until = 0 }) => until <= performance.now())) break;
      await sleep(50);
    }
    const left = this.#known.splice(0).map(({ process }) => process);
    left.forEach(({ pid }) => kill(pid));
    return left.map(
      ({ pid, command }) =>
        `process ${pid} was there ${this.patience / 1000} s after its CLI: ${command.slice(0, 120)}`,
    );
  }
}
