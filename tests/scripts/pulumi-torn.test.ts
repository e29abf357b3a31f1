import { expect } from "chai";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { tinyProject } from "../support/tiny-project";

describe("what Pulumi's file backend left half written", function () {
  this.timeout(60_000);
  const { at, run, make, remove } = tinyProject();
  before(make);
  before(async () => expect((await run(["up", "--yes"])).code).to.equal(0));
  after(remove);

  it("is brought back if it is a state, but not while somebody may be at work", async () => {
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

  it("is taken away if it is what the backend notes beside a state", async () => {
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
