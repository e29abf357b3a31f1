import { expect } from "chai";
import { spawn } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "../../provider/boot/compile";
import { root } from "../support/plugin";

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A program that says how it was loaded: from its sources it stands in node's own list of modules. */
const program = `import { createRequire } from "node:module";
import { word } from "../spec/word";
import { remembered } from "../engine/base/remembered";
const load = createRequire(__filename);
const [asked] = process.argv.slice(2);
if (asked === "throw") {
  const fail = (): never => {
    throw new TypeError("on purpose");
  };
  fail();
}
const { later } = load("./later") as typeof import("./later");
if (asked === "work") {
  const made = [GROWN];
  for (const until = process.cpuUsage().user + 1_600_000; process.cpuUsage().user < until; ) made.forEach((one) => one(1));
}
const said = { word, later, asked, place: __filename, sources: __filename in require.cache };
if (asked?.startsWith("remember ") !== true) console.log(JSON.stringify(said));
else {
  let worked = 0;
  const work = () => (worked++, asked.endsWith("wrong") ? Promise.reject(new Error("wrong")) : Promise.resolve("of " + asked));
  const twice = async () => [await remembered("a kind", asked, work), await remembered("a kind", asked, work)];
  void twice()
    .catch((err: Error) => [err.message])
    .then((value) => console.log(JSON.stringify({ value, worked })));
}
`.replace(
  "GROWN",
  Array.from({ length: 50 }, (_, i) => `(n: number) => [n, ${i}].map((m) => m + n).length`).join(", "),
);

/** A clone that is small: the real boot/, a program of three files, and a node_modules of its own. */
class Clone {
  readonly folder = mkdtempSync(join(tmpdir(), "guardian compiled "));
  readonly cache = this.at("node_modules", ".cache", "guardian");
  readonly home = this.at("home");

  constructor() {
    cpSync(join(root, "provider", "boot"), this.at("provider", "boot"), { recursive: true });
    for (const file of ["package.json", "tsconfig.json"]) cpSync(join(root, file), this.at(file));
    for (const name of ["config", "engine", "spec", "resources", "node_modules", "home"]) mkdirSync(this.at(name));
    mkdirSync(this.at("engine", "base"));
    for (const file of ["remembered.ts", "hash.ts"])
      cpSync(join(root, "engine", "base", file), this.at("engine", "base", file));
    for (const name of ["tsx", "esbuild"]) symlinkSync(join(root, "node_modules", name), this.at("node_modules", name));
    writeFileSync(this.at("node_modules", ".package-lock.json"), "{}");
    writeFileSync(this.at("spec", "word.ts"), 'export const word: string = "first";\n');
    writeFileSync(this.at("resources", "later.ts"), "export const later = __dirname;\n");
    writeFileSync(this.at("resources", "main.ts"), program);
  }

  at(...path: string[]): string {
    return join(this.folder, ...path);
  }

  start(asked: string, env: Record<string, string> = {}, folder = this.folder): Promise<Ended> {
    const args = [join(folder, "provider", "boot", "start.cjs"), join(folder, "resources", "main.ts"), asked];
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env["PATH"], HOME: this.home, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (text) => (out[stream] += String(text)));
    return new Promise((resolve) => void child.once("close", (code) => resolve({ code, ...out })));
  }

  /** What the program says of itself. @param folder another path to the clone */
  async said(env: Record<string, string> = {}, folder = this.folder, asked = "x"): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.start(asked, env, folder);
    expect(stderr).to.equal("");
    expect(code).to.equal(0);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** The compiled files that are kept. */
  get kept(): string[] {
    return existsSync(this.cache) ? readdirSync(this.cache).filter((name) => name.endsWith(".cjs")) : [];
  }
}

