import { expect } from "chai";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, UsageError } from "../../scripts/command/parse";
import { command } from "../../scripts/faults/arguments";
import { chance, choose, victims, type Stand } from "../../scripts/faults/choices";
import { addTheirs, compareContent, keepSession, type Theirs } from "../../scripts/faults/compare";
import type { Content, Row } from "../../scripts/faults/content";
import { main } from "../../scripts/faults/main";
import { disturbed, type Scene } from "../../scripts/faults/operate";
import { Orphans } from "../../scripts/faults/orphans";
import { family, kill, pluginCommand, processes, scratchCommand, type Process } from "../../scripts/faults/processes";
import { productPlugin } from "../support/plugin";
import { descendants, until } from "../support/processes";

const clone = join(__dirname, "..", "..");
const table = "public.user_preferences";

const row = (key: string, content = `content ${key}`, whole = `whole ${key}`): Row => ({ key, content, whole });
const content = (rows: Row[], facts: string[] = ["table a"]): Content => ({
  rows: new Map([[table, rows]]),
  facts,
  session: new Map(),
});

describe("faults: the command line", () => {
  it("reads options and defaults", () => {
    const defaults = { kills: undefined, clean: undefined, seed: "1", users: undefined, proof: false };
    expect(parse(command, [])).to.deep.equal({ ...defaults, json: false, help: false });
    const given = { ...defaults, kills: 300, seed: "x7", users: 500, json: true, help: false };
    expect(parse(command, ["--kills", "300", "--seed", "x7", "--users", "500", "--json"])).to.deep.equal(given);
    expect(parse(command, ["-h"]).help).to.equal(true);
    expect(parse(command, ["--clean", "20"]).clean).to.equal(20);
  });

  it("19-3: refuses to kill where nothing is to be killed, and starts nothing", async () => {
    for (const other of [["--kills", "2"], ["--proof"]]) {
      const said: string[] = [];
      const around = { print: () => undefined, say: (line: string) => void said.push(line) };
      const code = await main(["--clean", "1", ...other], { ...around, signal: new AbortController().signal });
      expect([code, said.length]).to.deep.equal([2, 1]);
      expect(said[0]).to.contain("--clean kills nothing");
    }
  });

  for (const [args, message] of [
    [["--kills", "0"], "--kills must be a whole number from 1 to 100000"],
    [["--users", "1e3"], "--users must be a whole number from 20 to 10000000"],
    [["--seed"], "Option '--seed <value>' argument missing"],
    [["--fast"], "Unknown option '--fast'"],
    [["now"], "An argument is too many"],
  ] as const) {
    it(`refuses: ${args.join(" ")}`, () => {
      expect(() => parse(command, args)).to.throw(UsageError, message);
    });
  }
});

describe("faults: what is chosen", () => {
  it("follows from the seed alone, and another seed chooses otherwise", () => {
    const sequence = (seed: string): unknown => Array.from({ length: 30 }, (_, n) => choose(seed, n, "v7"));
    expect(sequence("1")).to.deep.equal(sequence("1"));
    expect(sequence("1")).not.to.deep.equal(sequence("2"));
  });

  it("meets every victim, every way, fresh beginnings, several kills in a row, and the data stage half of the time", () => {
    const stands: Stand[] = ["v6", "schema", "v7"];
    const all = stands.flatMap((from) => Array.from({ length: 400 }, (_, n) => ({ from, ...choose("s", n, from) })));
    const ways = new Set(all.map(({ from, to, fresh }) => (fresh ? "fresh" : `${from} ${to}`)));
    expect([...ways].sort()).to.deep.equal(["fresh", "schema v6", "schema v7", "v6 v7", "v7 schema", "v7 v6"]);
    const kills = all.flatMap((choice) => choice.kills);
    expect(new Set(all.map((choice) => choice.kills.length))).to.deep.equal(new Set([1, 2, 3]));
    for (const victim of victims) {
      const share = kills.filter((one) => one.victim === victim).length / kills.length;
      expect(share, victim).to.be.within(0.2, 0.3);
    }
    expect(kills.filter((one) => one.inData).length / kills.length).to.be.within(0.45, 0.55);
  });

  it("17-4 meets the proof of a backup and its scratch server, if backups are proven", () => {
    const kills = Array.from({ length: 400 }, (_, n) => choose("s", n, "v6", true).kills).flat();
    const share = (some: typeof kills): number => some.length / kills.length;
    expect(share(kills.filter(({ victim }) => victim === "scratch"))).to.be.within(0.15, 0.25);
    expect(share(kills.filter(({ inProof }) => inProof))).to.be.within(0.45, 0.6);
    expect(kills.filter(({ inProof, inData }) => inProof && inData)).to.deep.equal([]);
    expect(choose("s", 1, "v6").kills.some(({ inProof }) => inProof)).to.equal(false);
    const server = "/x/native/bin/postgres -D /tmp/guardian-scratch-a1B2c3/data -c shared_buffers=32MB";
    expect([scratchCommand.test(server), scratchCommand.test("postgres: checkpointer")]).to.deep.equal([true, false]);
  });

  it("draws evenly from 0 to below 1", () => {
    const drawn = Array.from({ length: 2000 }, (_, n) => chance("s", n));
    for (const part of [0, 1, 2, 3]) {
      expect(drawn.filter((one) => Math.floor(one * 4) === part).length).to.be.within(400, 600);
    }
  });
});

