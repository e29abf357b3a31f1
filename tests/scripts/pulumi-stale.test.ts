import { expect } from "chai";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { pendingHints } from "../../scripts/pulumi/backend/pending";
import { giveBack, lockHints } from "../../scripts/pulumi/backend/stale";
import { withFolder } from "../support/folder";

describe("the lock of an engine that a signal ended", () => {
  it("16-18 is given back if it is this run's own and the engine has ended, and no other", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian locks "));
    const backend = pathToFileURL(folder).href;
    const lock = (name: string): string => join(folder, ".pulumi", "locks", "organization", "guardian", name, "1.json");
    const put = (name: string, pid: number, host = hostname()): void => {
      mkdirSync(dirname(lock(name)), { recursive: true });
      writeFileSync(lock(name), JSON.stringify({ pid, hostname: host }));
    };
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    try {
      put("dev", child.pid!);
      put("other", process.pid);
      put("far", child.pid!, "elsewhere");
      expect(giveBack(backend, child.pid!)).to.deep.equal([]);
      child.kill("SIGINT");
      await new Promise((done) => child.once("close", done));
      expect(giveBack(backend, child.pid!)).to.deep.equal([
        "stopped; the lock of stack dev that this run had taken is given back",
      ]);
      expect(["dev", "other", "far"].map((name) => existsSync(lock(name)))).to.deep.equal([false, true, true]);
    } finally {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("what to do about operations that a killed run left pending", () => {
  it("is said by whether the run at hand worked, of the stacks whose state it wrote", () => {
    return withFolder((folder) => {
      const [began, stacks] = [Date.now() - 60_000, join(folder, ".pulumi", "stacks", "guardian")];
      mkdirSync(stacks, { recursive: true });
      for (const [stack, pending] of [
        ["dev", 2],
        ["prod", 1],
        ["staging", 0],
      ] as const) {
        const latest = { pending_operations: Array.from({ length: pending }, () => ({ type: "creating" })) };
        writeFileSync(join(stacks, `${stack}.json`), JSON.stringify({ checkpoint: { latest } }));
      }
      utimesSync(join(stacks, "prod.json"), 0, 0);
      const hints = (worked: boolean): string[] => pendingHints(pathToFileURL(folder).href, began, worked);
      const clear = "clear them: npm run pulumi -- refresh --clear-pending-creates --yes --stack dev";
      const noted = "stack dev notes 2 pending operations of a killed run; ";
      expect(hints(true)).to.deep.equal([`${noted}the database's ledger knows what became of them; ${clear}`]);
      const first = "first up until it succeeds: it takes over what the ledger says is done; then ";
      expect(hints(false)).to.deep.equal([`${noted}${first}${clear}`]);
    });
  });
});

describe("what to do about a lock of Pulumi's file backend", () => {
  it("is said by who owns it: alive, dead, elsewhere, or another program that got its number", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian locks "));
    const lock = join(folder, ".pulumi", "locks", "organization", "guardian", "dev", "one.json");
    const backend = pathToFileURL(folder).href;
    const hint = (pid: unknown, host = hostname()): string[] => {
      writeFileSync(lock, JSON.stringify({ pid, hostname: host }));
      return lockHints(backend);
    };
    // A process whose command line has the word, as the engine's has, and one without.
    const [engine, other] = [
      ["-c", "sleep 60; true", "pulumi"],
      ["-c", "sleep 60; true"],
    ].map((args) => spawn("/bin/sh", args, { stdio: "ignore", detached: true }));
    try {
      mkdirSync(join(lock, ".."), { recursive: true });
      const pid = engine!.pid!;
      expect(hint(pid)).to.deep.equal([
        `stack dev is locked by process ${pid}, which still runs: wait for it, or stop it (kill -INT ${pid})`,
      ]);
      const dead = ["the run that locked stack dev is dead; the way out is: npm run pulumi -- cancel"];
      expect(hint(other!.pid!)).to.deep.equal(dead);
      expect(hint(999_999_999)).to.deep.equal(dead);
      expect([lockHints(backend, "dev"), lockHints(backend, "prod")], "another stack's").to.deep.equal([dead, []]);
      expect(hint(7, "elsewhere")).to.deep.equal([
        "stack dev is locked by process 7 on elsewhere: see there whether it still runs, before npm run pulumi -- cancel",
      ]);
      expect(hint("no number")).to.deep.equal([]);
      expect(lockHints("https://api.pulumi.com")).to.deep.equal([]);
    } finally {
      for (const child of [engine!, other!]) process.kill(-child.pid!, "SIGKILL");
      await Promise.all([engine!, other!].map((child) => new Promise((done) => child.once("close", done))));
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
