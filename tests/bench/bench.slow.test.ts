import { expect } from "chai";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { commandOf, median, type Benchmark } from "../../bench/benchmark";
import { watchWindows } from "../../bench/locks/window";
import type { Queryable } from "../../engine/base/sql";
import type { FencedWriter } from "../../engine/database";
import { help } from "../../scripts/command/help";
import { parse, UsageError } from "../../scripts/command/parse";
import { alive, descendants, until } from "../support/processes";
import { bench, root } from "./run";

const made = (name: string, options: Benchmark["options"] = {}): Benchmark => {
  return { name, about: `measures ${name}`, options, run: () => Promise.resolve({}) };
};
const rounds = { default: 5, least: 1, about: "how often" };
const all = [made("noop", { rounds }), made("move", { users: { default: 100, least: 10, about: "users" } })];
const command = commandOf(all);

describe("bench: the command line", () => {
  it("reads name, options and defaults", () => {
    expect(parse(command, ["noop"])).to.deep.equal({ word: "noop", json: false, help: false, own: { rounds: 5 } });
    const move = { word: "move", json: true, help: false, own: { users: 10 } };
    expect(parse(command, ["move", "--json", "--users", "10"])).to.deep.equal(move);
    expect(parse(command, ["--help"])).to.deep.equal({ json: false, help: true });
  });

  for (const [args, message] of [
    [[], "Name a benchmark: noop, move"],
    [["nope"], "There is no such benchmark; there are: noop, move"],
    [["noop", "move"], "An argument is too many"],
    [["noop", "--fast"], "Unknown option '--fast'"],
    [["noop", "--users", "10"], "noop takes no --users"],
    [["noop", "--rounds", "0"], "--rounds must be a whole number from 1"],
    [["noop", "--rounds", "1e3"], "--rounds must be a whole number from 1"],
    [["noop", "--rounds"], "Option '--rounds <value>' argument missing"],
  ] as const) {
    it(`refuses: ${args.join(" ") || "nothing at all"}`, () => {
      expect(() => parse(command, args)).to.throw(UsageError, message);
    });
  }

  it("explains every benchmark and option", () => {
    expect(help(command)).to.contain("  noop       measures noop\n               --rounds N  how often (default 5)\n");
    expect(help(command)).to.contain("  move       measures move\n");
  });

  it("takes the middle value", () => {
    expect(median([3])).to.equal(3);
    expect(median([9, 1, 4])).to.equal(4);
    expect(median([10, 1, 2, 3])).to.equal(2.5);
    expect(() => median([])).to.throw(RangeError);
  });

  it("says help on stdout with exit code 0, and wrong use on stderr with 2", async function () {
    this.timeout(30_000);
    const helped = await bench(["noop", "--help"]);
    expect([helped.code, helped.stderr]).to.deep.equal([0, ""]);
    expect(helped.stdout).to.match(/^npm run bench -- NAME \[options\]: .*\n\n {2}noop /);
    const wrong = await bench(["nope"]);
    expect([wrong.code, wrong.stdout]).to.deep.equal([2, ""]);
    expect(wrong.stderr).to.contain("There is no such benchmark");
  });
});

