import { expect } from "chai";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requireBackup, isOutdated, needsProof, readTaken, type WantedBackup } from "../../engine/backup/step/policy";
import type { Manifest } from "../../engine/backup";
import { preflight } from "../../engine/backup/preflight";
import { roomFor, type Room } from "../../engine/backup/room";
import { GuardianError } from "../../engine/base/errors";
import { addStep, readSteps, setStep, type StepOf } from "../../engine/ledger/steps";
import { clientFolder } from "../../scripts/pg-clients";
import { major } from "../support/postgres";
import { refusalOf, withEngine, type Engine } from "./module/harness";
import { Means, partly, proven, run, shapes } from "./proving";

describe("the proof of a backup, as a step of the ledger's own", function () {
  this.timeout(120_000);
  let folder = "";
  const bin = process.env["GUARDIAN_PG_BIN"];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "guardian-proof-"));
    process.env["GUARDIAN_PG_BIN"] = await clientFolder(major);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    if (bin === undefined) delete process.env["GUARDIAN_PG_BIN"];
    else process.env["GUARDIAN_PG_BIN"] = bin;
  });

  const wantedOf = async (engine: Engine, protects: Record<string, string>): Promise<WantedBackup> => {
    const { ledgerId } = await engine.identity();
    return { directory: folder, jobs: 1, maxAgeSeconds: 3600, ledgerId, protects };
  };
  const serves = (engine: Engine): Promise<void> =>
    engine.host.read((db) => requireBackup(db, engine.urn("SqlModule", "900_t"), "900_t", "meant"));
  const taken = (engine: Engine) => engine.host.read((db) => readTaken(db, engine.urn("Backup", "backup")));
  const folders = (): number => readdirSync(folder).filter((name) => !name.startsWith(".")).length;

  it("17-4 is made once: a run that was cut off goes on with it, what is accepted is kept, and what only takes out does not wait", () =>
    withEngine(async (engine) => {
      const means = new Means();
      const wanted = await wantedOf(engine, { "900_t": "meant" });
      const states = () => engine.states("Backup", "backup");

      // Cut off in the midst of it: the dump stands, nothing relies on it.
      means.next = [new GuardianError("scratch-failed", { what: "the scratch server died" })];
      expect((await refusalOf(run(engine, wanted, means))).code).to.equal("scratch-failed");
      expect(await states()).to.deep.equal({ "": "done", proof: "planned" });
      expect(await refusalOf(serves(engine))).to.include({ code: "backup-unproven" });
      expect(await taken(engine)).to.include({ proof: "not proven", provenAt: "", restoreSeconds: 0 });

      // It goes on with the same dump. What is not proven is named, and may be accepted by its name and no other.
      means.next = [partly];
      const refused = await refusalOf(run(engine, wanted, means));
      expect(refused.what).to.equal(
        "the backup is partly proven: public.documents (the type of a column is an extension's); nothing was changed",
      );
      expect(refused.todo.at(-1)).to.equal(
        `or accept it, with a reason: pulumi config set --path 'guardian:accept["${shapes}"]' 'WHY'`,
      );
      expect(await refusalOf(serves(engine))).to.include({ code: "backup-unproven" });
      const mistaken = await refusalOf(run(engine, { ...wanted, accept: { "backup/auth.users": "of no use" } }, means));
      expect([mistaken.code, mistaken.todo.at(-1)]).to.deep.equal([
        "config-invalid",
        `what could be accepted: ${shapes}`,
      ]);
      const accept = { [shapes]: "rebuilt from documents" };
      const slow = { ...wanted, accept, maxRestoreSeconds: 5 };
      const late = await refusalOf(run(engine, { ...slow, strict: true }, means));
      expect(late.what).to.match(
        /^restoring the backup took 7 s, and guardian:backup.maxRestore allows 5 s; guardian:strict/,
      );
      expect(await refusalOf(serves(engine))).to.include({ code: "backup-unproven" });
      expect(await run(engine, slow, means)).to.deep.equal([
        "restoring the backup took 7 s, and guardian:backup.maxRestore allows 5 s",
      ]);
      await serves(engine);
      expect(await states()).to.deep.equal({ "": "done", proof: "done" });
      const kept = (await engine.host.read(readSteps)).find(({ part }) => part === "proof") as StepOf<"proof">;
      expect(kept.detail).to.deep.include({ accepted: accept, relied: true, verdict: "partly proven" });
      expect(await run(engine, { ...slow, maxRestoreSeconds: 7 }, means)).to.deep.equal([]);
      expect([means.asked.length, means.closed, folders()], "asked, closed, dumps").to.deep.equal([2, 2, 1]);

      // What is only taken out: a dump, and no proof; nor is the one before taken for its own.
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (db) => {
          const { options } = fenced;
          const step = await addStep(db, {
            urn: options.urn,
            kind: "SqlModule",
            state: "running",
            meaning: "meant",
          });
          await setStep(db, step, { state: "done" });
        }),
      );
      const lower = await wantedOf(engine, {});
      await run(engine, { ...lower, verify: "list", strict: true }, means);
      expect(await states()).to.deep.equal({ "": "done", proof: "undone" });
      expect(await taken(engine)).to.include({ proof: "not proven", restoreSeconds: 0 });
      expect([means.asked.length, folders()], "asked, dumps").to.deep.equal([2, 2]);
    }));

  it("17-4 counts a backup's age from its end, takes another where it refutes one, and none where only a list is asked for", () =>
    withEngine(async (engine) => {
      const means = new Means();
      const before = folders();
      const wanted = await wantedOf(engine, { "900_t": "meant" });
      /** Whether it is `late` milliseconds after the age that it may have, counted from then. */
      const outdated = async (from: "takenAt" | "provenAt" = "takenAt", late = 0): Promise<boolean> => {
        const one = await taken(engine);
        const readAt = new Date(Date.parse(one[from]) + 1000 * wanted.maxAgeSeconds + late).toISOString();
        const steps = (await engine.host.read(readSteps)).map((step) => ({ ...step, readAt }));
        return isOutdated(steps, engine.urn("Backup", "backup"), wanted, one);
      };
      expect((await refusalOf(run(engine, { ...wanted, verify: "list", strict: true }, means))).what).to.contain(
        "guardian:backup.verify is list, which proves nothing, and guardian:strict is true",
      );
      expect(folders() - before).to.equal(0);
      // 17-3: there is room for it, or it is refused with figures.
      const room = async (): Promise<Room> =>
        engine.host.read(async (db) => roomFor(db, await readSteps(db), engine.urn("Backup", "backup"), wanted));
      const first = await room();
      expect(first.why).to.match(
        /^(\d+) MiB for the dump \(1.3 times what the database has\) and \d+ MiB for the dump of the copy/,
      );
      const server = await engine.host.server();
      const about = { server, where: "here", directory: folder, excludeSchemas: [], env: process.env };
      const tooSmall = { ...about, room: { ...first, here: 1e18 } };
      const { errors } = await engine.host.read((db) => preflight(db, tooSmall));
      expect(errors.map(({ code }) => code)).to.deep.equal(["disk-too-small"]);
      expect(errors[0]?.what).to.match(/^953674316407 MiB are needed for the backup, and \d+ MiB are free: /);
      expect((await engine.host.read((db) => preflight(db, { ...about, room: first }))).errors).to.deep.equal([]);
      means.next = [new GuardianError("backup-differs", { what: "a row is missing" }), () => sleep(500, proven)];
      expect((await refusalOf(run(engine, wanted, means))).code).to.equal("backup-differs");
      expect(await outdated()).to.equal(true);
      expect((await room()).why).to.contain("(1.3 times what the last backup had)");
      expect((await room()).here).to.be.below(first.here);
      await run(engine, wanted, means);
      expect(means.asked[0]).not.to.equal(means.asked[1]);
      expect(await outdated("takenAt", 400), "it may be as old from its proof on").to.equal(false);
      await serves(engine);
      expect(await taken(engine)).to.include({ proof: "proven", restoreSeconds: 7, path: means.asked[1]! });
      expect(await outdated("provenAt", 1), "and so long after that it is outdated").to.equal(true);
      expect(folders() - before).to.equal(2);

      // Asked for a list, the next one serves, and says what it is.
      await run(engine, { ...wanted, verify: "list", maxAgeSeconds: 0 }, means);
      await serves(engine);
      expect(await taken(engine)).to.include({ proof: "not proven" });
      expect([means.asked.length, folders() - before], "asked, dumps").to.deep.equal([2, 3]);
    }));

  it("17-4 serves no further change once what was accepted of it is taken back, or the stack is strict; the proof stays", () =>
    withEngine(async (engine) => {
      const means = new Means();
      const before = folders();
      const wanted = await wantedOf(engine, { "900_t": "meant" });
      const accepting = { ...wanted, accept: { [shapes]: "rebuilt from documents" } };
      means.next = [partly];
      await run(engine, accepting, means);
      await serves(engine);
      const strict = { ...accepting, strict: true, maxRestoreSeconds: 5 };
      for (const later of [wanted, strict]) {
        expect((await refusalOf(run(engine, later, means))).code).to.equal("backup-unproven");
        // Nor is it led past by --target.
        expect(await refusalOf(serves(engine))).to.include({ code: "backup-unproven" });
        expect(needsProof(await engine.host.read(readSteps), engine.urn("Backup", "backup"), accepting)).to.equal(true);
        await run(engine, accepting, means);
        await serves(engine);
      }
      // By other means it is measured anew.
      means.next = [{ ...partly, restoreSeconds: 4 }];
      await run(engine, { ...strict, jobs: 4 }, means);
      await serves(engine);
      expect([means.asked.length, folders() - before], "asked, dumps").to.deep.equal([2, 1]);
      // What it is taken for stands: nothing is awaited, and nothing refused.
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (db) => {
          const step = { urn: fenced.options.urn, kind: "SqlModule", state: "running", meaning: "meant" } as const;
          await setStep(db, await addStep(db, step), { state: "done" });
        }),
      );
      expect(await run(engine, { ...wanted, strict: true, maxRestoreSeconds: 5 }, means)).to.deep.equal([]);
      expect([means.asked.length, folders() - before], "asked, dumps").to.deep.equal([2, 1]);
    }));

  it("17-5 says how long it takes to be back, and how much that is; too long is a warning, refused where it is strict, and measured anew by other means", () =>
    withEngine(async (engine) => {
      const means = new Means();
      const wanted = { ...(await wantedOf(engine, { "900_t": "meant" })), maxRestoreSeconds: 6, strict: true };
      means.next = [proven];
      const late = await refusalOf(run(engine, wanted, means));
      expect(late.what).to.match(/^restoring the backup took 7 s, and guardian:backup.maxRestore allows 6 s; /);
      expect(late.todo.join()).to.contain("guardian:backup.jobs").and.to.contain("guardian:scratch");
      expect((await refusalOf(run(engine, wanted, means))).what, "it is not restored again for that").to.equal(
        late.what,
      );
      means.next = [{ ...proven, restoreSeconds: 5.5 }];
      expect(await run(engine, { ...wanted, jobs: 4 }, means)).to.deep.equal([]);
      await serves(engine);
      const { restoreSeconds, bytes, rows } = await taken(engine);
      expect(restoreSeconds).to.equal(5.5);
      const manifest = JSON.parse(readFileSync(join(means.asked[0]!, "manifest.json"), "utf8")) as Manifest;
      expect(bytes)
        .to.equal(manifest.files.reduce((sum, { size }) => sum + size, 0))
        .and.to.be.above(1000);
      expect(rows)
        .to.equal(manifest.tables.reduce((sum, table) => sum + table.rows, 0))
        .and.to.be.above(300);

      const lenient = { ...(await wantedOf(engine, { "901_t": "meant" })), maxRestoreSeconds: 6 };
      means.next = [proven];
      expect(await run(engine, lenient, means)).to.deep.equal([
        "restoring the backup took 7 s, and guardian:backup.maxRestore allows 6 s",
      ]);
      expect(await taken(engine)).to.include({ proof: "proven", restoreSeconds: 7 });
    }));

  it("17-2 refuses before the dump what cannot be accepted, and says of a copy whose indexes nobody looked at", () =>
    withEngine(async (engine) => {
      const means = new Means();
      const before = folders();
      const wanted = await wantedOf(engine, { "900_t": "meant" });
      const accept = {
        "backup/public.document": "x",
        "backup/extension htpp": "x",
        "backup/roles": "x",
        "backup/view public.v": "x",
      };
      const refused = await refusalOf(run(engine, { ...wanted, accept }, means));
      expect([refused.code, refused.what]).to.deep.equal([
        "config-invalid",
        "guardian:accept names what cannot be: backup/public.document (there is no such thing in this database), backup/extension htpp (there is no such thing in this database), backup/roles (an embedded scratch shows it); nothing was changed",
      ]);
      expect(folders() - before, "dumps").to.equal(0);
      means.next = [{ indexes: { checked: 0, lacking: "the scratch lacks the extension amcheck" } }];
      expect(await run(engine, wanted, means)).to.deep.equal([
        "the indexes of the restored copy were not looked at: the scratch lacks the extension amcheck; the backup holds none of them",
      ]);
      await serves(engine);
    }));

  it("17-1 takes another where the manifest is not the one that was written, or a file is gone, before and after a proof", () =>
    withEngine(async (engine) => {
      const means = new Means();
      const wanted = await wantedOf(engine, { "900_t": "meant" });
      const died = new GuardianError("scratch-failed", { what: "the scratch server died" });
      means.next = [died, died, died, proven, proven];
      const path = async (): Promise<string> => (await taken(engine)).path;
      const swap = async (): Promise<void> => {
        const file = join(await path(), "manifest.json");
        writeFileSync(file, readFileSync(file, "utf8").replace('"rows": ', '"rows": 1'));
      };
      const take = async (): Promise<string> => {
        await run(engine, wanted, means).catch(() => undefined);
        return path();
      };
      const first = await take();
      await swap();
      const second = await take();
      expect(second, "the manifest was swapped before the proof").not.to.equal(first);
      rmSync(join(second, "dump", "toc.dat"));
      const third = await take();
      expect(third, "a file was gone").not.to.equal(second);
      writeFileSync(join(third, "dump", "more.dat"), "");
      const refused = await refusalOf(run(engine, wanted, means));
      expect(refused.what).to.equal("the backup is not proven, by its listing: dump/more.dat is not in the manifest");
      const fourth = await take();
      expect(fourth, "a file was there besides").not.to.equal(third);
      await serves(engine);
      await swap();
      expect(await take(), "it was swapped after the proof").not.to.equal(fourth);
      expect(means.next).to.deep.equal([]);
    }));
});