describe("faults: what is compared", () => {
  const undisturbed = content([row("a"), row("b")]);
  const none: Theirs = new Map();

  it("finds nothing where the order, created ids and times differ", () => {
    const found = content([row("b", "content b", "other whole"), row("a")]);
    expect(compareContent(undisturbed, none, found)).to.deep.equal({ lost: 0, twice: 0, faults: [] });
  });

  it("counts what is missing, changed, twice and too much", () => {
    expect(compareContent(undisturbed, none, content([row("a")])).lost).to.equal(1);
    expect(compareContent(undisturbed, none, content([row("a", "changed"), row("b")])).lost).to.equal(1);
    const twice = compareContent(undisturbed, none, content([row("a"), row("a"), row("b"), row("b", "changed")]));
    expect(twice).to.deep.equal({ lost: 0, twice: 2, faults: [`${table}: 2 rows there twice`] });
    const strange = compareContent(undisturbed, none, content([row("a"), row("b"), row("c")]));
    expect(strange.faults).to.deep.equal([`${table}: 1 rows that should not be there`]);
  });

  it("names what is missing or new in the catalogue, the session and the ledger", () => {
    const found = content([row("a"), row("b")], ["unfinished: 005_user_preferences rows"]);
    expect(compareContent(undisturbed, none, found).faults).to.deep.equal([
      "missing: table a",
      "not in the undisturbed run: unfinished: 005_user_preferences rows",
    ]);
  });

  it("wants a user's row to be there as he left it, in place of the migration's, and whole", () => {
    const theirs: Theirs = new Map();
    const mine = row("a", "mine", "my whole");
    expect(addTheirs(theirs, undisturbed, content([mine, row("b"), row("c")]))).to.equal(2);
    const verdict = (rows: Row[]): object => compareContent(undisturbed, theirs, content(rows));
    expect(verdict([mine, row("b"), row("c")])).to.deep.include({ lost: 0, twice: 0, faults: [] });
    expect(verdict([row("a"), row("b"), row("c")]), "written over").to.deep.include({ lost: 1, twice: 0 });
    expect(verdict([{ ...mine, whole: "other id" }, row("b"), row("c")]), "made anew").to.deep.include({ lost: 1 });
    expect(verdict([mine, row("a"), row("b"), row("c")]), "given back").to.deep.include({ lost: 0, twice: 1 });
    expect(verdict([mine, row("b")]), "forgotten").to.deep.include({ lost: 1 });
  });
});

describe("faults: a session that is over", () => {
  it("must be there after the next run, beside the new one", () => {
    const theirs: Theirs = new Map();
    const left = { ...content([]), session: new Map([["public.migration_sessions", [row("1")]]]) };
    keepSession(theirs, left);
    const verdict = (rows: Row[]): object =>
      compareContent(content([]), theirs, { ...content([]), rows: new Map([["public.migration_sessions", rows]]) });
    expect(verdict([row("1")])).to.deep.equal({ lost: 0, twice: 0, faults: [] });
    expect(verdict([])).to.deep.include({ lost: 1, faults: ["public.migration_sessions: 1 rows lost or changed"] });
    expect(verdict([row("1"), row("2")]), "two were opened by one run").to.deep.include({
      faults: ["public.migration_sessions: 1 rows that should not be there"],
    });
  });
});

describe("faults: processes", () => {
  it("knows a family, kills once, and says when there was nobody", async () => {
    const child = spawn("/bin/sh", ["-c", "sleep 60 & wait"], { stdio: "ignore" });
    const pid = child.pid ?? 0;
    await until("the shell has its child", () => family(pid).length === 2);
    const [first, second] = family(pid);
    expect([first?.pid, second?.parent]).to.deep.equal([pid, pid]);
    expect(second?.command).to.match(/^sleep 60/);
    expect(kill(second?.pid ?? 0)).to.equal(true);
    if (child.exitCode === null) await once(child, "exit");
    expect(processes().some((one) => one.pid === second?.pid)).to.equal(false);
    expect(kill(pid)).to.equal(false);
    expect(family(pid)).to.deep.equal([]);
  });
});

