import type { Benchmark } from "./benchmark";
import { figuresOf } from "./move/figures";
import { measureEach, type Ways } from "./move/measure";

/** What the guide says of consents looks for none that is there; the product does, and so must the statement. */
const everyWay: Ways = { consents: ["raw", 1, 2], preferences: ["raw", "looking", 1, 2] };

/** What `peakMemoryMb` is of, which growth prints too. */
export const memoryNote = "peakMemoryMb: of the engine in a process of its own, above its idle, not of the plugin";

/**
 * How fast rows move, beside one INSERT … SELECT of the same rows on the same server: as the guide writes it (3.2), that is
 * for preferences with ON CONFLICT DO NOTHING; `ratioToLooking` is beside one that looks for rows first instead. What is compared is everything but
 * the row-level comparison at the end and pauses for locks of others, which that statement has no equivalent of; both are
 * measured and said apart, and `withProofRatio` has the comparison in it. The product is not throttled, as no statement is.
 *
 * `peakMemoryMb` is of the engine in a process of its own, above what that has when idle: Pulumi's plugin runs the same
 * engine, but also gRPC and the Pulumi library, whose memory is not measured here.
 */
export const move: Benchmark = {
  name: "move",
  about: "moving rows, beside one INSERT … SELECT (ratio: at least 1.00, with two workers 1.3)",
  notes: [
    "ratio: at full speed (throttled: false), without the row-level comparison at the end and pauses for locks",
    "of others, which one statement has not; withProofRatio: with the comparison",
    memoryNote,
  ],
  options: {
    // The product moves 20,000 keys and fewer with one worker, however many are asked for: ratioTwoWorkers would say nothing.
    rows: { default: 1_000_000, least: 21_000, about: "users in the largest database" },
    rounds: { default: 3, least: 1, about: "how often each way is measured, in turn" },
  },
  async run(run) {
    return figuresOf(await measureEach(run, everyWay), run.options["rows"] ?? 1_000_000);
  },
};
