/**
 * The test commands. What measures time runs alone, the rest in two processes, each with a server of its own. Ends with the
 * slowest files, the minutes it took and one line "N passed, N failed, N skipped".
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { majors, type Major } from "../engine/server/binaries";
import { major } from "./support/major";

const help = `npm test [-- FILE …]      the suite, or the named files, on PostgreSQL $GUARDIAN_TEST_PG (default 17)
npm test -- --jobs N …    with so many processes at once instead of two
npm run test:slow         benchmarks, fault injection, random sequences of verbs
npm run test:versions     on the other versions: every module up, down and up again, and one whole story
npm run test:all          the suite on every version, and what is slow

One test: npx mocha FILE -g "part of its title". Exit codes: 0 passed, 1 something failed, 2 wrong use,
130 stopped by ^C.`;

const folder = __dirname;
const root = join(folder, "..");

/** Tests of the tools that measure and break, and what takes minutes. */
const slow = /^(bench\/|stories\/faults|scripts\/faults|resources\/verbs)/;

/** Tests that measure how long something takes, or how long something else waits: nothing may run beside them. */
const timed =
  /^(engine\/(connect-lock-wait|migrate\/(crew|follow|online|throttle.*|workers)|module\/(standing-still|v6-locks)|ledger\/lock)|provider\/(process|interrupted)|scripts\/pulumi-engine)\.test\.ts$/;

/** The longest first, these in this order: a long one that begins last leaves a processor idle. */
const slowest = [
  "stories/killed",
  "scripts/demo",
  "stories/whole",
  "scripts/pulumi-cli",
  "stories/bad-input",
  "stories/flags",
];
const long = /^(stories|scripts|provider|sql\/(permissions|every|deletion|009))/;
const rank = (file: string): number => {
  const at = slowest.indexOf(file.replace(/\.test\.ts$/, ""));
  return at >= 0 ? at : slowest.length + Number(!long.test(file));
};

/** What every version of PostgreSQL must do: each module by itself, all of them together, one whole story; and what drift sees. */
const everywhere =
  "goes up, down without a trace|go up in order, hold|previews without writing, migrates|are each altered once";
const modules = readdirSync(join(root, "sql")).filter((name) => /^\d{3}_/.test(name)).length;

interface Summary {
  passed: number;
  failed: number;
  skipped: number;
  /** Milliseconds by file. */
  took: Record<string, number>;
}

interface Part {
  title: string;
  on: Major;
  files: string[];
  args: string[];
  /** So many tests are meant: fewer, and a title was changed unseen. */
  least?: number;
}

const all = (): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

/** @param jobs processes at once; one file has nothing to gain from a second */
function parts(on: Major, files: string[], jobs: number): Part[] {
  const [alone, beside] = [files.filter((file) => timed.test(file)), files.filter((file) => !timed.test(file))];
  return [
    {
      title: `${jobs} at once`,
      on,
      files: beside,
      args: beside.length > 1 && jobs > 1 ? ["--parallel", "--jobs", String(jobs)] : [],
    },
    { title: "alone", on, files: alone, args: [] },
  ].filter((part) => part.files.length > 0);
}

function plan(args: string[], jobs: number): Part[] | undefined {
  const [first, ...more] = args;
  const files = all();
  const suite = files.filter((file) => !slow.test(file));
  const slowly = { title: "slow", on: major, files: files.filter((file) => slow.test(file)), args: [] };
  if (first === undefined) return parts(major, suite, jobs);
  if (!first.startsWith("-"))
    return parts(
      major,
      args.map((file) => relative(folder, file)),
      jobs,
    );
  if (more.length > 0) return undefined;
  if (first === "--slow") return [slowly];
  if (first === "--all") return [...majors.flatMap((on) => parts(on, suite, jobs)), slowly];
  const some = suite.filter((file) => /^(sql\/(0|every_module\.)|stories\/whole|engine\/drift\/catalogue)/.test(file));
  const others = majors.filter((on) => on !== major);
  if (first === "--versions")
    return others.map((on) => ({
      title: "in short",
      on,
      files: some,
      args: ["-g", everywhere],
      least: modules + 3,
    }));
  return undefined;
}

/** @returns what came of it, a run that broke off counted as one failure */
async function run(part: Part, scratch: string): Promise<Summary> {
  const summary = join(scratch, "summary");
  rmSync(summary, { force: true });
  const files = part.files.map((file) => join(folder, file));
  const env = { ...process.env, GUARDIAN_TEST_PG: String(part.on), GUARDIAN_TEST_SUMMARY: summary };
  const child = spawn(process.execPath, [join(root, "node_modules", ".bin", "mocha"), ...part.args, ...files], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  const code = await new Promise((done) => child.once("close", done));
  try {
    const found = JSON.parse(readFileSync(summary, "utf8")) as Summary;
    const few = part.least !== undefined && found.passed + found.failed + found.skipped < part.least;
    if (few) console.log(`fewer than the ${part.least ?? 0} tests that are meant: see tests/run.ts, "everywhere"`);
    return { ...found, failed: found.failed || (code === 0 && !few ? 0 : 1) };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, took: {} };
  }
}

async function main(given: string[]): Promise<number> {
  const chosen = given[0] === "--jobs";
  const [jobs, args] = chosen ? [Number(given[1]), given.slice(2)] : [2, given];
  const planned = Number.isInteger(jobs) && jobs > 0 ? plan(args, jobs) : undefined;
  if (!planned || args.includes("--help")) {
    console.log(help);
    return args.includes("--help") ? 0 : 2;
  }
  const missing = args.filter((file) => !file.startsWith("-") && !existsSync(file));
  if (missing.length > 0) {
    console.log(`no such file: ${missing.join(", ")}`);
    return 2;
  }
  // ^C goes to the whole process group: mocha ends and says how far it came, and no further part begins.
  const stop = new AbortController();
  process.on("SIGINT", () => stop.abort());
  const began = Date.now();
  const scratch = mkdtempSync(join(tmpdir(), "guardian-tests-"));
  const total: Summary = { passed: 0, failed: 0, skipped: 0, took: {} };
  try {
    for (const part of planned) {
      if (stop.signal.aborted) break;
      console.log(`\nPostgreSQL ${part.on}, ${part.files.length} files, ${part.title}`);
      const { passed, failed, skipped, took } = await run(part, scratch);
      total.passed += passed;
      total.failed += failed;
      total.skipped += skipped;
      for (const [file, ms] of Object.entries(took)) total.took[file] = (total.took[file] ?? 0) + ms;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const took = Object.entries(total.took).sort(([, a], [, b]) => b - a);
  console.log("\nthe slowest:");
  for (const [file, ms] of took.slice(0, 10))
    console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${relative(root, file)}`);
  console.log(`took ${((Date.now() - began) / 60_000).toFixed(1)} minutes`);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  if (stop.signal.aborted) return 130;
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
