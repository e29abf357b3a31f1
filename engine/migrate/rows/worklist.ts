import { rangesLeft, type PlannedRange } from "../../ledger/ranges";
import type { Queryable } from "../../base/sql";
import type { Chunk } from "./batch";

/**
 * The ranges that are left, shared out among workers: each walks a stretch of its own in key order, because rows that
 * arrive in the order of the target's index are cheaper; one that is through takes the far half of another's stretch.
 */
export class Worklist {
  readonly #stretches: PlannedRange[][];

  private constructor(ranges: PlannedRange[], workers: number) {
    const each = Math.ceil(ranges.length / workers);
    this.#stretches = Array.from({ length: workers }, (_none, i) => ranges.slice(i * each, (i + 1) * each).reverse());
  }

  static async read(db: Queryable, urn: string, workers: number): Promise<Worklist> {
    return new Worklist(await rangesLeft(db, urn), workers);
  }

  get left(): number {
    return this.#stretches.reduce((sum, stretch) => sum + stretch.length, 0);
  }

  /**
   * Takes the next ranges for a worker, neighbours in the plan.
   * @param keys about how many keys they should hold; at least one range is given
   */
  take(worker: number, keys: number): Chunk | undefined {
    const stretch = this.#stretches[worker] ?? [];
    if (stretch.length === 0) stretch.push(...this.#steal());
    const begin = stretch.pop();
    if (!begin) return undefined;
    const chunk = { firstPlace: begin.place, lastPlace: begin.place, from: begin.from, to: begin.to, keys: begin.keys };
    for (let next = stretch.at(-1); next && next.place === chunk.lastPlace + 1; next = stretch.at(-1)) {
      if (chunk.keys + next.keys > keys) break;
      stretch.pop();
      Object.assign(chunk, { lastPlace: next.place, to: next.to, keys: chunk.keys + next.keys });
    }
    return chunk;
  }

  /** The far half of the longest stretch; stretches are kept with their next range last. */
  #steal(): PlannedRange[] {
    const longest = this.#stretches.reduce((a, b) => (b.length > a.length ? b : a), []);
    return longest.splice(0, Math.ceil(longest.length / 2));
  }
}
