import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { none, worthAnotherTry, type Files } from "./outcome";
import { plan } from "./plan";
import { long as declareLong } from "./support/long";

const root = join(__dirname, "..");

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

  const fails = "it('fails', () => { throw new Error('for good'); });";
  const unexplained = "it.skip('left', () => undefined);";
  const slow = "it('is slow', function (done) { this.timeout(6000); setTimeout(done, 2200); });";
  const late = /took more than a third of their time limit:\n +\d\.\d of +6\.0 s {2}is slow\n/;
  const long = `require(${JSON.stringify(join(__dirname, "support", "long"))}).long('is long', () => undefined);`;
  /** Fails at its first run, as a test does that waited for a loaded machine. */
  const atFirst = `const fs = require('node:fs'); const seen = __filename + '.seen';
    it('is late: once', () => { if (!fs.existsSync(seen)) { fs.writeFileSync(seen, ''); throw new Error('too slow'); } });`;

  it("counts of one file what passed, failed, was slow and was skipped, with its reason; without one it failed; --once tries nothing twice", () => {
    const text = [atFirst, fails, explained, unexplained, slow, long].join("\n");
    const { last, said, code } = run([text], {}, [], ["--once"]);
    expect(last).to.equal("2 passed, 3 failed, 2 skipped");
    expect(said).to.contain("skipped: a suite one: no such thing").and.contain("skipped: another: not today");
    expect(said)
      .to.match(/\nthe slowest:\n( +\d+\.\d s {2}\S+\.test\.cjs\n)+/)
      .and.match(late);
    expect(said).to.match(/\nfailed:\n {2}is late: once: too slow\n {2}fails: for good\n {2}left: .*\ntook /);
    expect(said).not.to.contain("by itself");
    expect(code).to.equal(1);
  });

  declareLong(
    "counts the same of several at once, and runs those in which something failed once more, by themselves",
    () => {
      rmSync(join(folder, "0.test.cjs.seen"), { force: true });
      const files = [`${atFirst} ${passes}`, [fails, explained, unexplained].join("\n"), slow];
      const { last, said, code } = run(files, {}, [], ["--jobs", "3"]);
      expect(said).to.contain("3 files, 3 at once");
      expect(last).to.equal("3 passed, 2 failed, 2 skipped");
      expect(said).to.contain("skipped: a suite one: no such thing").and.contain("skipped: another: not today");
      for (const again of [0, 1, 2])
        expect(said.includes(`\n${relative(root, join(folder, `${again}.test.cjs`))} again, by itself\n`)).to.equal(
          again < 2,
        );
      expect(said)
        .to.contain("failed at first, and passed by themselves:\n  is late: once: too slow\n")
        .and.contain("\nfailed:\n  fails: for good\n  left: NO REASON GIVEN")
        .and.match(late);
      expect(code).to.equal(1);
    },
  );

  for (const [how, more, test] of [
    ["one file", [], it],
    ["two at once", [passes], declareLong],
  ] as const)
    test(`refuses a forgotten .only (${how})`, () => {
      const { said, code } = run([`it.only('alone', () => undefined); ${passes}`, ...more]);
      expect(said).to.match(/`.only` (forbidden|is not supported)/);
      expect(code).to.equal(1);
    });

  it("leaves long tests out and says how many, or runs them alone", () => {
    const ran = (tier: string, files: string[]): string => run(files, {}, [], [tier]).said;
    const short = ran("--short", [passes + long, passes + long]);
    expect(short).to.contain("2 files, 3 at once");
    expect(short).to.match(/\n2 more in npm run test:long\n2 passed, 0 failed, 0 skipped\n$/);
    expect(ran("--long", [passes + long])).to.match(
      /\ntook \d+\.\d minutes, \d+ s of CPU\n1 passed, 0 failed, 0 skipped\n$/,
    );
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

  it("skips no test without a reason, on whatever version: this.skip() is left to tests/support/skip.ts", () => {
    const files = readdirSync(__dirname, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    const bare = files.filter((file) => /\bthis\.skip\(\);/.test(readFileSync(join(__dirname, file), "utf8")));
    expect(bare).to.deep.equal([]);
  });

  it("tries nothing a second time where a machine's noise is no reason: too much failed, or what is no file's", () => {
    const one = { ...none(), failures: [{ title: "fails", said: "x" }] };
    const failed = (n: number): Files => Object.fromEntries(Array.from({ length: n }, (_, i) => [`${i}`, one]));
    expect(worthAnotherTry({ ...failed(12), passed: none() }))
      .to.have.length(12)
      .and.not.include("passed");
    expect(worthAnotherTry(failed(13))).to.deep.equal([]);
    expect(worthAnotherTry({ ...failed(1), "": one })).to.deep.equal([]);
  });

  it("refuses a file that is not there, whatever else is named, and jobs that are no number: exit code 2", () => {
    expect(run([passes], {}, [], ["--jobs", "many"]).code).to.equal(2);
    expect(run([passes], {}, ["typo.test.ts"])).to.include({ last: "no such file: typo.test.ts", code: 2 });
  });

  it("ends with an error for a version that there is no server of", () => {
    const { said, code } = run([passes], { GUARDIAN_TEST_PG: "14" });
    expect(said).to.contain('GUARDIAN_TEST_PG is "14": there is a server for 15, 16, 17, 18');
    expect(said).to.not.contain("    at ");
    expect(code).to.equal(2);
  });

  it("skips nothing for want of pg_dump: the run ends with an error", () => {
    const env = { PATH: "/nonexistent", GUARDIAN_PG_BIN: folder, HOME: folder, XDG_CACHE_HOME: join(folder, "cache") };
    const { last, said, code } = run([passes], env);
    expect(said).to.contain("there is no pg_dump 17 for the tests on PostgreSQL 17");
    expect(last).to.equal("0 passed, 1 failed, 0 skipped");
    expect(code).to.equal(1);
  });
});