describe("bench noop", function () {
  this.timeout(180_000);
  /** A folder for temporary files of its own, which the server's user may enter. */
  let temporary: string;
  beforeEach(() => {
    temporary = mkdtempSync(join(tmpdir(), "bench-test-"));
    chmodSync(temporary, 0o755);
  });
  afterEach(() => rmSync(temporary, { recursive: true, force: true }));
  const leftOver = (): string[] => readdirSync(temporary).filter((name) => !name.startsWith("tsx-"));

  it("measures an up without changes beside the engine's floor, and leaves nothing behind", async () => {
    const { code, stdout, stderr } = await bench(["noop", "--json", "--rounds", "3"], { TMPDIR: temporary });
    expect(code, stderr).to.equal(0);
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    expect(Object.keys(figures)).to.deep.equal(["upMs", "floorMs", "ratio"]);
    expect(figures["ratio"]).to.be.closeTo(figures["upMs"]! / figures["floorMs"]!, 0.01);
    // 1.3 is what is promised, on a machine that has nothing else to do; this one runs tests. A plugin that parses SQL
    // again on every check has 2.5, one that is not gone when the engine closes it has 5 s more.
    expect(figures["ratio"], stderr).to.be.within(0.8, 2);
    expect(stderr).to.match(/round 3 of 3: up \d+ ms, floor \d+ ms\n/);
    await until("nothing is left", () => leftOver().length === 0, 5000);
  });

  it("stops what it started at SIGTERM", async () => {
    const command = ["--require", "tsx/cjs", join(root, "bench", "main.ts"), "noop"];
    const env = { ...process.env, TMPDIR: temporary };
    const child = spawn(process.execPath, command, { cwd: root, env, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    await until("the engine runs", () => descendants(child.pid ?? 0, /\bpulumi up\b/).length > 0, 60_000);
    const started = descendants(child.pid ?? 0, /postgres|pulumi/).map((one) => one.pid);
    child.kill("SIGTERM");
    expect(await ended, stderr).to.equal(130);
    await until("nothing of it is left", () => !started.some(alive), 10_000);
    await until("nothing is left", () => leftOver().length === 0, 5000);
  });
});

describe("bench locks", function () {
  this.timeout(300_000);

  it("16-5 measures tries, the window of module 003 and the whole, beside busy loops", async () => {
    const { code, stdout, stderr } = await bench(["locks", "--json", "--rounds", "1", "--users", "20", "--busy", "1"]);
    expect(code, stderr).to.equal(0);
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    expect(Object.keys(figures)).to.deep.equal(["tries", "medianWindowMs", "upSeconds"]);
    expect(figures["tries"], stderr).to.be.within(1, 2);
    expect(figures["medianWindowMs"]).to.be.within(1, 200);
    expect(stderr).to.match(/round 1 of 1: [\d.]+ s, 003_fhir_integration locks for \d+ ms/);
  });

  it("16-5 times what asks for v6's tables, a try that is rolled back too, and nothing else", async () => {
    const db = { query: () => Promise.resolve({ rows: [] }), script: () => Promise.resolve() } as unknown as Queryable;
    const fenced = { transaction: <T>(work: (it: Queryable) => Promise<T>) => work(db) } as unknown as FencedWriter;
    const windows = watchWindows(fenced);
    await fenced.transaction((it) => it.script("SELECT 1"));
    await fenced.transaction((it) => it.script("SET x; LOCK TABLE a"));
    await fenced.transaction(() => Promise.reject(new Error("before"))).catch(() => undefined);
    const late = async (it: Queryable): Promise<void> => {
      await it.script("LOCK TABLE a");
      throw new Error("late");
    };
    await fenced.transaction(late).catch(() => undefined);
    // From the first that is asked for on: somebody waits behind that one already.
    await fenced.transaction(async (it) => {
      await it.script("LOCK TABLE a");
      await sleep(40);
      await it.script("LOCK TABLE b");
    });
    expect(windows.map((one) => one.committed)).to.deep.equal([true, false, true]);
    expect(windows[2]?.ms).to.be.at.least(35);
  });
});

describe("bench backup", function () {
  this.timeout(300_000);

  it("17-6 measures a dump and its proof beside the bare client programs", async () => {
    const { code, stdout, stderr } = await bench(["backup", "--json", "--rounds", "1", "--users", "300"]);
    expect(code, stderr).to.equal(0);
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    const names = ["dumpRatio", "verifyRatio", "dumpSeconds", "verifySeconds", "restoreSeconds", "megabytes"];
    expect(Object.keys(figures)).to.deep.equal(names);
    expect(figures["restoreSeconds"]).to.be.within(0.1, figures["verifySeconds"]!);
    expect(stderr).to.match(/dump: [\d.]+ s, bare [\d.]+ s, ratio .*\nproof: /);
  });
});

describe("bench age", function () {
  this.timeout(60_000);

  it("18-3 measures our encryption beside the package's, as so many megabytes a second each", async () => {
    const { code, stdout, stderr } = await bench(["age", "--json", "--rounds", "1", "--megabytes", "2"]);
    expect(code, stderr).to.equal(0);
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    expect(Object.keys(figures)).to.deep.equal(["ratio", "megabytesPerSecond", "ageEncryptionMegabytesPerSecond"]);
    for (const [name, figure] of Object.entries(figures)) expect(figure, name).to.be.greaterThan(0);
    expect(stderr).to.match(/^ours [\d.]+ s, age-encryption [\d.]+ s$/m);
  });
});
