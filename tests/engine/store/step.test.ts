import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needsStoring, readTaken, requireBackup, type WantedBackup } from "../../../engine/backup/step/policy";
import type { ProvingTools } from "../../../engine/backup/step/proof";
import { takeBackup } from "../../../engine/backup/step/take";
import { readSteps, type StepOf } from "../../../engine/ledger/steps";
import { fetchBackup } from "../../../engine/store";
import type { Scratch } from "../../../engine/scratch";
import { clientFolder } from "../../../scripts/pg-clients";
import { major } from "../../support/postgres";
import { S3Double } from "../../support/s3";
import { refusalOf, withEngine, type Engine } from "../module/harness";
import { logIn, wantedOf } from "./harness";

/** A proof that finds everything proven, without a restore. */
const proven: ProvingTools = {
  openScratch: () => Promise.resolve({ close: () => Promise.resolve() } as unknown as Scratch),
  prove: () =>
    Promise.resolve({
      verdict: "proven",
      unproven: [],
      restoreSeconds: 1,
      seconds: 1,
      bytes: 1,
      rows: 1,
      indexes: { checked: 1 },
    } as const),
};

describe("storing a backup, as a step of the ledger's own", function () {
  this.timeout(120_000);
  const double = new S3Double();
  let folder = "";
  let recipient = "";
  let other = "";
  let undo: (() => void)[] = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "guardian-stored-"));
    await double.start();
    const age = await import("age-encryption");
    const [own, others] = [await age.generateX25519Identity(), await age.generateX25519Identity()];
    [recipient, other] = [await age.identityToRecipient(own), await age.identityToRecipient(others)];
    undo = [
      logIn({ ...double.credentials, TEST_OWN: own, TEST_OTHERS: others }),
      logIn({ GUARDIAN_PG_BIN: await clientFolder(major) }),
    ];
  });
  after(async () => {
    for (const one of undo.reverse()) one();
    await double.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = async (engine: Engine, wanted: WantedBackup): Promise<void> => {
    const quiet = (): void => undefined;
    const says = { onProgress: quiet, onProof: quiet, onStore: quiet, onWarning: quiet };
    await engine.write("Backup", "backup", (fenced) => takeBackup(fenced, wanted, says, proven));
  };

  it("18-4 the SDK is loaded only where a backup is stored", () => {
    const text = `require("./engine/backup"); require("./resources/backup/handle");
      process.stdout.write(String(Object.keys(require.cache).filter((file) => file.includes("@aws-sdk")).length))`;
    const options = { cwd: join(__dirname, "..", "..", ".."), encoding: "utf8" } as const;
    expect(execFileSync(process.execPath, ["--require", "tsx/cjs", "--eval", text], options)).to.equal("0");
  });

  it("18-4 a key that is wrong is told before anything is dumped or asked, and keeps no way back", () =>
    withEngine(async (engine) => {
      const { ledgerId } = await engine.identity();
      const wanted: WantedBackup = {
        directory: folder,
        jobs: 1,
        maxAgeSeconds: 3600,
        ledgerId,
        protects: { "900_t": "m" },
      };
      const asked = double.asked.length;
      for (const [identityFrom, code] of [
        ["env:TEST_OTHERS", "age-no-identity"],
        ["env:TEST_NOBODY", "age-key-invalid"],
        [`file:${folder}/none`, "age-key-invalid"],
      ] as const) {
        const store = wantedOf(double, { recipients: [recipient], identityFrom });
        expect((await refusalOf(run(engine, { ...wanted, store }))).code, identityFrom).to.equal(code);
        expect(readdirSync(folder), "nothing was dumped").to.deep.equal([]);
        expect(double.asked.length).to.equal(asked);
        await run(engine, { ...wanted, store, protects: {} });
        for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
      }
    }));

  it("18-4 whatever adds waits until it is stored; a run that was cut off goes on with the same dump; the way back does not wait", () =>
    withEngine(async (engine) => {
      const { ledgerId } = await engine.identity();
      const protects = { "900_t": "meant" };
      const wanted: WantedBackup = { directory: folder, jobs: 1, maxAgeSeconds: 3600, ledgerId, protects };
      const store = wantedOf(double, { recipients: [recipient] });
      const stored = { ...wanted, store };
      const states = () => engine.states("Backup", "backup");
      const urn = engine.urn("Backup", "backup");
      const serves = () =>
        engine.host.read((db) => requireBackup(db, engine.urn("SqlModule", "900_t"), "900_t", "meant"));
      const needs = async (it: WantedBackup) => needsStoring(await engine.host.read(readSteps), urn, it);
      const taken = () => engine.host.read((db) => readTaken(db, urn));

      double.instead = ({ method, key }) => (method === "PUT" && key.endsWith("roles.sql.age") ? "hang up" : undefined);
      expect((await refusalOf(run(engine, stored))).code).to.equal("store-unreachable");
      expect(await states()).to.deep.equal({ "": "done", proof: "done", upload: "planned" });
      expect(await refusalOf(serves())).to.include({ code: "backup-unstored" });
      expect([await needs(stored), await needs(wanted)]).to.deep.equal([true, false]);
      expect(await taken()).to.not.have.property("storedIn");
      const kept = (await engine.host.read(readSteps)).find(({ part }) => part === "upload") as StepOf<"upload">;
      expect(kept.detail.parts?.length, "noted though it failed").to.be.at.least(1);

      double.instead = () => undefined;
      double.asked.length = 0;
      await run(engine, stored);
      expect(await states()).to.deep.equal({ "": "done", proof: "done", upload: "done" });
      const [name = ""] = readdirSync(folder).filter((one) => !one.startsWith("."));
      expect((await taken()).storedIn).to.equal(`s3://backups/guardian/prod/${name}`);
      const { object = "" } = kept.detail.parts?.[0] ?? {};
      expect(
        double.asked.filter((one) => one.startsWith("PUT") && one.includes(object)),
        "sent once",
      ).to.deep.equal([]);
      await serves();
      expect(await needs(stored)).to.equal(false);
      double.asked.length = 0;
      await run(engine, stored);
      expect(double.asked, "stored once").to.deep.equal([]);

      // For others, or with another key: nobody is left with half of it, nor with what the one before could read.
      const fetched = (name: string, from: string) =>
        fetchBackup({ ...store, identityFrom: `env:${from}` }, name, { directory: join(folder, `.${from}`) });
      const replaced = { ...wanted, store: { ...store, recipients: [other] } };
      expect(await needs(replaced), "other recipients").to.equal(true);
      double.instead = ({ method, key }) => (method === "PUT" && key.endsWith("roles.sql.age") ? "hang up" : undefined);
      expect((await refusalOf(run(engine, replaced))).code).to.equal("store-unreachable");
      double.instead = () => undefined;
      await run(engine, stored);
      await fetched(name, "TEST_OWN");
      await run(engine, replaced);
      await fetched(name, "TEST_OTHERS");
      rmSync(join(folder, ".TEST_OWN"), { recursive: true });
      expect((await refusalOf(fetched(name, "TEST_OWN"))).code).to.equal("age-no-identity");
      const keyed = { ...wanted, store: { ...replaced.store, kmsKey: "alias/guardian" } };
      expect([await needs(replaced), await needs(keyed)]).to.deep.equal([false, true]);
      await run(engine, keyed);
      for (const key of [...double.objects.keys()].filter((one) => !one.endsWith("owner.json")))
        expect(double.headers.get(key), key).to.include({ "x-amz-server-side-encryption": "aws:kms" });
      expect(await needs(keyed)).to.equal(false);

      // Another place: stored there too. Taken out of the configuration meanwhile: not waited for.
      const moved = { ...wanted, store: { ...store, to: "s3://elsewhere" } };
      expect(await needs(moved)).to.equal(true);
      expect((await refusalOf(run(engine, moved))).code).to.equal("store-missing");
      expect(await refusalOf(serves())).to.include({ code: "backup-unstored" });
      await run(engine, wanted);
      expect(await states()).to.deep.include({ upload: "undone" });
      await serves();

      // What is only taken out: the store is not even asked.
      double.asked.length = 0;
      await run(engine, { ...moved, protects: {} });
      expect([await states(), double.asked]).to.deep.equal([{ "": "done", proof: "undone", upload: "undone" }, []]);
    }));
});
