import { expect } from "chai";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awaited, isOutdated, requireBackup, takenOf } from "../../engine/backup/step/policy";
import { GuardianError } from "../../engine/base/errors";
import { attempt } from "../../engine/ledger/attempt";
import type { StepKind } from "../../engine/ledger/kinds";
import { addStep, firstRelied, setStep, type Step, type StepState } from "../../engine/ledger/steps";
import { readKnown } from "../../scripts/backups/place";
import { column, Engine, refusalOf, withEngine } from "./module/harness";
import { lastly } from "../support/lastly";

describe("the backup that a change needs", function () {
  this.timeout(60_000);

  /** Notes in the ledger that something ended so. */
  const ended = (
    engine: Engine,
    kind: StepKind,
    name: string,
    state: StepState,
    detail = {},
    part = "",
  ): Promise<void> =>
    // A part is of the resource that has it.
    engine.write(part === "" ? kind : "Backup", name, (fenced) =>
      fenced.transaction(async (db) => {
        const { options } = fenced;
        const step = await addStep(db, { urn: options.urn, kind, part, state: "running" });
        await setStep(db, step, { state, detail });
      }),
    );
  const dumped = (engine: Engine, protects: Record<string, string>, how = {}): Promise<void> =>
    ended(engine, "Backup", "backup", "done", { protects, ...how });
  /** A dump that fails where one stands already. */
  const failing = (engine: Engine): Promise<unknown> =>
    refusalOf(
      engine.write("Backup", "backup", (fenced) =>
        attempt(fenced, { kind: "Backup", state: "running" }, "done", () =>
          Promise.reject(new GuardianError("disk-full", { what: "the disk is full" })),
        ),
      ),
    );
  const ask = (engine: Engine): Promise<void> =>
    engine.host.read((db) => requireBackup(db, engine.urn("SqlModule", "900_t"), "900_t", "meant"));

  it("is one that this stack took for exactly this change, since the change was last taken back", () =>
    withEngine(async (engine, db) => {
      const refused = async (why: string): Promise<void> => {
        const said = await refusalOf(ask(engine));
        expect(said.code, why).to.equal("backup-missing");
        expect(said.what).to.equal("no backup was taken for this change of 900_t; nothing was changed");
      };
      await refused("there is none");
      await dumped(engine, { "900_t": "something else", "901_x": "meant" });
      await refused("it was taken for another text");
      const other = new Engine(db.migrator, { stack: "prod::guardian" });
      await lastly(dumped(other, { "900_t": "meant" }), () => other.close());
      await refused("another stack took it");
      // A release before proofs noted no more than this.
      await dumped(engine, { "900_t": "meant" });
      expect(await refusalOf(ask(engine))).to.include({ code: "backup-unproven" });
      const wanted = { directory: "", jobs: 1, ledgerId: "", maxAgeSeconds: 3600, protects: { "900_t": "meant" } };
      const path = mkdtempSync(join(tmpdir(), "guardian backup "));
      const outdated = async (): Promise<boolean> => {
        const steps = await engine.host.steps();
        const backup = engine.urn("Backup", "backup");
        return isOutdated(steps, backup, wanted, takenOf(steps, backup));
      };
      /** It has files, and a time, as every backup of this release. */
      const taken = async (): Promise<void> => {
        writeFileSync(join(path, "manifest.json"), "{}");
        const [now] = await column<string>(await db.connect(), "SELECT pg_catalog.clock_timestamp()::text");
        const detail = { protects: wanted.protects, verify: "list", path, takenAt: now };
        await ended(engine, "Backup", "backup", "done", detail);
      };
      try {
        await taken();
        await ask(engine);
        expect(await outdated()).to.equal(false);
        await ended(engine, "SqlModule", "900_t", "undone");
        await refused("rows may have been collected that are not in it");
        expect(await outdated(), "undone since").to.equal(true);
        await failing(engine);
        await refused("a dump that failed made it no younger");
        expect(await outdated(), "a dump that failed made it no younger").to.equal(true);
        await taken();
        await ask(engine);
        expect(await outdated()).to.equal(false);
      } finally {
        rmSync(path, { recursive: true });
      }
      await ended(engine, "Backup", "backup", "undone");
      await refused("it does not stand any more");
    }));

  it("is there with all its files, and the manifest that was written when it was taken: --target leads past the Backup that looks", () =>
    withEngine(async (engine) => {
      const path = mkdtempSync(join(tmpdir(), "guardian backup "));
      const text = '{"files": [{"path": "toc.dat", "size": 3}]}';
      const manifestSha256 = createHash("sha256").update(text).digest("hex");
      const gone = async (why: string): Promise<void> => {
        const { code, what, where } = await refusalOf(ask(engine));
        expect([code, what, where], why).to.deep.equal([
          "backup-missing",
          "the backup that was taken for this change of 900_t is not there any more, or not as it was written; nothing was changed",
          `${engine.urn("SqlModule", "900_t")}, ${path}`,
        ]);
      };
      try {
        await dumped(engine, { "900_t": "meant" }, { verify: "list", path, manifestSha256 });
        await gone("nothing is there");
        writeFileSync(join(path, "manifest.json"), text);
        await gone("a file is gone");
        writeFileSync(join(path, "toc.dat"), "toc");
        await ask(engine);
        // One that is not stored yet is waited for as long as it is there alone.
        await ended(engine, "upload", "backup", "running", { path }, "upload");
        expect(await refusalOf(ask(engine))).to.include({ code: "backup-unstored" });
        writeFileSync(join(path, "manifest.json"), `${text} `);
        await gone("another manifest");
      } finally {
        rmSync(path, { recursive: true });
      }
    }));

  it("19-4 what v6 is compared with is the first since the gate let the data stage pass: no dump that failed after it is one", () =>
    withEngine(async (engine) => {
      const oldest = async (): Promise<string | undefined> =>
        (await engine.host.read((db) => firstRelied(db, engine.urn("Backup", "backup"))))?.taken.path;
      await ended(engine, "DataMigration", "consents", "planned");
      await ended(engine, "Backup", "backup", "done", { path: "a", protects: { consents: "meant" } });
      await ended(engine, "proof", "backup", "done", { path: "a", relied: true }, "proof");
      expect(await oldest()).to.equal("a");
      // Cut off, and taken anew: prune leaves both.
      await ended(engine, "Backup", "backup", "done", { path: "b", protects: { consents: "meant" } });
      expect(await oldest()).to.equal("a");
      const kept = async (): Promise<string[]> => [...(await engine.host.read(readKnown)).relied.on.keys()].sort();
      expect(await kept()).to.deep.equal(["a", "b"]);
      await ended(engine, "Gate", "gate-data", "done", { gate: "data", verdict: "ready" });
      expect(await oldest()).to.equal(undefined);
      expect(await kept()).to.deep.equal(["b"]);
      await ended(engine, "proof", "backup", "done", { path: "b", relied: true }, "proof");
      await failing(engine);
      expect(await oldest(), "the one before the gate").to.equal(undefined);
    }));

  it("is taken anew where it is old, or its files are gone, or something was taken back since, while it is needed", () => {
    const path = mkdtempSync(join(tmpdir(), "guardian backup "));
    const at = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
    const step = (name: string, state: StepState, endedAt = at(-50)): Step =>
      ({
        urn: `urn:pulumi:dev::guardian::type::${name}`,
        kind: "SqlModule",
        part: "",
        state,
        endedAt,
        readAt: at(0),
      }) as Step;
    const backup = step("backup", "done");
    const wanted = { directory: "", jobs: 1, ledgerId: "", maxAgeSeconds: 60, protects: { one: "1", two: "2" } };
    const outdated = (others: Step[], takenAt: string, folder = path): boolean => {
      return isOutdated([backup, ...others], backup.urn, wanted, { path: folder, takenAt });
    };
    try {
      writeFileSync(join(path, "manifest.json"), "{}");
      const half = [step("one", "done")];
      expect(outdated(half, at(-50))).to.equal(false);
      expect(outdated(half, at(-70)), "too old").to.equal(true);
      // The server's clock says how old it is, not that of a machine which is 90 minutes behind.
      const ahead = { ...backup, readAt: at(5400) };
      for (const [seconds, old] of [
        [5350, false],
        [5330, true],
      ] as const) {
        const taken = { path, takenAt: at(seconds) };
        expect(isOutdated([ahead, ...half], backup.urn, wanted, taken), String(seconds)).to.equal(old);
      }
      expect(outdated(half, at(-50), join(path, "gone")), "cleared away").to.equal(true);
      expect(outdated([...half, step("two", "undone", at(-40))], at(-50)), "undone since").to.equal(true);
      expect(outdated([...half, step("two", "undone", at(-60))], at(-50)), "undone before").to.equal(false);
      expect(outdated([...half, step("three", "undone", at(-40))], at(-50)), "not its business").to.equal(false);
      // Somebody cleared what is large and left the rest: it still served.
      const text = '{"files": [{"path": "toc.dat", "size": 3}]}';
      writeFileSync(join(path, "manifest.json"), text);
      const detail = { manifestSha256: createHash("sha256").update(text).digest("hex") };
      const noted = (): boolean => {
        const main = { ...backup, kind: "Backup", detail } as unknown as Step;
        return isOutdated([main, ...half], backup.urn, wanted, { path, takenAt: at(-50) });
      };
      expect(noted(), "a file is gone").to.equal(true);
      writeFileSync(join(path, "toc.dat"), "to");
      expect(noted(), "half of a file is gone").to.equal(true);
      writeFileSync(join(path, "toc.dat"), "toc");
      expect(noted()).to.equal(false);
      const all = [...half, step("two", "done")];
      expect(outdated(all, at(-70), join(path, "gone")), "nothing is to come").to.equal(false);
    } finally {
      rmSync(path, { recursive: true });
    }
  });

  it("19-1 is for no flag, though one is called as a data migration is", () => {
    const step = (kind: StepKind, meaning: string | null): Step =>
      ({ urn: `urn:pulumi:dev::guardian::${kind}::preferences`, kind, part: "", state: "done", meaning }) as Step;
    const [moved, flag] = [step("DataMigration", "meant"), step("FeatureFlag", null)];
    expect(awaited([moved, flag], moved.urn, { preferences: "meant" })).to.deep.equal([]);
    expect(awaited([flag], moved.urn, { preferences: "meant" })).to.deep.equal(["preferences"]);
    const wanted = { directory: "", jobs: 1, ledgerId: "", maxAgeSeconds: 60, protects: { preferences: "meant" } };
    const gone = { path: "/nowhere", takenAt: new Date().toISOString() };
    expect(isOutdated([flag], moved.urn, wanted, gone), "it is still to come").to.equal(true);
  });
});
