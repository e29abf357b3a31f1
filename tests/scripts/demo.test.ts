import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { parse, UsageError } from "../../scripts/command/parse";
import { command } from "../../scripts/demo/arguments";
import { newestDumpable } from "../../scripts/postgres/newest";
import { findEngine } from "../../scripts/pulumi/engine";
import { long } from "../support/long";
import { withFolder } from "../support/folder";
import { demo } from "./demo-run";

describe("npm run demo", function () {
  this.timeout(600_000);

  // .ci/run runs it whole, demo-whole.slow.test.ts looks at all it says.
  const moments: [NodeJS.Signals, number, string, string, RegExp][] = [
    ["SIGINT", 130, "300", "in the middle of up", /becomes v7[^]*Ledger ledger created/],
    ["SIGTERM", 143, "30000", "while v6 is loaded", /listens on/],
  ];
  for (const [name, exit, users, when, mark] of moments) {
    long(`stops everything on ${name} ${when}`, async () => {
      let sent = false;
      const { code, stdout, stderr, left, processes } = await demo(["--users", users, "--json"], {}, (said, child) => {
        if (sent || !mark.test(said)) return;
        sent = true;
        child.kill(name);
      });
      expect(code, stderr).to.equal(exit);
      expect(stderr).to.contain(`stopped by ${name}; nothing of the demo is left`);
      expect(JSON.parse(stdout)).to.deep.equal({ error: { what: `stopped by ${name}; nothing of the demo is left` } });
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    });
  }

  long("stops everything and exits 1 when the engine fails", async () => {
    // Everything the demo needs is on this PATH but node, which the engine needs to start the plugin.
    return withFolder(async (bin) => {
      const engine = (await findEngine({ log: { line: () => undefined } })).path;
      const { pgDump } = await newestDumpable();
      for (const program of [engine, pgDump.path]) symlinkSync(program, join(bin, program.split("/").at(-1)!));
      for (const program of ["id", "sh", "dirname"]) {
        symlinkSync(spawnSync("which", [program], { encoding: "utf8" }).stdout.trim(), join(bin, program));
      }
      const { code, stdout, stderr, left, processes } = await demo(["--users", "10", "--json"], { PATH: bin });
      expect(code, stderr).to.equal(1);
      expect(stderr).to.contain("pulumi preview failed with exit code");
      const { error } = JSON.parse(stdout) as { error: { what: string } };
      expect(error.what).to.contain("pulumi preview failed with exit code");
      expect(left).to.deep.equal([]);
      expect(processes).to.deep.equal([]);
    });
  });

  // Its exit code is every command's: command.test.ts.
  it("refuses wrong use", () => {
    expect(parse(command, [])).to.deep.equal({ users: 2000, keep: false, json: false, help: false });
    expect(parse(command, ["--users", "7", "--keep", "--json"])).to.include({ users: 7, keep: true, json: true });
    for (const args of [["--usres", "3"], ["--users", "0"], ["--users", "many"], ["--users"], ["now"], ["--json=1"]]) {
      expect(() => parse(command, args), args.join(" ")).to.throw(UsageError, /npm run demo -- --help/);
    }
  });
});
