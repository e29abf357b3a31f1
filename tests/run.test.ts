import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plan } from "./plan";
import { long } from "./support/long";

describe("npm test", function () {
  this.timeout(60_000);
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), "guardian-run-"))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** The last line, and the exit code, of a run of test files with these texts. */
  function run(
    texts: string[],
    env: Record<string, string> = {},
    more: string[] = [],
    before: string[] = [],
  ): { last: string; said: string; code: number | null } {
    const files = texts.map((text, i) => {
      const file = join(folder, `${i}.test.cjs`);
      writeFileSync(file, text);
      return file;
    });
    const args = ["--require", "tsx/cjs", join(__dirname, "run.ts"), ...before, ...files, ...more];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    return { last: stdout.trim().split("\n").at(-1) ?? "", said: stdout + stderr, code: status };
  }

  const skip = JSON.stringify(join(__dirname, "support", "skip"));
  const passes = "it('passes', () => undefined);";
  const explained = `const { skip } = require(${skip});
    describe('a suite', () => { before(function () { skip(this, 'no such thing'); }); it('one', () => undefined); });
    it('another', function () { skip(this, 'not today'); });`;

  for (const [how, more] of [
    ["one file", []],
    ["two at once", [passes]],
  ] as const) {
    it(`counts what passed, failed and was skipped, with its reason (${how})`, () => {
      const { last, said, code } = run([
        `${passes} it('fails', () => { throw new Error('x'); }); ${explained}`,
        ...more,
      ]);
      expect(last).to.equal(`${1 + more.length} passed, 1 failed, 2 skipped`);
      expect(said).to.contain("skipped: a suite one: no such thing").and.contain("skipped: another: not today");
      expect(said).to.match(/\nthe slowest:\n( +\d+\.\d s {2}\S+\.test\.cjs\n)+\nfailed:\n {2}fails: x\ntook /);
      expect(code).to.equal(1);
    });

    // What a worker hands over is the harder case; what mocha refuses is the same in both.
    const [inWorkers, here] = more.length > 0 ? [it, long] : [long, it];
    inWorkers(`counts a skip without a reason as a failure (${how})`, () => {
      const { last, code } = run([`${passes} it.skip('left', () => undefined);`, ...more]);
      expect(last).to.equal(`${1 + more.length} passed, 1 failed, 0 skipped`);
      expect(code).to.equal(1);
    });

    here(`refuses a forgotten .only (${how})`, () => {
      const { said, code } = run([`it.only('alone', () => undefined); ${passes}`, ...more]);
      expect(said).to.match(/`.only` (forbidden|is not supported)/);
      expect(code).to.equal(1);
    });
  }

  it("runs as many at once as --jobs says, and refuses what is no number", () => {
    const jobs = (n: string): ReturnType<typeof run> => run([passes, passes], {}, [], ["--jobs", n]);
    const three = jobs("3");
    expect(three).to.include({ last: "2 passed, 0 failed, 0 skipped", code: 0 });
    expect(three.said).to.contain("2 files, 3 at once");
    expect(jobs("many").code).to.equal(2);
  });

  it("leaves long tests out and says how many, runs them alone, and whole runs both", () => {
    const long = JSON.stringify(join(__dirname, "support", "long"));
    const both = `${passes} require(${long}).long('is long', () => undefined);`;
    const last = (tier: string, files: string[]): string[] =>
      run(files, {}, [], [tier]).said.trim().split("\n").slice(-2);
    expect(last("--short", [both, both])).to.deep.equal([
      "2 more in npm run test:long",
      "2 passed, 0 failed, 0 skipped",
    ]);
    const [took, counted] = last("--long", [both, both]);
    expect(took).to.match(/^took \d+\.\d minutes, \d+ s of CPU$/);
    expect(counted).to.equal("2 passed, 0 failed, 0 skipped");
    expect(last("--whole", [both])[1]).to.equal("2 passed, 0 failed, 0 skipped");
  });

  it("a long test is run by npm run test:long, by .ci/run and on every version, and none is declared where that does not look", () => {
    const files = readdirSync(__dirname, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    const declares = /import \{[^}]*\blong\b[^}]*\} from "(\.\.?\/)+(support\/)?long"/;
    const textOf = (file: string): string => readFileSync(join(__dirname, file), "utf8");
    const declaring = files.filter((file) => declares.test(textOf(file)));
    // What a support file declares is its callers': one that is not here is looked for by nobody.
    const [tests, support] = [true, false].map((own) => declaring.filter((file) => file.endsWith(".test.ts") === own));
    expect(support).to.deep.equal(["support/modules.ts"]);
    const callers = files.filter((file) => file.endsWith(".test.ts") && /\bdescribeLifecycle\(/.test(textOf(file)));
    const meant = [...new Set([...tests!, ...callers])].sort();
    expect(meant).to.include.members(["stories/killed.test.ts", "sql/001_feature_flags.test.ts"]);
    const filesOf = (arg: string): string[] => (plan([arg], 2) ?? []).flatMap(({ files }) => files);
    expect(filesOf("--long").sort()).to.deep.equal(meant);
    expect(filesOf("--whole")).to.include.members(meant);
    const everywhere = (plan(["--all"], 2) ?? []).filter(({ args }) => args.includes("--grep"));
    expect(everywhere).to.deep.equal([]);
    const read = (file: string): string => readFileSync(join(__dirname, "..", file), "utf8");
    expect(read(".ci/run")).to.contain("npm run --silent test:whole");
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    expect(scripts["test:long"]).to.match(/tests\/run\.ts --long$/);
    expect(scripts["test:whole"]).to.match(/tests\/run\.ts --whole$/);
  });

  /** Fails at its first run, as a test does that waited for a loaded machine. */
  const atFirst = `const fs = require('node:fs'); const seen = __filename + '.seen';
    it('is late: once', () => { if (!fs.existsSync(seen)) { fs.writeFileSync(seen, ''); throw new Error('too slow'); } });`;

  it("runs a file in which something failed once more, by itself, and says what passed only then", () => {
    const { last, said, code } = run([`${atFirst} ${passes}`, passes]);
    expect(last).to.equal("3 passed, 0 failed, 0 skipped");
    expect(said)
      .to.match(/\n\S*0\.test\.cjs again, by itself\n/)
      .and.not.match(/1\.test\.cjs again/);
    expect(said).to.contain("failed at first, and passed by themselves:\n  is late: once: too slow\n");
    expect(code).to.equal(0);
  });

  it("fails what fails at the second run too, names it at the end, and tries nothing twice with --once", () => {
    rmSync(join(folder, "0.test.cjs.seen"), { force: true });
    const fails = `${passes} it('fails', () => { throw new Error('for good'); });`;
    const twice = run([atFirst, fails]);
    expect(twice).to.include({ last: "2 passed, 1 failed, 0 skipped", code: 1 });
    expect(twice.said).to.contain("\nfailed:\n  fails: for good\n").and.contain("  is late: once: too slow\n");
    rmSync(join(folder, "0.test.cjs.seen"));
    const once = run([atFirst, passes], {}, [], ["--once"]);
    expect(once).to.include({ last: "1 passed, 1 failed, 0 skipped", code: 1 });
    expect(once.said).to.contain("\nfailed:\n  is late: once: too slow\n").and.not.contain("by itself");
  });

  for (const more of [[], [passes]])
    it(`names what took more than a third of its time limit (${1 + more.length} files)`, () => {
      const slow = `it('is slow', function (done) { this.timeout(6000); setTimeout(done, 2200); }); ${passes}`;
      const { last, said } = run([slow, ...more]);
      expect(last).to.match(/^\d passed, 0 failed/);
      expect(said).to.match(/took more than a third of their time limit:\n +\d\.\d of +6\.0 s {2}is slow\n/);
    });

  it("tries nothing a second time where a machine's noise is no reason: too much failed", () => {
    const fails = "it('fails', () => { throw new Error('x'); });";
    const { last, said } = run(Array<string>(13).fill(fails));
    expect(last).to.equal("0 passed, 13 failed, 0 skipped");
    expect(said).not.to.contain("by itself");
  });

  it("refuses a file that is not there, whatever else is named: exit code 2", () => {
    expect(run([passes], {}, ["typo.test.ts"])).to.include({ last: "no such file: typo.test.ts", code: 2 });
  });

  it("ends with an error for a version that there is no server of", () => {
    const { said, code } = run([passes], { GUARDIAN_TEST_PG: "14" });
    expect(said).to.contain('GUARDIAN_TEST_PG is "14": there is a server for 15, 16, 17, 18');
    expect(code).to.equal(1);
  });

  it("skips nothing for want of pg_dump: the run ends with an error", () => {
    const env = { PATH: "/nonexistent", GUARDIAN_PG_BIN: folder, HOME: folder, XDG_CACHE_HOME: join(folder, "cache") };
    const { last, said, code } = run([passes], env);
    expect(said).to.contain("there is no pg_dump 17 for the tests on PostgreSQL 17");
    expect(last).to.equal("0 passed, 1 failed, 0 skipped");
    expect(code).to.equal(1);
  });
});
