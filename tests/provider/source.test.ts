import { expect } from "chai";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqlFolder } from "../../engine/module/files/manifest";
import { sourceHash } from "../../engine/module/files/source";
import type { Call } from "../../provider/types";
import { unknown, type Values } from "../../provider/wire";
import { plugin } from "../../resources/registry";

/** check needs no database, and so no call. */
async function check(kind: string, news: Values, olds: Values = {}): Promise<Values> {
  const handler = plugin.resources.find(({ spec }) => spec.kind === kind)!;
  const { inputs, failures } = await handler.check({} as Call<never>, news, olds);
  expect(failures).to.deep.equal([]);
  return inputs;
}

describe("provider: what check worked out from files is kept as long as they are the same", () => {
  const args: Values = { module: "000_audit_log", ledgerId: unknown };

  it("takes it from the state then, and works it out anew otherwise", async () => {
    const first = await check("SqlModule", args);
    expect(first["meaning"]).to.match(/^[0-9a-f]{32}$/);
    expect(first["__source"]).to.equal(sourceHash(["000_audit_log"]));
    const old: Values = { ...first, meaning: "from the state" };
    expect(await check("SqlModule", args, old)).to.deep.equal(old);
    expect(await check("SqlModule", args, { ...old, __source: "other files" })).to.deep.equal(first);
    const older = Object.fromEntries(Object.entries(old).filter(([key]) => key !== "objects"));
    expect(await check("SqlModule", args, older), "a state that lacks a property").to.deep.equal(first);
    expect(await check("SqlModule", { ...args, module: "001_feature_flags" }, old)).to.include({
      title: (await check("SqlModule", { ...args, module: "001_feature_flags" }))["title"],
    });
  });

  it("does so for backups and data migrations", async () => {
    const backup = { directory: "d", jobs: 1, maxAgeSeconds: 1, modules: ["000_audit_log"], migrations: ["consents"] };
    for (const [kind, news, key] of [
      ["Backup", { ...backup, ledgerId: unknown }, "protects"],
      ["DataMigration", { migration: "consents", parameters: {}, maxDataLoss: 0.001, ledgerId: unknown }, "meaning"],
    ] as const) {
      const first = await check(kind, { ...news });
      const old = { ...first, [key]: "from the state" };
      expect(await check(kind, { ...news }, old)).to.deep.equal(old);
    }
    const more = await check("Backup", { ...backup, modules: ["000_audit_log", "001_feature_flags"], ledgerId: "l" });
    expect(Object.keys(more["protects"] as object)).to.deep.equal(["000_audit_log", "001_feature_flags", "consents"]);
  });

  it("leaves open what follows from an input that is not known yet", async () => {
    const inputs = await check("SqlModule", { module: unknown, ledgerId: unknown });
    expect(inputs).to.include({ module: unknown, meaning: unknown, objects: unknown });
    expect(inputs).not.to.have.property("__source");
  });

  describe("the hash of the files", () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "guardian-source-"));
      for (const name of ["000_audit_log", "001_feature_flags"]) {
        cpSync(join(sqlFolder, name), join(folder, name), { recursive: true });
      }
    });
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    it("changes with every byte and every file of the folders that are named, in whatever order, and with no other", () => {
      const names = ["001_feature_flags", "000_audit_log"];
      const before = sourceHash(names, folder);
      expect(before).to.match(/^[0-9a-f]{32}$/);
      expect(sourceHash([...names].reverse(), folder)).to.equal(before);
      const alone = sourceHash(["001_feature_flags"], folder);
      appendFileSync(join(folder, "000_audit_log", "verify.sql"), "\n");
      const after = sourceHash(names, folder);
      expect(after).not.to.equal(before);
      writeFileSync(join(folder, "000_audit_log", "indexes.sql"), "");
      expect(sourceHash(names, folder)).not.to.equal(after);
      expect(sourceHash(["001_feature_flags"], folder)).to.equal(alone);
    });

    it("is none where a folder is missing, or a name is no folder's name", () => {
      mkdirSync(join(folder, "data", "x"), { recursive: true });
      expect(sourceHash(["data/x"], folder)).to.match(/^[0-9a-f]{32}$/);
      for (const name of ["002_missing", "../sql", "data/../000_audit_log", "", "data/"]) {
        expect(sourceHash([name], folder), name).to.equal(undefined);
      }
    });
  });
});
