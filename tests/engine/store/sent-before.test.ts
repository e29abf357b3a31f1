import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Stored } from "../../../engine/store/storing";
import { S3Double } from "../../support/s3";
import { logIn, makeBackup, storeOutcome, wantedOf } from "./harness";

describe("backups off the machine: a file that is another now", () => {
  const double = new S3Double();
  let folder = "";
  let logOut = (): void => undefined;
  before(async () => {
    await double.start();
    logOut = logIn(double.credentials);
    folder = mkdtempSync(join(tmpdir(), "guardian-store-"));
  });
  after(async () => {
    logOut();
    await double.stop();
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => double.reset());

  it("18-4 is sent anew where a run before sent it, though the store has all of it with its index", async () => {
    const backup = makeBackup(folder, "guardian-1", 1000);
    const wanted = wantedOf(double, {});
    const { parts } = (await storeOutcome(backup, wanted)).outcome as Stored;
    const known = parts.map((part) => ({ ...part, plainSha256: "0".repeat(64) }));
    double.asked.length = 0;
    await storeOutcome(backup, wanted, known);
    const sent = double.asked.filter((one) => one.startsWith("PUT "));
    for (const { object } of parts) expect(sent.join("\n")).to.contain(`/guardian-1/${object}`);
  });

  it("breaks nothing where it is the proof, which `backups -- verify` writes meanwhile: what was there at first is stored", async () => {
    const backup = makeBackup(folder, "guardian-2", 1000);
    const proof = join(backup.path, "proof.json");
    const [first, later] = ['{"verdict": "proven"}', '{"verdict": "not proven"}'];
    writeFileSync(proof, first);
    double.instead = ({ method, key }) => {
      if (method === "PUT" && key.endsWith("manifest.json")) writeFileSync(proof, later);
      return undefined;
    };
    const { outcome } = await storeOutcome(backup, wantedOf(double, {}));
    expect((outcome as Error).message, "stored").to.equal(undefined);
    const stored = [...double.objects].find(([key]) => key.endsWith("guardian-2/proof.json"))?.[1];
    expect(stored?.toString()).to.equal(first);
  });
});
