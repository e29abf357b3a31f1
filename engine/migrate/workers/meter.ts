import type { Phase, Progress } from "../../base/progress";

/** Measures a phase: how far it is and how fast. */
export class Meter {
  #done: number;
  readonly #began = Date.now();
  #batch = 0;

  /**
   * @param subject a migration's name
   * @param total rows of the whole phase, as far as the plan knows
   * @param before rows that earlier runs are through with
   */
  constructor(
    readonly phase: Phase,
    readonly subject: string,
    readonly total: number,
    readonly before = 0,
  ) {
    this.#done = before;
  }

  /** @param batch rows that one more transaction is through with */
  add(batch: number): void {
    this.#done += batch;
    this.#batch = batch;
  }

  /** @param reason why it goes slower, if it does */
  read(reason?: string): Progress {
    const { phase, subject, total } = this;
    const seconds = (Date.now() - this.#began) / 1000;
    const rate = seconds > 0.5 ? (this.#done - this.before) / seconds : 0;
    const pace = rate > 0 ? { rate, etaSeconds: Math.max(0, total - this.#done) / rate } : {};
    const batch = this.#batch > 0 ? { batch: this.#batch } : {};
    return { phase, subject, done: this.#done, total, ...pace, ...batch, ...(reason ? { reason } : {}) };
  }
}
