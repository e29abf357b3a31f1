import { setTimeout as sleep } from "node:timers/promises";

const everyMs = 20;
const mib = 1024 * 1024;

/** Resident memory of this process, looked at every 20 ms. */
export class Memory {
  readonly #idle: number;
  #peak: number;
  readonly #timer: NodeJS.Timeout;

  private constructor(idle: number) {
    this.#idle = idle;
    this.#peak = idle;
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  /** Begins with what an idle process has: the least of some looks after its garbage was collected. */
  static async idle(): Promise<Memory> {
    const looks: number[] = [];
    for (let i = 0; i < 10; i++) {
      if (i < 3) (globalThis as { gc?: () => void }).gc?.();
      await sleep(everyMs);
      looks.push(process.memoryUsage.rss());
    }
    return new Memory(Math.min(...looks));
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, process.memoryUsage.rss());
  }

  end(): { idleMb: number; peakMb: number } {
    clearInterval(this.#timer);
    this.#look();
    return { idleMb: this.#idle / mib, peakMb: (this.#peak - this.#idle) / mib };
  }
}
