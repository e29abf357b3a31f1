/**
 * The test commands: two processes at once, each with a server of its own, and then, three at once, what measures time. Ends with the
 * slowest files, the minutes and the CPU seconds it took, and one line "N passed, N failed, N skipped".
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { plan, type Part } from "./plan";
import { cpuOfEnded, cpuVariable } from "./support/cpu";
import { declaredVariable } from "./support/long";

const help = `npm test                  the suite without its long tests, on PostgreSQL $GUARDIAN_TEST_PG (default 17)
npm test -- FILE …        the named files, long tests too
npm test -- --jobs N …    with so many processes at once instead of two
npm run test:long         the long tests alone; -- FILE …: those of the named files
npm run test:whole        the suite with its long tests
npm run test:slow         benchmarks, fault injection, random sequences of verbs
npm run test:versions     on the other versions: every module up, down and up again, and one whole story
npm run test:all          the whole suite on every version, and what is slow

One test: npx mocha FILE -g "part of its title". Exit codes: 0 passed, 1 something failed, 2 wrong use,
130 stopped by ^C.`;

const folder = __dirname;
const root = join(folder, "..");

interface Summary {
  passed: number;
  failed: number;
  skipped: number;
  /** Milliseconds by file. */
  took: Record<string, number>;
}

/** What a part came to. */
interface Outcome extends Summary {
  /** Long tests that its files declare and that it left out. */
  left: number;
  /** Seconds of CPU of all its processes. */
  cpu: number;
}

/** @returns what came of it, a run that broke off counted as one failure */
async function run(part: Part, scratch: string): Promise<Outcome> {
  const [summary, declared, cpu] = ["summary", "declared", "cpu"].map((name) => join(scratch, name)) as Three;
  for (const file of [summary, declared, cpu]) rmSync(file, { force: true });
  const files = part.files.map((file) => join(folder, file));
  const variables = { GUARDIAN_TEST_SUMMARY: summary, [declaredVariable]: declared, [cpuVariable]: cpu };
  const before = cpuOfEnded() ?? 0;
  const child = spawn(process.execPath, [join(root, "node_modules", ".bin", "mocha"), ...part.args, ...files], {
    cwd: root,
    env: { ...process.env, GUARDIAN_TEST_PG: String(part.on), ...variables },
    stdio: "inherit",
  });
  const code = await new Promise((done) => child.once("close", done));
  const long = lines(declared).length;
  const used = (cpuOfEnded() ?? 0) - before + lines(cpu).reduce((sum, seconds) => sum + Number(seconds), 0);
  const outcome = { left: part.tier === "short" ? long : 0, cpu: used };
  try {
    const found = JSON.parse(readFileSync(summary, "utf8")) as Summary;
    const ran = found.passed + found.failed + found.skipped;
    const few = part.least !== undefined && ran < part.least;
    if (few) console.log(`fewer than the ${part.least ?? 0} tests that are meant: see tests/plan.ts, "everywhere"`);
    const lost = part.tier === "long" && ran !== long;
    if (lost) console.log(`${long} long tests are declared, and ${ran} ran: see tests/support/long.ts`);
    return { ...found, failed: found.failed || (code === 0 && !few && !lost ? 0 : 1), ...outcome };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, took: {}, ...outcome };
  }
}

type Three = [string, string, string];

const lines = (file: string): string[] =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];

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
  const total: Outcome = { passed: 0, failed: 0, skipped: 0, took: {}, left: 0, cpu: 0 };
  try {
    for (const part of planned) {
      if (stop.signal.aborted) break;
      console.log(`\nPostgreSQL ${part.on}, ${part.files.length} files, ${part.title}`);
      const { took, ...counts } = await run(part, scratch);
      for (const key of ["passed", "failed", "skipped", "left", "cpu"] as const) total[key] += counts[key];
      for (const [file, ms] of Object.entries(took)) total.took[file] = (total.took[file] ?? 0) + ms;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const took = Object.entries(total.took).sort(([, a], [, b]) => b - a);
  console.log("\nthe slowest:");
  for (const [file, ms] of took.slice(0, 10))
    console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${relative(root, file)}`);
  const minutes = ((Date.now() - began) / 60_000).toFixed(1);
  console.log(`took ${minutes} minutes${total.cpu > 0 ? `, ${total.cpu.toFixed(0)} s of CPU` : ""}`);
  if (total.left > 0) console.log(`${total.left} more in npm run test:long`);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  if (stop.signal.aborted) return 130;
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
