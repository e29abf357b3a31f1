import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { majors, type Major } from "../engine/server/binaries";
import { longTitles } from "./support/long";
import { major } from "./support/major";

const folder = __dirname;

/** Tests of the tools that measure and break, what takes minutes, and the CLI again where gRPC or the engine shows it. */
const slow = /\.slow\.test\.ts$/;

/**
 * Tests that measure how long something takes, or how long something else waits. They wait far more than they work, and their bounds
 * are wide enough for a processor that five others want: one more at once than of the rest, and nothing of the rest beside them.
 */
const timed =
  /^(engine\/(connect-lock-wait|gates\/load|migrate\/(crew|follow|online|throttle.*|workers)|module\/(standing-still|v6-locks)|ledger\/lock)|provider\/(process|interrupted)|scripts\/pulumi-engine)\.test\.ts$/;

/** The longest first, these in this order: a long one that begins last leaves a processor idle. */
const slowest = [
  "stories/killed",
  "stories/whole",
  "scripts/demo",
  "scripts/pulumi-cli",
  "engine/gates/faults/faults",
  "engine/migrate/online",
  "engine/migrate/crew",
  "engine/module/v6-locks",
  "engine/migrate/throttle-wal",
  "sql/examined",
  "engine/server",
  "run",
];
const lengthy = /^(stories|scripts|provider|sql\/(permissions|every|deletion|009))/;
const rank = (file: string): number => {
  const at = slowest.indexOf(file.replace(/\.test\.ts$/, ""));
  return at >= 0 ? at : slowest.length + Number(!lengthy.test(file));
};

/** What every version of PostgreSQL must do: each module by itself, all of them together, one whole story; and what drift sees. */
const everywhere =
  "goes up, down without a trace|go up in order, hold|previews without writing, migrates|are each altered once";
const modules = readdirSync(join(folder, "..", "sql")).filter((name) => /^\d{3}_/.test(name)).length;

/** Which of a file's tests: those that `long` declares, the others, or all of them. */
type Tier = "short" | "long" | "whole";

/** Test files that one mocha runs. */
export interface Part {
  title: string;
  on: Major;
  tier: Tier;
  /** Below tests/, or a path from there. */
  files: string[];
  /** Arguments of mocha. */
  args: string[];
  /** So many tests are meant: fewer, and a title was changed unseen. */
  least?: number;
}

const all = (): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

const chosen: Record<Tier, readonly string[]> = {
  short: ["--grep", longTitles, "--invert"],
  long: ["--grep", longTitles],
  whole: [],
};

const together = (jobs: number): string[] => (jobs > 1 ? ["--parallel", "--jobs", String(jobs)] : []);

/** @param jobs processes at once; one file has nothing to gain from a second */
function parts(on: Major, files: string[], jobs: number, tier: Tier): Part[] {
  const part = (some: string[], n: number, what: string): Part => ({
    ...{ on, tier, files: some, title: `${n} at once${what}` },
    args: [...(some.length > 1 ? together(n) : []), ...chosen[tier]],
  });
  return [
    part(
      files.filter((file) => !timed.test(file)),
      jobs,
      "",
    ),
    part(
      files.filter((file) => timed.test(file)),
      jobs > 1 ? jobs + 1 : 1,
      ", what waits",
    ),
  ].filter((one) => one.files.length > 0);
}

const tiers = new Map<string | undefined, Tier>([
  [undefined, "short"],
  ["--short", "short"],
  ["--long", "long"],
  ["--whole", "whole"],
]);

/** @returns what the arguments of tests/run.ts ask for; undefined where they are none */
export function plan(args: string[], jobs: number): Part[] | undefined {
  const [first, ...more] = args;
  const files = all();
  const suite = files.filter((file) => !slow.test(file));
  const slowly: Part = {
    ...{ title: "slow", on: major, tier: "whole", args: [] },
    files: files.filter((file) => slow.test(file)),
  };
  const tier = tiers.get(first);
  if (tier) {
    const named = more.map((file) => relative(folder, file));
    return parts(major, named.length > 0 ? named : tier === "long" ? suite.filter(declaresLong) : suite, jobs, tier);
  }
  if (!first?.startsWith("-")) return plan(["--whole", ...args], jobs);
  if (more.length > 0) return undefined;
  if (first === "--slow") return [slowly];
  if (first === "--all") return [...majors.flatMap((on) => parts(on, suite, jobs, "whole")), slowly];
  const some = suite.filter((file) => /^(sql\/(0|every_module\.)|stories\/whole|engine\/drift\/catalogue)/.test(file));
  const others = majors.filter((on) => on !== major);
  if (first === "--versions")
    return others.map((on) => ({
      title: "in short",
      on,
      tier: "whole" as const,
      files: some,
      args: [...together(jobs), "-g", everywhere],
      least: modules + 3,
    }));
  return undefined;
}

/** Whoever declares a long test imports what declares it, or what declares the tests of every module: the others need not be loaded. */
const declaresLong = (file: string): boolean =>
  /support\/long"|\bdescribeLifecycle\(/.test(readFileSync(join(folder, file), "utf8"));
