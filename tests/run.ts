/**
 * The test commands: three processes at once, each with a server of its own, and then, four at once, what measures time. A file in
 * which something failed runs a second time, with nothing beside it: a loaded machine fails tests that wait for each other. Ends with
 * what passed only then, what failed, the slowest files, the minutes and the CPU seconds it took, and one line "N passed, N failed,
 * N skipped".
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { add, none, takeSecond, total, worthAnotherTry, type Counts, type Failure, type Files } from "./outcome";
import { plan, type Part } from "./plan";
import { cpuOfEnded, cpuVariable } from "./support/cpu";
import { declaredVariable } from "./support/long";

const help = `npm test                  the suite without its long tests, on PostgreSQL $GUARDIAN_TEST_PG (default 17)
npm test -- FILE …        the named files, long tests too
npm test -- --jobs N …    with so many processes at once instead of three
npm run test:long         the long tests alone; -- FILE …: those of the named files
npm run test:whole        the suite with its long tests
npm run test:slow         benchmarks, fault injection, random sequences of verbs
npm run test:versions     on the other versions: every module up, down and up again, and one whole story
npm run test:all          the whole suite on every version, and what is slow

A file in which a test failed runs again by itself, once; what passed only then is named at the end. --once, before all else: no second try.

One test: npx mocha FILE -g "part of its title". Exit codes: 0 passed, 1 something failed, 2 wrong use,
130 stopped by ^C.`;

const folder = __dirname;
const root = join(folder, "..");

/** What a part came to. */
interface Outcome {
  files: Files;
  /** Long tests that its files declare and that it left out. */
  left: number;
  /** Seconds of CPU of all its processes. */
  cpu: number;
}

/** Runs mocha once. @returns what came of it; a run that broke off, or that lost tests, has a failure of no file */
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
  const broken = (said: string): Files => ({ "": { ...none(), failures: [{ title: "mocha", said }] } });
  if (!existsSync(summary)) return { files: broken(`mocha broke off (exit code ${String(code)})`), ...outcome };
  const found = JSON.parse(readFileSync(summary, "utf8")) as Files;
  const { passed, failures, skipped } = total(found);
  const count = passed + failures.length + skipped;
  if (part.least !== undefined && count < part.least)
    add(found, broken(`fewer than the ${part.least} tests that are meant: see tests/plan.ts, "everywhere"`));
  if (part.tier === "long" && count !== long)
    add(found, broken(`${long} long tests are declared, and ${count} ran: see tests/support/long.ts`));
  if (code !== 0 && failures.length === 0) add(found, broken(`mocha ended with exit code ${String(code)}`));
  return { files: found, ...outcome };
}

/** Runs a part, and what failed in it once more. @returns what came of it, and what failed at first only */
async function runTwice(part: Part, scratch: string, stop: AbortSignal): Promise<Outcome & { atFirst: Failure[] }> {
  const outcome = await run(part, scratch);
  const { title, on, tier } = part;
  const named = { title, on, tier };
  const atFirst: Failure[] = [];
  for (const file of worthAnotherTry(outcome.files)) {
    if (stop.aborted) break;
    console.log(`\n${relative(root, file)} again, by itself`);
    const alone = part.args.filter(
      (arg, i) => arg !== "--parallel" && arg !== "--jobs" && part.args[i - 1] !== "--jobs",
    );
    const again = await run({ ...named, files: [relative(folder, file)], args: alone }, scratch);
    outcome.cpu += again.cpu;
    atFirst.push(...takeSecond(outcome.files, file, again.files[file]));
  }
  return { ...outcome, atFirst };
}

type Three = [string, string, string];

const lines = (file: string): string[] =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];

async function main(given: string[]): Promise<number> {
  const once = given[0] === "--once";
  const rest = once ? given.slice(1) : given;
  const chosen = rest[0] === "--jobs";
  const [jobs, args] = chosen ? [Number(rest[1]), rest.slice(2)] : [3, rest];
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
  const files: Files = {};
  const atFirst: Failure[] = [];
  let [left, cpu] = [0, 0];
  try {
    for (const part of planned) {
      if (stop.signal.aborted) break;
      console.log(`\nPostgreSQL ${part.on}, ${part.files.length} files, ${part.title}`);
      const found = once ? { ...(await run(part, scratch)), atFirst: [] } : await runTwice(part, scratch, stop.signal);
      add(files, found.files);
      atFirst.push(...found.atFirst);
      left += found.left;
      cpu += found.cpu;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const { passed, failures, skipped, late } = total(files);
  say("the slowest:", slowest(files));
  say("took more than a third of their time limit:", nearest(late));
  say("failed at first, and passed by themselves:", atFirst.map(line));
  say("failed:", failures.map(line));
  const minutes = ((Date.now() - began) / 60_000).toFixed(1);
  console.log(`took ${minutes} minutes${cpu > 0 ? `, ${cpu.toFixed(0)} s of CPU` : ""}`);
  if (left > 0) console.log(`${left} more in npm run test:long`);
  console.log(`${passed} passed, ${failures.length} failed, ${skipped} skipped`);
  if (stop.signal.aborted) return 130;
  return failures.length === 0 && passed > 0 ? 0 : 1;
}

/** Prints a list under its heading; nothing where it is empty. */
function say(heading: string, items: string[]): void {
  if (items.length > 0) console.log(`\n${heading}\n${items.map((item) => `  ${item}`).join("\n")}`);
}

const nearest = (late: Counts["late"]): string[] =>
  late
    .sort((a, b) => b.ms / b.limit - a.ms / a.limit)
    .slice(0, 10)
    .map(({ title, ms, limit }) => `${seconds(ms)} of ${seconds(limit)} s  ${title}`);

const seconds = (ms: number): string => (ms / 1000).toFixed(1).padStart(5);

const line = ({ title, said }: Failure): string => `${title}: ${said}`;

const slowest = (files: Files): string[] =>
  Object.entries(files)
    .filter(([file]) => file !== "")
    .sort(([, a], [, b]) => b.ms - a.ms)
    .slice(0, 10)
    .map(([file, { ms }]) => `${seconds(ms)} s  ${relative(root, file)}`);

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
