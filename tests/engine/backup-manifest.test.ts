import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { adoptable, type AdoptOptions, type Manifest, verifyBackup } from "../../engine/backup";
import { microseconds } from "../../engine/backup/adopt";
import { useFolder } from "../support/folder";

describe("a backup on disk", () => {
  const folder = useFolder("guardian backups ");

  /** A finished backup, as far as manifest and files go. */
  function backup(name: string, changes: Partial<Manifest> = {}): string {
    const path = folder(name);
    mkdirSync(join(path, "dump"), { recursive: true });
    const files = ["dump/1.dat.gz", "dump/toc.dat", "roles.sql"].map((file) => {
      writeFileSync(join(path, file), `content of ${file}`);
      const sha256 = createHash("sha256").update(`content of ${file}`).digest("hex");
      return { path: file, size: `content of ${file}`.length, sha256 };
    });
    const manifest: Manifest = {
      formatVersion: 2,
      server: { version: "15.1", systemIdentifier: "7", database: "guardian" },
      ledgerId: "ledger",
      protects: { one: "1", two: "2" },
      startedAt: "2026-01-02T03:04:05.000006Z",
      finishedAt: "2026-01-02T03:04:06.000000Z",
      pgDump: { version: "15.1", jobs: 2, excludedSchemas: [] },
      largeObjects: 0,
      tables: [],
      around: { superuser: "postgres", encoding: "UTF8", tablespaces: {}, facts: {}, members: {} },
      files,
      ...changes,
    };
    writeFileSync(join(path, "manifest.json"), JSON.stringify(manifest));
    return path;
  }

  const broken = (path: string, sha = true) =>
    verifyBackup(path, { sha }).then(
      () => "whole",
      (err: unknown) => String(err).replace(/^.*broken: (.*) \[backup-broken\]\n[^]*$/, "$1"),
    );

  it("is whole if every file is there with size and hash", async () => {
    const path = backup("b");
    expect((await verifyBackup(path, { sha: true })).ledgerId).to.equal("ledger");
    writeFileSync(join(path, "dump/1.dat.gz"), "CONTENT of dump/1.dat.gz");
    expect(await broken(path, false)).to.equal("whole");
    expect(await broken(path)).to.equal("dump/1.dat.gz is not what was written (sha256 differs)");
    writeFileSync(join(path, "dump/1.dat.gz"), "short");
    expect(await broken(path, false)).to.equal("dump/1.dat.gz has 5 bytes, not 24");
    unlinkSync(join(path, "dump/1.dat.gz"));
    expect(await broken(path, false)).to.equal("dump/1.dat.gz is missing");
  });

  it("is broken by a file too much, or a manifest that is wrong", async () => {
    const path = backup("b");
    writeFileSync(join(path, "dump/2.dat.gz"), "");
    expect(await broken(path)).to.equal("dump/2.dat.gz is not in the manifest");
    unlinkSync(join(path, "dump/2.dat.gz"));
    const manifest = join(path, "manifest.json");
    const text = readFileSync(manifest, "utf8");
    const write = (change: (value: Record<string, unknown>) => void) => {
      const value = JSON.parse(text) as Record<string, unknown>;
      change(value);
      writeFileSync(manifest, JSON.stringify(value));
    };
    write((value) => (value.formatVersion = 3));
    expect(await broken(path)).to.equal("manifest.json is not of format version 1 or 2");
    for (const part of ["ledgerId", "startedAt", "server", "tables", "files", "protects", "around"]) {
      write((value) => (value[part] = undefined));
      expect(await broken(path), part).to.equal("manifest.json lacks parts");
    }
    write((value) => (value.files = (value.files as { path: string }[]).filter((file) => file.path !== "roles.sql")));
    unlinkSync(join(path, "roles.sql"));
    expect(await broken(path), "17-1 the roles are a part").to.equal("manifest.json lacks parts");
    writeFileSync(
      manifest,
      text.replace(/,\{"path":"roles.sql"[^}]*\}/, "").replace('"formatVersion":2', '"formatVersion":1'),
    );
    expect(await broken(path), "17-1 an older release's had none").to.equal("whole");
    expect(await adopted(), "17-1 and is never taken for one that can be proven").to.equal(undefined);
    write((value) => (value.files as { path: string }[]).push({ ...(value.files as object[])[0], path: "../x" }));
    expect(await broken(path)).to.equal("manifest.json names a file outside the backup");
    writeFileSync(manifest, text.slice(0, -10));
    expect(await broken(path)).to.equal("manifest.json is not JSON");
    unlinkSync(manifest);
    expect(await broken(path)).to.equal("manifest.json cannot be read (ENOENT)");
  });

  const wanted: AdoptOptions = {
    ledgerId: "ledger",
    systemIdentifier: "7",
    database: "guardian",
    since: "2026-01-02 03:04:05.000005+00",
    maxAge: 3600,
    now: "2026-01-02 04:04:05.000006+00",
    protects: { two: "2", one: "1" },
  };
  const adopted = async (changes: Partial<AdoptOptions> = {}) =>
    (await adoptable(folder(), { ...wanted, ...changes }))?.name;

  it("is adopted if it is of this ledger, whole, later than the last change and young", async () => {
    backup("b");
    expect(await adopted()).to.equal("b");
    expect(await adopted({ since: undefined })).to.equal("b");
    expect(await adopted({ ledgerId: "other" })).to.equal(undefined);
    expect(await adopted({ systemIdentifier: "8" })).to.equal(undefined);
    expect(await adopted({ database: "other" })).to.equal(undefined);
    expect(await adopted({ since: "2026-01-02 03:04:05.000006+00" })).to.equal(undefined);
    expect(await adopted({ now: "2026-01-02 04:04:05.000007+00" })).to.equal(undefined);
    expect(await adopted({ protects: { one: "1" } })).to.equal(undefined);
    expect(await adoptable(folder("absent"), wanted)).to.equal(undefined);
  });

  it("the newest whole one is taken; broken and hidden ones are passed over", async () => {
    backup("a");
    const newer = backup("b", { startedAt: "2026-01-02T03:04:05.000008Z" });
    backup(".partial-c", { startedAt: "2026-01-02T03:04:05.000009Z" });
    mkdirSync(folder("no-backup"));
    expect(await adopted()).to.equal("b");
    writeFileSync(join(newer, "dump/toc.dat"), "CONTENT of dump/toc.dat");
    expect(await adopted()).to.equal("a");
  });

  it("times are compared to the microsecond, whatever their zone", () => {
    expect(microseconds("1970-01-01 00:00:01.5+00")).to.equal(1_500_000n);
    expect(microseconds("1970-01-01T00:00:00.000001Z")).to.equal(1n);
    for (const zone of ["+05:30", "+0530"]) expect(microseconds(`1970-01-01 05:30:00${zone}`)).to.equal(0n);
    for (const wrong of ["1970-01-01", "1970-01-01 00:00:00", "now"])
      expect(() => microseconds(wrong)).to.throw(RangeError);
  });
});
