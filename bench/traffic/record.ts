import { classes } from "./requests";
import type { Beat } from "./ticker";

/** A request that failed: when it was due (Unix time, ms), what it was, and SQLSTATE or "connection". */
export interface Failure {
  at: number;
  name: string;
  code: string;
}

/** What the generator saw: one element of each array a request. It crosses to the other process as it is. */
export interface Seen {
  /** Index of the request's class. */
  index: Uint8Array;
  /** When it was due, Unix time in milliseconds. */
  at: Float64Array;
  /** From when it was due to its answer, milliseconds. */
  latency: Float32Array;
  /** From when it was due to when the generator came to send it, milliseconds: the generator's own part of the latency. */
  late: Float32Array;
  failures: Failure[];
}

/** Keeps a growing record. */
export class Recorder {
  #size = 0;
  #index = new Uint8Array(4096);
  #at = new Float64Array(4096);
  #latency = new Float32Array(4096);
  #late = new Float32Array(4096);
  readonly failures: Failure[] = [];

  add(index: number, at: number, latency: number, late: number): void {
    if (this.#size === this.#index.length) this.#grow(2 * this.#size);
    this.#index[this.#size] = index;
    this.#at[this.#size] = at;
    this.#latency[this.#size] = latency;
    this.#late[this.#size++] = late;
  }

  #grow(size: number): void {
    const larger = <T extends { set: (from: T) => void }>(to: T, from: T): T => (to.set(from), to);
    this.#index = larger(new Uint8Array(size), this.#index);
    this.#at = larger(new Float64Array(size), this.#at);
    this.#latency = larger(new Float32Array(size), this.#latency);
    this.#late = larger(new Float32Array(size), this.#late);
  }

  finish(): Seen {
    return {
      index: this.#index.slice(0, this.#size),
      at: this.#at.slice(0, this.#size),
      latency: this.#latency.slice(0, this.#size),
      late: this.#late.slice(0, this.#size),
      failures: this.failures,
    };
  }
}

/** A stretch of time, Unix time in milliseconds; `to` is not in it. */
export interface Span {
  from: number;
  to: number;
}

/** @returns true for a moment in one of the spans */
export function within(spans: readonly Span[], at: number): boolean {
  return spans.some(({ from, to }) => at >= from && at < to);
}

/**
 * How many requests are due in a span: the k-th at `first` + k × `every` + offset.
 * @param offset what makes Unix time of the beat's
 */
export function dueIn({ first, every }: Beat, offset: number, { from, to }: Span): number {
  let due = 0;
  for (let k = 0; first + k * every + offset < to; k++) if (first + k * every + offset >= from) due++;
  return due;
}

/**
 * @param due how many requests were due; undefined where none is at a fixed time
 * @returns the record
 * @throws Error if it has not every one of them: a request that nobody timed is most likely a slow one
 */
export function complete(record: Seen, due: number | undefined): Seen {
  if (due === undefined || due === record.at.length) return record;
  throw new Error(`${due} requests were due, but ${record.at.length} are on record`);
}

/** The requests and failures that pass, by when they were due and which class they are of. */
export function filter(record: Seen, keep: (at: number, name: string) => boolean): Seen {
  const chosen: number[] = [];
  record.at.forEach((at, i) => {
    if (keep(at, classes[record.index[i] ?? 0]?.name ?? "")) chosen.push(i);
  });
  return {
    index: Uint8Array.from(chosen, (i) => record.index[i] ?? 0),
    at: Float64Array.from(chosen, (i) => record.at[i] ?? 0),
    latency: Float32Array.from(chosen, (i) => record.latency[i] ?? 0),
    late: Float32Array.from(chosen, (i) => record.late[i] ?? 0),
    failures: record.failures.filter(({ at, name }) => keep(at, name)),
  };
}

/**
 * @param share 0.99 for the 99th percentile: the least value that this share of all does not exceed
 * @throws RangeError where there are no values
 */
export function percentile(values: Float32Array, share: number): number {
  const sorted = values.toSorted();
  const value = sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)];
  if (value === undefined) throw new RangeError("no requests, no percentile");
  return value;
}
