import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchBackup } from "../../../engine/store";
import type { Stored } from "../../../engine/store/storing";
import { S3Double } from "../../support/s3";
import { logIn, makeBackup, pictureOf, storeOutcome, wantedOf } from "./harness";

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

  it("18-4 is sent anew where somebody put an index and objects of his own under our mark, for our recipients: the ledger does not know them", async () => {
    const age = await import("age-encryption");
    const identity = await age.generateX25519Identity();
    const wanted = wantedOf(double, { recipients: [await age.identityToRecipient(identity)] });
    const [name, others] = ["guardian-3", join(folder, "others")];
    const [mine, forged] = [makeBackup(folder, name, 1000), makeBackup(others, name, 1000)];
    await storeOutcome(forged, wanted);
    const put = new Map(double.objects);
    double.reset();
    const { kept: all } = await storeOutcome(mine, wanted);
    // The run was killed before the ledger knew all; or when it did, and was not told that the index is there.
    for (const known of [[], all.slice(0, 2), all]) {
      for (const [key, bytes] of put) double.objects.set(key, bytes);
      let { outcome, kept } = await storeOutcome(mine, wanted, known);
      // What the ledger knows is another's when it is read back, and sent anew by the next run.
      for (let tries = 0; tries < all.length && outcome instanceof Error; tries++) {
        expect(outcome).to.include({ code: "store-damaged" });
        ({ outcome, kept } = await storeOutcome(mine, wanted, kept));
      }
      const { indexSha256 } = outcome as Stored;
      const undo = logIn({ TEST_IDENTITY: identity });
      const directory = join(folder, `back-${known.length}`);
      const from = { ...wanted, identityFrom: "env:TEST_IDENTITY" };
      const { path } = await fetchBackup(from, name, { directory, indexSha256 }).finally(undo);
      expect(pictureOf(path), `${known.length} known`).to.deep.equal(pictureOf(mine.path));
    }
  });

  it("18-4 is sent anew for other recipients: cut off in between, what is there is swept by nobody, and goes on", async () => {
    const age = await import("age-encryption");
    const to = async () => ({ recipients: [await age.identityToRecipient(await age.generateX25519Identity())] });
    const [before, then] = [wantedOf(double, await to()), wantedOf(double, await to())];
    const backup = makeBackup(folder, "guardian-5", 1000);
    await storeOutcome(backup, before);
    const keys = [...double.objects.keys()];
    double.instead = ({ method, key }) =>
      method === "PUT" && key.endsWith("manifest.json.age") ? "hang up" : undefined;
    // For other recipients the ledger begins a new step, which knows no parts.
    expect((await storeOutcome(backup, then)).outcome).to.be.instanceOf(Error);
    double.instead = () => undefined;
    const cut = new Set([...double.objects.keys()].filter((key) => key.includes("/guardian-5/")));
    expect(cut)
      .to.include("guardian/prod/guardian-5/former.json")
      .and.not.include("guardian/prod/guardian-5/index.json");
    const { outcome, warned } = await storeOutcome(makeBackup(folder, "guardian-6", 1000), then);
    expect(outcome).to.not.be.instanceOf(Error);
    expect(warned.join()).to.contain("guardian-5").and.contain("was cut off");
    expect([...double.objects.keys()]).to.include.members([...cut]);
    expect((await storeOutcome(backup, then)).outcome).to.not.be.instanceOf(Error);
    expect([...double.objects.keys()].filter((key) => key.includes("/guardian-5/")).sort()).to.deep.equal(keys.sort());
  });

  it("18-4 is not sent where the ledger knows all of it by the same hashes: a run was killed after its index was put", async () => {
    const backup = makeBackup(folder, "guardian-4", 1000);
    const { outcome, kept } = await storeOutcome(backup, wantedOf(double, {}));
    double.asked.length = 0;
    expect((await storeOutcome(backup, wantedOf(double, {}), kept)).outcome).to.deep.equal(outcome);
    expect(double.asked.filter((one) => /^(PUT|DELETE) /.test(one))).to.deep.equal([]);
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
