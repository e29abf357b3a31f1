import type { Benchmark } from "./benchmark";
import { measureMoves } from "./move/measure";

/** The same figures as `move` up to ten times as many rows: does the time grow as the rows do? */
export const growth: Benchmark = {
  name: "growth",
  about: "as move, for 10,000 to 10,000,000 rows (growthExponent: at most 1.03); needs 30 GB and an hour",
  options: {
    rows: { default: 10_000_000, least: 20_000, about: "users in the largest database" },
    rounds: { default: 3, least: 1, about: "how often each way is measured, in turn" },
  },
  run: measureMoves,
};