describe("faults: processes that should have ended", () => {
  const sleeper = (): ChildProcess => spawn("sleep", ["60"], { stdio: "ignore" });
  const known = (child: ChildProcess): Process[] => family(child.pid ?? 0);

  it("one that outlives its CLI is a fault, and is ended; one that goes in time is none", async () => {
    const orphans = new Orphans(300);
    const [stays, goes] = [sleeper(), sleeper()];
    await until("both are there", () => known(stays).length + known(goes).length === 2);
    orphans.note([...known(stays), ...known(goes)]);
    setTimeout(() => goes.kill(), 100);
    const command = `process ${stays.pid} was there 0.3 s after its CLI: sleep 60`;
    expect((await orphans.outlived()).map((line) => line.trim())).to.deep.equal([command]);
    await until("it was ended", () => known(stays).length === 0);
    expect(await orphans.outlived(), "once").to.deep.equal([]);
  });

  /** A CLI that has a child and never ends the first time, and ends well from then on. */
  const scene = (signal: AbortSignal, started: (cli: ChildProcess) => void): Scene => {
    let runs = 0;
    const run = async (_args: readonly string[], onStart: (cli: ChildProcess) => void) => {
      const cli = spawn("/bin/sh", ["-c", runs++ > 0 ? "true" : "sleep 60 & wait"], { stdio: "ignore" });
      onStart(cli);
      started(cli);
      const [code] = (await once(cli, "exit")) as [number | null];
      return { code: code ?? 1, stdout: "", stderr: "" };
    };
    const stack = { run, mend: () => Promise.resolve(), locked: false, pending: 0 };
    const watch = { look: () => Promise.resolve({ backends: [], data: undefined, proving: false, step: "a step" }) };
    return { stack, watch, server: {}, signal, orphans: new Orphans(300), patience: 500 } as unknown as Scene;
  };
  const line = { duration: 0, backend: 0, dataBegin: 0, dataLength: 0, proofLength: 0 };

  it("a CLI that hangs is killed, which is a fault, and so is the child that stays", async () => {
    const outcome = await disturbed(
      scene(new AbortController().signal, () => undefined),
      "up",
      [],
      line,
    );
    expect(outcome).to.deep.include({ hits: [], tries: 2, failed: undefined });
    const [hung, child, ...more] = outcome.faults;
    expect(hung).to.match(/^pulumi up hung in try 1 and was killed after \d+ s$/);
    expect(child).to.match(/^process \d+ was there 0.3 s after its CLI: sleep 60/);
    expect(more).to.deep.equal([]);
  });

  it("^C in the moment of a kill: what the kill left is not forgotten", async () => {
    const stop = new AbortController();
    const it = scene(stop.signal, (cli) => cli.once("exit", () => stop.abort()));
    const kills = [{ victim: "CLI", inData: false, inProof: false, at: 0.5 } as const];
    const slow = { ...line, duration: 600 };
    const stopped = await disturbed({ ...it, patience: 60_000 }, "up", kills, slow).catch((err: unknown) => err);
    expect(stopped).to.have.property("name", "AbortError");
    const left = await it.orphans.outlived();
    expect(left.join("\n")).to.match(/^process \d+ was there 0.3 s after its CLI: sleep 60 *$/);
  });
});

describe("faults: the plugin", () => {
  it("is known by the command that starts it", () => {
    expect(readFileSync(productPlugin, "utf8")).to.match(pluginCommand);
  });
});

describe("faults: stopped", function () {
  this.timeout(180_000);

  for (const [of, when, mode] of [
    ["", "while the server starts", "--kills"],
    ["", "in the middle of up", "--kills"],
    ["19-3: ", "in the middle of up beside an application", "--clean"],
  ] as const) {
    it(`${of}^C ${when}: exit code 130, no process and no folder is left`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "faults of a test "));
      chmodSync(folder, 0o755);
      const command = ["--import", "tsx", "scripts/faults.ts", mode, "1", "--users", "100"];
      const env = { ...process.env, TMPDIR: folder };
      const child = spawn(process.execPath, command, { cwd: clone, env, stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
      try {
        await until("the command says what it does", () => said.includes("PostgreSQL"), 60_000);
        const up = (): boolean => descendants(child.pid ?? 0, pluginCommand).length > 0;
        if (when.includes("up")) await until("up runs", up, 60_000);
        const mine = descendants(child.pid ?? 0, /./);
        child.kill("SIGINT");
        const [code] = (await once(child, "close")) as [number | null];
        expect(code, said).to.equal(130);
        expect(said).to.contain("stopped; nothing of it is left");
        const all = processes();
        const left = mine.filter(({ pid, command }) =>
          all.some((one) => one.pid === pid && one.command.trim() === command),
        );
        expect(left).to.deep.equal([]);
        expect(readdirSync(folder).filter((name) => !name.startsWith("tsx-"))).to.deep.equal([]);
      } finally {
        child.kill("SIGKILL");
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});
