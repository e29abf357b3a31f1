/** The line beside the resource: how far a phase is, how fast, and why it waits. */
export class Progress {
  #done: number;
  readonly #began = Date.now();
  readonly #before: number;
  #batch = 0;

  /**
   * @param label what is done, for instance a migration's name
   * @param total rows of the whole phase, as far as the plan knows
   * @param done rows that earlier runs are through with
   */
  constructor(
    readonly label: string,
    readonly total: number,
    done = 0,
  ) {
    this.#done = done;
    this.#before = done;
  }

  /** @param batch rows that one more transaction is through with */
  add(batch: number): void {
    this.#done += batch;
    this.#batch = batch;
  }

  /** @param waits why it goes slower, if it does */
  line(waits: string | undefined): string {
    const seconds = (Date.now() - this.#began) / 1000;
    const rate = seconds > 0.5 ? (this.#done - this.#before) / seconds : 0;
    const share = this.total > 0 ? Math.min(100, Math.floor((100 * this.#done) / this.total)) : 100;
    const parts = [`${this.label}: ${count(this.#done)} of ${count(this.total)} rows (${share} %)`];
    if (rate > 0) parts.push(`${count(rate)} rows/s`, `${duration(Math.max(0, this.total - this.#done) / rate)} left`);
    if (this.#batch > 0) parts.push(`batches of ${count(this.#batch)}`);
    if (waits) parts.push(`slower: ${waits}`);
    return parts.join(", ");
  }
}

const count = (n: number): string => Math.round(n).toLocaleString("en");

/** @param seconds at least 0 */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
