import { expect } from "chai";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { lockHints } from "../../scripts/pulumi/backend/stale";

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