describe("provider: a plugin that starts", function () {
  this.timeout(120_000);
  let clone: Clone;
  beforeEach(() => (clone = new Clone()));
  afterEach(() => rmSync(clone.folder, { recursive: true, force: true }));
  const usual = () => ({
    word: "first",
    later: clone.at("resources"),
    asked: "x",
    place: clone.at("resources", "main.ts"),
  });

  it("compiles its sources once, twice at once too, and finds them the next time, whole, nobody else's, by any path to them", async () => {
    const compiled = { ...usual(), sources: false };
    expect(await Promise.all([clone.said(), clone.said()])).to.deep.equal([compiled, compiled]);
    expect(clone.kept).to.have.lengthOf(1);
    // The file is what is run: with another word in it, another word is said (of another length, by which V8 tells sources).
    const file = join(clone.cache, clone.kept[0]!);
    const whole = readFileSync(file, "utf8");
    const other = whole.replace('"first"', '"found there"');
    writeFileSync(file, other);
    const link = join(clone.home, "link");
    symlinkSync(clone.folder, link);
    for (const folder of [clone.folder, link])
      expect(await clone.said({}, folder), folder).to.deep.equal({ ...compiled, word: "found there" });
    expect(clone.kept).to.have.lengthOf(1);
    truncateSync(file, 1000);
    expect(await clone.said()).to.deep.equal(compiled);
    expect(readFileSync(file, "utf8")).to.equal(whole);
    writeFileSync(file, other);
    chmodSync(file, 0o666);
    expect(await clone.said()).to.deep.equal(compiled);
    expect(readFileSync(file, "utf8")).to.equal(whole);
    const there = readdirSync(clone.cache).filter((name) => name.includes(".half"));
    expect(there, "halves of files").to.deep.equal([]);
  });

  it("compiles anew what was changed, or where another package is installed", async () => {
    await clone.said();
    const compiled = { ...usual(), sources: false, word: "second" };
    writeFileSync(clone.at("spec", "word.ts"), 'export const word = "second";\n');
    expect(await clone.said()).to.deep.equal(compiled);
    writeFileSync(clone.at("node_modules", ".package-lock.json"), '{"packages": {}}');
    expect(await clone.said()).to.deep.equal(compiled);
    expect(clone.kept).to.have.lengthOf(3);
  });

  it("takes the user's own cache where that of the clone cannot be written, and the sources where neither can", async () => {
    writeFileSync(clone.at("node_modules", ".cache"), "no folder");
    expect(await clone.said()).to.deep.equal({ ...usual(), sources: false });
    expect(
      readdirSync(join(clone.home, ".cache", "guardian", "plugin")).some((name) => name.endsWith(".cjs")),
    ).to.equal(true);
    rmSync(join(clone.home, ".cache"), { recursive: true });
    writeFileSync(join(clone.home, ".cache"), "no folder");
    expect(await clone.said()).to.deep.equal({ ...usual(), sources: true });
    const elsewhere = { XDG_CACHE_HOME: clone.at("xdg") };
    expect(await clone.said(elsewhere)).to.deep.equal({ ...usual(), sources: false });
  });

  it("takes the sources where npm did not say what is installed, or links to what somebody works on", async () => {
    expect((await clone.said({ GUARDIAN_COMPILED: "off" }))["sources"], "as it is told to").to.equal(true);
    writeFileSync(clone.at("node_modules", ".package-lock.json"), '{"packages": {"node_modules/pg": {"link": true}}}');
    expect((await clone.said())["sources"]).to.equal(true);
    rmSync(clone.at("node_modules", ".package-lock.json"));
    expect((await clone.said())["sources"]).to.equal(true);
    expect(clone.kept).to.deep.equal([]);
  });

  it("remembers what texts came to from run to run, and nothing that somebody else, or another version, could have written", async () => {
    const remembers = async (worked: number, what = "this", env: Record<string, string> = {}): Promise<void> => {
      const said = await clone.said(env, clone.folder, `remember ${what}`);
      const value = what === "wrong" ? ["wrong"] : [`of remember ${what}`, `of remember ${what}`];
      expect(said).to.deep.equal({ value, worked });
    };
    await remembers(1);
    await remembers(0);
    await remembers(1, "that");
    await remembers(0, "this");
    await remembers(0, "that");
    await remembers(1, "wrong");
    await remembers(1, "wrong");
    await remembers(1, "this", { GUARDIAN_COMPILED: "off" });
    const [name] = readdirSync(clone.cache).filter((found) => found.endsWith(".remembered"));
    const file = join(clone.cache, name!);
    const whole = readFileSync(file, "utf8");
    writeFileSync(file, whole.replaceAll("of remember this", "of somebody"));
    expect((await clone.said({}, clone.folder, "remember this"))["value"]).to.include("of somebody");
    chmodSync(file, 0o666);
    await remembers(1);
    truncateSync(file, 9);
    await remembers(1);
    await remembers(0);
    writeFileSync(clone.at("spec", "word.ts"), 'export const word = "another version";\n');
    await remembers(1);
  });

  it("keeps what V8 compiled of the first run, and adds what a later one needed that did more", async () => {
    const compiled = (): Buffer => {
      const [name, ...more] = readdirSync(clone.cache).filter((found) => found.endsWith(process.arch));
      expect(more).to.deep.equal([]);
      return readFileSync(join(clone.cache, name!));
    };
    await clone.said();
    const first = compiled();
    await clone.said({}, clone.folder, "y");
    expect(compiled().equals(first), "nothing to add").to.equal(true);
    await clone.said({}, clone.folder, "work");
    expect(compiled().length).to.be.above(1.05 * first.length);
  });

  it("names files and lines of TypeScript in its stacks, compiled just now, found, and from the sources", async () => {
    const place = `${clone.at("resources", "main.ts")}:8:`;
    for (const env of [{}, {}, { GUARDIAN_COMPILED: "off" }]) {
      const { code, stderr } = await clone.start("throw", env);
      expect(code).to.equal(1);
      expect(stderr).to.contain("TypeError: on purpose").and.contain(`at fail (${place}`);
    }
    expect(clone.kept).to.have.lengthOf(1);
  });

  it("says what does not compile, and where, as the sources do", async () => {
    writeFileSync(clone.at("spec", "word.ts"), "export const word = ;\n");
    const { code, stderr } = await clone.start("x");
    expect(code).to.equal(1);
    expect(stderr).to.contain(`${clone.at("spec", "word.ts")}:1:20: ERROR: Unexpected ";"`);
    expect(clone.kept).to.deep.equal([]);
  });

  it("does not compile what nobody would look at for changes", async () => {
    mkdirSync(clone.at("scripts"));
    writeFileSync(clone.at("scripts", "word.ts"), 'export const word = "tool";\n');
    writeFileSync(clone.at("resources", "main.ts"), program.replace("../spec/word", "../scripts/word"));
    expect(await clone.said()).to.deep.equal({ ...usual(), word: "tool", sources: true });
    expect(clone.kept).to.deep.equal([]);
  });
});

describe("provider: the product's plugin, compiled", () => {
  it("still evaluates at first use only what engine/lazy.ts loads, and leaves the parsers where they are", async function () {
    this.timeout(120_000);
    const folders = ["config", "engine", "provider", "resources", "spec"];
    const { code } = await compile(root, join(root, "resources", "main.ts"), folders);
    const lazy = readFileSync(join(root, "engine", "lazy.ts"), "utf8");
    const loaded = [...lazy.matchAll(/load\("\.\/(.+?)"\)/g)].map(([, path]) => path);
    expect(loaded).to.have.length.above(5);
    for (const path of loaded) expect(code).to.match(new RegExp(`"engine/${path!}(/index)?\\.ts"\\(\\)\\{`));
    for (const name of ["@libpg-query/parser", "yaml"]) {
      expect(code).to.contain(`require("${name}")`).and.not.contain(`"node_modules/${name}/`);
    }
    expect(code, "where it was compiled").not.to.contain(root);
  });
});
