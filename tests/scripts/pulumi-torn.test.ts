import { expect } from "chai";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { mendTorn } from "../../scripts/pulumi/backend/torn";
import { long } from "../support/long";
import { tinyProject } from "../support/tiny-project";
import { withFolder } from "../support/folder";

/** A file backend with these files, by their paths below `.pulumi`. */
async function withBackend(files: Record<string, string>, test: (url: string, at: At) => Promise<void>): Promise<void> {
  return withFolder(async (folder) => {
    const at: At = (path) => join(folder, ".pulumi", path);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(at(path)), { recursive: true });
      writeFileSync(at(path), text);
    }
    await test(pathToFileURL(folder).href, at);
  });
}
type At = (path: string) => string;

describe("what Pulumi's file backend left half written", () => {
  it("is brought back if it is a state, but not while somebody may be at work", () => {
    const [state, lock] = ["stacks/tiny/dev.json", "locks/organization/tiny/dev/elsewhere.json"];
    const owner = JSON.stringify({ pid: 1, hostname: "elsewhere" });
    const files = { [state]: '{"a":', [`${state}.bak`]: '{"b":1}', [lock]: owner };
    return withBackend(files, async (url, at) => {
      expect(await mendTorn(url)).to.deep.equal([]);
      expect(readFileSync(at(state), "utf8")).to.equal('{"a":');
      rmSync(at(lock));
      expect((await mendTorn(url)).join()).to.match(/^stack dev: its state file was left half written; /);
      expect([state, `${state}.torn`].map((file) => readFileSync(at(file), "utf8"))).to.deep.equal([
        '{"b":1}',
        '{"a":',
      ]);
      expect(await mendTorn(url)).to.deep.equal([]);
    });
  });

  it("is taken away if it is what the backend notes beside a state, and nothing else is", () => {
    const torn = ["meta.yaml.attrs", "stacks/tiny/dev.json.attrs"];
    const whole = ["stacks/tiny/dev.json", "stacks/tiny/prod.json.attrs"];
    const files = Object.fromEntries([...torn, ...whole].map((file) => [file, whole.includes(file) ? "{}" : ""]));
    return withBackend(files, async (url, at) => {
      const gone = "was left half written by a killed run; it is gone, and Pulumi does without it";
      expect(await mendTorn(url)).to.deep.equal(torn.map((file) => `${basename(file)} ${gone}`));
      expect([...torn, ...whole].map((file) => existsSync(at(file)))).to.deep.equal([false, false, true, true]);
    });
  });
});

describe("what Pulumi's file backend left half written, on the real engine", function () {
  this.timeout(180_000);
  const { at, run, make, remove } = tinyProject();
  before(make);
  before(async () => expect((await run(["up", "--yes"])).code).to.equal(0));
  after(remove);

  long("is brought back by the next command if it is a state, but not while somebody may be at work", async () => {
    const file = at("state", ".pulumi", "stacks", "tiny", "dev.json");
    const good = readFileSync(file, "utf8");
    const torn = good.slice(0, good.length / 2);
    const locks = at("state", ".pulumi", "locks", "organization", "tiny", "dev");
    mkdirSync(locks, { recursive: true });
    const elsewhere = join(locks, "elsewhere.json");
    writeFileSync(file, torn);
    writeFileSync(elsewhere, JSON.stringify({ pid: 1, hostname: "elsewhere" }));
    const busy = await run(["stack", "export"]);
    expect(busy.code, "a torn state is an error of the CLI").to.not.equal(0);
    expect(readFileSync(file, "utf8")).to.equal(torn);
    rmSync(elsewhere);
    const mended = await run(["up", "--yes"]);
    expect(mended.stderr).to.include("stack dev: its state file was left half written");
    expect(mended.code, mended.stdout).to.equal(0);
    expect(readFileSync(`${file}.torn`, "utf8")).to.equal(torn);
    expect((await run(["up", "--yes", "--expect-no-changes"])).stderr).to.not.include("half written");
  });

  long("is taken away by whatever command comes next, which then works", async () => {
    const noted = [
      `${at("state", ".pulumi", "stacks", "tiny", "dev.json")}.attrs`,
      at("state", ".pulumi", "meta.yaml.attrs"),
    ];
    const before = await run(["stack", "export"]);
    for (const file of noted) {
      writeFileSync(file, "");
      const mended = await run(["stack", "export"]);
      expect(mended.stderr).to.include(`${basename(file)} was left half written by a killed run`);
      expect(mended.code, mended.stderr).to.equal(0);
      expect(mended.stdout).to.equal(before.stdout);
    }
    expect((await run(["up", "--yes", "--expect-no-changes"])).stderr).to.not.include("half written");
  });
});
