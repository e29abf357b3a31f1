import type { Migration } from "./definition";

/** The line beside the resource: how far a migration is, how fast, and why it waits. */
export class Progress {
  #done: number;
  readonly #began = Date.now();
  readonly #before: number;
  batchKeys = 0;

  /**
   * @param total keys of the whole plan
   * @param done keys that earlier runs have moved
   */
  constructor(
    readonly it: Migration,
    readonly total: number,
    done: number,
  ) {
    this.#done = done;
    this.#before = done;
  }

  add(keys: number): void {
    this.#done += keys;
    this.batchKeys = keys;
  }

  /** @param waits why it goes slower, if it does */
  line(waits: string | undefined): string {
    const seconds = (Date.now() - this.#began) / 1000;
    const rate = seconds > 0.5 ? (this.#done - this.#before) / seconds : 0;
    const share = this.total > 0 ? Math.floor((100 * this.#done) / this.total) : 100;
    const parts = [`${this.it.name}: ${count(this.#done)} of ${count(this.total)} rows (${share} %)`];
    if (rate > 0) parts.push(`${count(rate)} rows/s`, `${duration((this.total - this.#done) / rate)} left`);
    if (this.batchKeys > 0) parts.push(`batches of ${count(this.batchKeys)}`);
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
