import { expect } from "chai";
import { GuardianError } from "../../engine/base/errors";
import { pulumiCommand } from "../../spec";
import { run, Stopped } from "../../scripts/command";
import type { Command } from "../../scripts/command/description";
import { usage } from "../../scripts/command/parse";

const shared = { rows: { least: 1, most: 9, default: 3, about: "how many" } } as const;
const command = {
  name: "npm run try",
  purpose: "tries",
  about: "All of it\nand more.",
  words: {
    noun: "way",
    placeholder: "WAY",
    each: {
      up: { about: "there", options: shared },
      down: { about: "back", options: shared },
      off: { about: "one line\nand another" },
    },
  },
  options: {
    into: { value: "FOLDER", short: "C", about: "where\nit goes" },
    fast: { about: "at once" },
  },
  notes: "What it leaves out.",
  exits: { "0": "done", "1": "not done", "130": "stopped by ^C" },
} as const satisfies Command;

/** What the command says and prints, and its exit code. */
async function tried(
  args: string[],
  work: (given: unknown) => Promise<number> = () => Promise.resolve(0),
  stop?: Error,
) {
  const [said, printed]: [string[], string[]] = [[], []];
  const signal = stop ? AbortSignal.abort(stop) : new AbortController().signal;
  const around = { say: (line: string) => said.push(line), print: (line: string) => printed.push(line), signal };
  return { code: await run(command, args, around, work), said: said.join("\n"), printed: printed.join("\n") };
}

const pointer = "`npm run try -- --help` lists what there is";

describe("commands", () => {
  it("with --json what went wrong is one line of JSON besides, last on standard output", async () => {
    const fields = { what: "no server", where: "127.0.0.1:1", todo: ["start it", "name another"] };
    const json = { ...command, options: { ...command.options, json: { about: "as JSON" } } };
    const printed: string[] = [];
    const around = { say: () => undefined, print: (line: string) => void printed.push(line) };
    const failing = () => Promise.reject(new GuardianError("server-unreachable", fields));
    expect(await run(json, ["up", "--json"], around, failing)).to.equal(1);
    expect(printed.map((line) => JSON.parse(line) as unknown)).to.deep.equal([
      { error: { code: "server-unreachable", ...fields } },
    ]);
    printed.length = 0;
    expect(await run(json, ["up", "--json", "--slow"], around, failing)).to.equal(2);
    expect(JSON.parse(printed.at(-1) ?? "")).to.have.nested.property("error.code", "usage");
    printed.length = 0;
    expect(await run(json, ["up"], around, failing)).to.equal(1);
    expect(printed).to.deep.equal([]);
  });

  it("--help is composed of the description; options that words share stand there once", async () => {
    expect(await tried(["--help"])).to.deep.equal({
      code: 0,
      said: "",
      printed: `npm run try -- WAY [options]: tries

All of it
and more.

  up         there
               --rows N  how many (default 3)
  down       back
  off        one line
             and another

  -C, --into FOLDER  where
                     it goes
  --fast             at once
  -h, --help         print this

What it leaves out.

Exit codes: 0 done; 1 not done; 2 wrong use; 130 stopped by ^C.`,
    });
    const one = await tried(["down", "-h", "--rows", "none"]);
    expect(one.printed).to.contain("\n  down       back\n               --rows N  how");
    expect(one.printed).not.to.contain("  up ");
  });

  it("hands over what was typed, with defaults, and returns the work's exit code", async () => {
    const given: unknown[] = [];
    const note = (one: unknown): Promise<number> => Promise.resolve(given.push(one));
    expect(await tried(["up", "-C", "here"], note)).to.deep.equal({ code: 1, said: "", printed: "" });
    expect(await tried(["--fast", "--rows=9", "down"], note)).to.include({ code: 2 });
    await tried(["off"], note);
    await tried(["up", "--rows", "1"], note);
    expect(given).to.deep.equal([
      { word: "up", into: "here", fast: false, help: false, own: { rows: 3 } },
      { word: "down", into: undefined, fast: true, help: false, own: { rows: 9 } },
      { word: "off", into: undefined, fast: false, help: false, own: {} },
      { word: "up", into: undefined, fast: false, help: false, own: { rows: 1 } },
    ]);
  });

  for (const [args, what, hint] of [
    [["up", "--roes", "3"], "Unknown option '--roes'", "the nearest option is --rows"],
    [["up", "--hlep"], "Unknown option '--hlep'", "the nearest option is --help"],
    [["up", "-x"], "Unknown option '-x'"],
    [["up", "--rows"], "Option '--rows <value>' argument missing"],
    [["up", "--fast=1"], "Option '--fast' does not take an argument"],
    [["up", "--rows", "10"], "--rows must be a whole number from 1 to 9"],
    [["up", "--rows", "0"], "--rows must be a whole number from 1 to 9"],
    [["off", "--rows", "3"], "off takes no --rows"],
    [["up", "down"], "An argument is too many"],
    [["toString"], "There is no such way; there are: up, down, off", "the nearest is down"],
    [["dwon", "7"], "There is no such way; there are: up, down, off", "the nearest is down"],
    [[], "Name a way: up, down, off"],
  ] as const) {
    it(`wrong use has exit code 2: ${args.join(" ") || "nothing at all"}`, async () => {
      const ways = hint === undefined ? `  to do: ${pointer}` : `  to do: ${hint}\n     or: ${pointer}`;
      expect(await tried([...args])).to.deep.equal({
        code: 2,
        printed: "",
        said: `${what} [usage]\n  where: npm run try\n${ways}`,
      });
    });
  }

  it("an error of ours is its message, any other its stack, both with exit code 1; wrong use found late is 2", async () => {
    const failed = (err: Error) => tried(["up"], () => Promise.reject(err));
    expect(await failed(new GuardianError("unexpected", { what: "no", todo: "try" }))).to.include({
      code: 1,
      said: "no [unexpected]\n  to do: try",
    });
    const bug = await failed(new TypeError("a bug"));
    expect(bug.code).to.equal(1);
    expect(bug.said).to.match(/^TypeError: a bug\n +at /);
    expect(await failed(usage(command, "not so"))).to.include({ code: 2 });
    expect(await failed(new Stopped("stopped by SIGTERM", 143))).to.include({ code: 143, said: "stopped by SIGTERM" });
  });

  it("what fails after ^C is the stop, with exit code 130", async () => {
    const work = () => Promise.reject(new Error("a query was cancelled"));
    expect(await tried(["up"], work, new Error("stopped (SIGINT)"))).to.deep.equal({
      code: 130,
      said: "stopped; nothing of it is left",
      printed: "",
    });
  });

  it("what it says to do is called by npm run pulumi, in the project and for the stack that were named", async () => {
    const options = { cwd: { value: "FOLDER", about: "where" }, stack: { value: "NAME", about: "whose" } } as const;
    const around = { say: () => undefined, print: () => undefined };
    const refresh = async (args: string[]): Promise<string> => {
      let said = "";
      await run({ ...command, options }, ["up", ...args], around, () => {
        said = pulumiCommand("refresh");
        return Promise.resolve(0);
      });
      return said;
    };
    const before = pulumiCommand("refresh");
    expect(await refresh([])).to.equal("npm run pulumi -- refresh");
    expect(await refresh(["--cwd", "/p", "--stack", "prod"])).to.equal(
      "npm run pulumi -- -C '/p' refresh --stack prod",
    );
    expect(pulumiCommand("refresh")).to.equal(before);
  });
});
