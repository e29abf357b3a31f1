import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect } from "chai";
import { leftBehind, removeStale, startFolder } from "../../../engine/backup/folder";
import { choose } from "../../../engine/backup/keep/choose";
import { readProof, writeProof } from "../../../engine/backup/keep/proof-file";
import { openBackup, readBackups, type BackupFolder } from "../../../engine/backup/keep/read";
import { removeBackup } from "../../../engine/backup/keep/remove";
import { verifyBackup } from "../../../engine/backup/manifest";
import { ownMark } from "../../../engine/base/process";
import { useFolder } from "../../support/folder";
import { refusal } from "../dumps";

describe("the place where backups are", () => {
  const folder = useFolder("guardian kept ");

  /** A backup of no database, whole as far as files go. */
  function backup(name: string, startedAt = "2026-01-02T03:04:05.000006Z"): string {
    const path = folder(name);
    mkdirSync(join(path, "dump"), { recursive: true });
    writeFileSync(join(path, "dump/toc.dat"), "toc");
    writeFileSync(join(path, "roles.sql"), "");
    const files = [
      { path: "dump/toc.dat", size: 3, sha256: "" },
      { path: "roles.sql", size: 0, sha256: "" },
    ];
    const server = { version: "17.1", systemIdentifier: "7", database: "g" };
    const manifest = { formatVersion: 2, server, ledgerId: "l", protects: {}, startedAt, finishedAt: startedAt };
    writeFileSync(join(path, "manifest.json"), JSON.stringify({ ...manifest, tables: [], around: {}, files }));
    return path;
  }
  const noted = { verdict: "proven", unproven: [], restoreSeconds: 2, provenAt: "2026-01-02T04:00:00Z" } as const;

  it("17-6 is read without a database: whole, broken, under way, left behind, somebody's, and no backup at all", async () => {
    backup("b", "2026-01-03T00:00:00Z");
    await writeProof(backup("a"), noted);
    writeFileSync(join(backup("c", "2026-01-04T00:00:00Z"), "dump/toc.dat"), "torn off");
    mkdirSync(folder("notes"));
    writeFileSync(folder("file"), "");
    mkdirSync(folder(".removing-x"));
    await startFolder(folder(), "mine");
    const partial = (name: string, owner: object): void => {
      mkdirSync(folder(`.partial-${name}`));
      writeFileSync(folder(`.partial-${name}`, "owner.json"), JSON.stringify(owner));
    };
    const mark = ownMark();
    partial("gone", { ...mark, pid: 2 ** 22 + 1 });
    // The number lives, and is another's: the number alone said that it was still being written.
    partial("reused", { ...mark, started: "1" });
    // The number is free here, and its run lives in another container of this name: the number alone had it removed.
    partial("elsewhere", { ...mark, pid: 2 ** 22 + 1, space: `${mark.space.split(" ")[0] ?? ""} pid:[1]` });
    partial("older", { host: mark.host, pid: 2 ** 22 + 1 });
    const found = await readBackups(folder());
    const states = Object.fromEntries(found.map(({ name, state }) => [name.replace(/mine-.*/, "mine"), state]));
    expect(states).to.deep.equal({
      ...{
        a: "whole",
        b: "whole",
        c: "broken",
        notes: "other",
        ".removing-x": "left behind",
        ".partial-mine": "under way",
      },
      ...{ ".partial-gone": "left behind", ".partial-reused": "left behind" },
      ...{ ".partial-elsewhere": "unclear", ".partial-older": "unclear" },
    });
    expect(found.filter(({ manifest }) => manifest).map(({ name }) => name)).to.deep.equal(["a", "b", "c"]);
    expect(found.find(({ name }) => name === "a")?.proof).to.deep.equal(noted);
    expect(found.find(({ name }) => name === "c")?.why).to.equal("dump/toc.dat has 8 bytes, not 3");
    // What makes a dump judges alike.
    const left = await removeStale(folder());
    expect(left.map(({ path }) => relative(folder(), path).replace(/mine-.*/, "mine")).sort()).to.deep.equal([
      ".partial-elsewhere",
      ".partial-mine",
      ".partial-older",
    ]);
    expect(leftBehind(left).map((line) => relative(folder(), line).split(" is of a run ")[0])).to.have.members([
      ".partial-elsewhere",
      ".partial-older",
    ]);
    expect(await readBackups(folder("absent"))).to.deep.equal([]);
    expect(await refusal(readBackups(folder("file")))).to.match(/\[folder-unusable\]/);
  });

  it("17-6 what cannot be read is broken and says why, whatever its manifest is, and spares the others", async () => {
    backup("whole");
    const found = JSON.parse(readFileSync(join(backup("source"), "manifest.json"), "utf8")) as Record<string, unknown>;
    const manifests: Record<string, [text: string, why: string | RegExp]> = {
      empty: ["", "manifest.json is not JSON"],
      torn: [JSON.stringify(found).slice(0, 60), "manifest.json is not JSON"],
      list: ["[]", "manifest.json is not of format version 1 or 2"],
      foreign: ['{"name": "an extension of a browser"}', "manifest.json is not of format version 1 or 2"],
      newer: [JSON.stringify({ ...found, formatVersion: 3 }), "manifest.json is not of format version 1 or 2"],
    };
    for (const [part, value] of Object.entries({
      ...{ server: {}, tables: {}, startedAt: "yesterday", finishedAt: "2026-13-40T00:00:00Z", ledgerId: null },
      ...{ files: null, around: null, protects: 1 },
    }))
      manifests[part] = [JSON.stringify({ ...found, [part]: value }), "manifest.json lacks parts"];
    manifests["tables-of"] = [JSON.stringify({ ...found, tables: [null] }), "manifest.json lacks parts"];
    for (const [name, [text]] of Object.entries(manifests)) writeFileSync(join(backup(name), "manifest.json"), text);
    rmSync(join(backup("gone"), "manifest.json"));
    manifests["gone"] = ["", "manifest.json cannot be read (ENOENT)"];
    rmSync(join(backup("folder"), "manifest.json"));
    mkdirSync(folder("folder", "manifest.json"));
    manifests["folder"] = ["", "manifest.json cannot be read (EISDIR)"];
    const all = await readBackups(folder());
    const said = all.flatMap(({ name, state, why }) => (state === "broken" ? [[name, why] as const] : []));
    expect(Object.fromEntries(said)).to.deep.equal(
      Object.fromEntries(Object.entries(manifests).map(([name, [, why]]) => [name, why])),
    );
    expect(all.flatMap(({ name, state }) => (state === "whole" ? [name] : [])).sort()).to.deep.equal([
      "source",
      "whole",
    ]);
    for (const name of Object.keys(manifests))
      expect(await refusal(openBackup(folder(name))), name).to.match(/^the backup is broken: .* \[backup-broken\]/);
    const here = { ledgerId: "l", systemIdentifier: "7", database: "g" };
    const relied = { on: new Map<string, string>(), proofs: new Map<string, never>(), unfinished: [] };
    const keep = { count: 1, ageSeconds: 1 };
    const fates = choose(all, { keep, relied, here, formerNames: [], now: "2027-01-01T00:00:00Z" });
    const going = fates.flatMap(({ folder: { name }, goes, why }) =>
      goes || !why.includes("for inspection") ? [name] : [],
    );
    expect(going.sort(), "whole ones alone").to.deep.equal(["source", "whole"]);
  });

  it("17-6 a proof is of exactly its manifest, and of no file that the manifest does not know", async () => {
    const path = backup("a");
    await writeProof(path, { ...noted, why: "x" });
    expect(await readProof(path)).to.deep.equal({ ...noted, why: "x" });
    expect((await verifyBackup(path, { sha: false })).ledgerId).to.equal("l");
    // Who was killed while noting another leaves that one, and a whole backup.
    writeFileSync(join(path, "proof.json.part"), '{"formatVersion": 1');
    expect((await verifyBackup(path, { sha: false })).ledgerId).to.equal("l");
    await writeProof(path, { ...noted, verdict: "partly proven" });
    expect((await readProof(path))?.verdict, "no less than it was").to.equal("proven");
    const refuted = { ...noted, verdict: "not proven" } as const;
    await writeProof(path, refuted);
    expect(await readProof(path)).to.deep.equal(refuted);
    expect(readdirSync(path).sort()).to.deep.equal(["dump", "manifest.json", "proof.json", "roles.sql"]);
    backup("a", "2026-01-02T03:04:06Z");
    expect(await readProof(path), "of another dump").to.equal(undefined);
    const text = readFileSync(join(path, "proof.json"), "utf8");
    await writeProof(path, refuted);
    writeFileSync(join(path, "proof.json"), readFileSync(join(path, "proof.json"), "utf8").replace("provenAt", "at"));
    expect(await readProof(path), "without its time").to.equal(undefined);
    writeFileSync(join(path, "proof.json"), text.slice(0, 20));
    expect(await readProof(path), "torn off").to.equal(undefined);
    writeFileSync(join(path, "other.json"), "");
    expect(await refusal(verifyBackup(path, { sha: false }))).to.contain("other.json is not in the manifest");
  });

  it("17-6 what is removed loses its name first, so that half of a backup never has it", async () => {
    const path = backup("a");
    await removeBackup((await readBackups(folder()))[0]!);
    expect(existsSync(path)).to.equal(false);
    expect(readdirSync(folder())).to.deep.equal([]);
    mkdirSync(folder(".removing-b", "dump"), { recursive: true });
    await removeBackup((await readBackups(folder()))[0]!);
    expect(readdirSync(folder())).to.deep.equal([]);
    // An up that runs meanwhile takes away what killed runs left.
    backup("c");
    const [read] = await readBackups(folder());
    rmSync(folder("c"), { recursive: true });
    expect(await removeBackup(read!)).to.equal(true);
  });

  it("what was to be removed and is whole still is looked at as any other: a prune that was cut off, or could not look, decided nothing", async () => {
    const path = backup("a");
    const [read] = await readBackups(folder());
    const failing = (): never => {
      throw Object.assign(new Error("EIO"), { code: "EIO", syscall: "scandir" });
    };
    expect(await refusal(removeBackup(read!, failing))).to.contain("[folder-unusable]");
    expect(readdirSync(folder()), "put back").to.deep.equal(["a"]);
    // Killed between the two: the ledger relies on it, somebody has begun to read it, or it is another's.
    renameSync(path, folder(".removing-a"));
    await writeProof(folder(".removing-a"), noted);
    backup("b", "2026-01-03T00:00:00Z");
    const hidden = (found: BackupFolder[]): BackupFolder => found.find(({ name }) => name === ".removing-a")!;
    const fate = async (about: { on?: string; of?: string } = {}): Promise<string> => {
      const here = { ledgerId: about.of ?? "l", systemIdentifier: "7", database: "g" };
      const on = new Map(about.on === undefined ? [] : [[about.on, "what stands"]]);
      const proofs = new Map([["b", noted]]);
      const keep = { count: 1, ageSeconds: 1 };
      const found = await readBackups(folder());
      const all = choose(found, {
        ...{ keep, here, relied: { on, proofs, unfinished: [] } },
        ...{ formerNames: [], now: "2027-01-01T00:00:00Z" },
      });
      const { goes, why } = all.find(({ folder: one }) => one.name === ".removing-a")!;
      return `${goes ? "goes" : "stays"}: ${why}`;
    };
    expect(await fate()).to.equal("goes: old, and newer ones are there");
    expect(await fate({ on: "a" })).to.equal("stays: relied on by what stands");
    expect(await fate({ of: "m" })).to.equal("stays: of another ledger or database: g, ledger l");
    const note = await startFolder(folder(), "reading", "a");
    expect(await fate()).to.equal("stays: it is being read");
    const found = hidden(await readBackups(folder()));
    expect([found.state, found.proof]).to.deep.equal(["whole", noted]);
    expect(await removeBackup(found)).to.equal(false);
    rmSync(note.path, { recursive: true });
    const opened = await openBackup(folder(".removing-a"));
    expect(await removeBackup(found)).to.equal(false);
    await opened.close();
    // Nobody knows what that is; and of this a file is gone already.
    const state = async (): Promise<string> => hidden(await readBackups(folder())).state;
    const manifest = readFileSync(folder(".removing-a", "manifest.json"));
    writeFileSync(folder(".removing-a", "manifest.json"), "{}");
    expect(await state()).to.equal("broken");
    writeFileSync(folder(".removing-a", "manifest.json"), manifest);
    renameSync(folder(".removing-a", "dump"), folder("dump"));
    expect([await state(), await fate({ on: "a" })]).to.deep.equal([
      "left behind",
      "goes: half removed by a run that was killed",
    ]);
    renameSync(folder("dump"), folder(".removing-a", "dump"));
    writeFileSync(folder(".removing-a", "owner.json"), "{}");
    expect(await state(), "it was never finished").to.equal("left behind");
    rmSync(folder(".removing-a", "owner.json"));
    // One of the same name was fetched meanwhile: this goes first, and takes nobody's place.
    backup("a");
    expect((await readBackups(folder())).map(({ name }) => name)).to.deep.equal([".removing-a", "a", "b"]);
    expect(await removeBackup(found)).to.equal(true);
    expect(readdirSync(folder()).sort()).to.deep.equal(["a", "b"]);
  });

  it("17-6 what is being read is not removed, until that is over or its process is dead", async () => {
    const path = backup("a");
    const [read] = await readBackups(folder());
    const opened = await openBackup(path);
    expect(await removeBackup(read!)).to.equal(false);
    expect((await verifyBackup(path, { sha: false })).ledgerId).to.equal("l");
    const found = (await readBackups(folder())).map(({ state, reads }) => [state, reads]);
    expect(found).to.have.deep.members([
      ["under way", "a"],
      ["whole", undefined],
    ]);
    await opened.close();
    // By a run of another machine, of which nobody here knows; then by one of this that was killed.
    const note = folder(".partial-reading-x");
    mkdirSync(note);
    const mark = { ...ownMark(), reads: "a" };
    writeFileSync(join(note, "owner.json"), JSON.stringify({ ...mark, host: "elsewhere" }));
    expect(await removeBackup(read!)).to.equal(false);
    writeFileSync(join(note, "owner.json"), JSON.stringify({ ...mark, started: "1" }));
    expect(await removeBackup(read!)).to.equal(true);
    expect(existsSync(path)).to.equal(false);
    // Nothing is left of a note of what is not there.
    expect(await refusal(openBackup(path))).to.match(/manifest\.json cannot be read \(ENOENT\) \[backup-broken\]/);
    expect(readdirSync(folder())).to.deep.equal([".partial-reading-x"]);
  });
});
