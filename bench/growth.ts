import type { Benchmark } from "./benchmark";
import { memoryNote } from "./move";
import { growthOf } from "./move/figures";
import { measureEach } from "./move/measure";

/** Does the time grow as the rows do? The product alone, with one worker, from 10,000 rows up to ten times as many as in move. */
export const growth: Benchmark = {
  name: "growth",
  about:
    "as move, by one worker, for 10,000 to 10,000,000 rows (growthExponent: at most 1.03); needs 30 GB and an hour",
  notes: [memoryNote],
  options: {
    rows: { default: 10_000_000, least: 20_000, about: "users in the largest database" },
    rounds: { default: 3, least: 1, about: "how often each size is measured" },
  },
  async run(run) {
    return growthOf(await measureEach(run, { consents: [1], preferences: [1] }));
  },
};
