import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Stored } from "../../../engine/store/storing";
import { S3Double } from "../../support/s3";
import { logIn, makeBackup, storeOutcome, wantedOf } from "./harness";

describe("backups off the machine: what a run before sent of a file that is another now", () => {
  it("18-4 is sent anew, though the store has all of it with its index", async () => {
    const double = new S3Double();
    await double.start();
    const logOut = logIn(double.credentials);
    const folder = mkdtempSync(join(tmpdir(), "guardian-store-"));
    try {
      const backup = makeBackup(folder, "guardian-1", 1000);
      const wanted = wantedOf(double, {});
      const { parts } = (await storeOutcome(backup, wanted)).outcome as Stored;
      const known = parts.map((part) => ({ ...part, plainSha256: "0".repeat(64) }));
      double.asked.length = 0;
      await storeOutcome(backup, wanted, known);
      const sent = double.asked.filter((one) => one.startsWith("PUT "));
      for (const { object } of parts) expect(sent.join("\n")).to.contain(`/guardian-1/${object}`);
    } finally {
      logOut();
      await double.stop();
      rmSync(folder, { recursive: true });
    }
  });
});
