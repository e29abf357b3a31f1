import { expect } from "chai";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awaited, isOutdated, requireBackup } from "../../engine/backup/step/policy";
import type { StepKind } from "../../engine/ledger/kinds";
import { addStep, setStep, type Step, type StepState } from "../../engine/ledger/steps";
import { Engine, refusalOf, withEngine } from "./module/harness";

describe("the backup that a change needs", function () {
  this.timeout(60_000);

  /** Notes in the ledger that something ended so. */
  const ended = (engine: Engine, kind: StepKind, name: string, state: StepState, detail = {}): Promise<void> =>
    engine.write(kind, name, (fenced) =>
      fenced.transaction(async (db) => {
        const { options } = fenced;
        const step = await addStep(db, { urn: options.urn, kind, state: "running" });
        await setStep(db, step, { state, detail });
      }),
    );
  const dumped = (engine: Engine, protects: Record<string, string>, verify?: "list"): Promise<void> =>
    ended(engine, "Backup", "backup", "done", { protects, verify });
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
      await dumped(other, { "900_t": "meant" }).finally(() => other.close());
      await refused("another stack took it");
      // A release before proofs noted no more than this.
      await dumped(engine, { "900_t": "meant" });
      expect(await refusalOf(ask(engine))).to.include({ code: "backup-unproven" });
      await dumped(engine, { "900_t": "meant" }, "list");
      await ask(engine);
      await ended(engine, "SqlModule", "900_t", "undone");
      await refused("rows may have been collected that are not in it");
      await dumped(engine, { "900_t": "meant" }, "list");
      await ask(engine);
      await ended(engine, "Backup", "backup", "undone");
      await refused("it does not stand any more");
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
