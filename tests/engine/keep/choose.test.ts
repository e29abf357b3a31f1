import { expect } from "chai";
import { choose } from "../../../engine/backup/keep/choose";
import type { BackupFolder } from "../../../engine/backup/keep/read";
import { reliedOn, type Relied } from "../../../engine/backup/keep/relied";
import type { Step } from "../../../engine/ledger/steps";

const here = { ledgerId: "ours", systemIdentifier: "7", database: "guardian" };
const nothing: Relied = { on: new Map(), proofs: new Map(), unfinished: [] };

/** A backup of so many days ago. */
function backup(name: string, days: number, more: Partial<BackupFolder> & { of?: object } = {}): BackupFolder {
  const { of, ...rest } = more;
  const startedAt = new Date(Date.UTC(2026, 10, 30) - days * 86_400_000).toISOString();
  const server = { systemIdentifier: "7", database: "guardian", version: "17.1" };
  const manifest = { ledgerId: "ours", startedAt, server, ...of } as BackupFolder["manifest"];
  return { name, path: `/b/${name}`, state: "whole", bytes: 1, ...(manifest ? { manifest } : {}), ...rest };
}

function went(folders: BackupFolder[], relied = nothing, keep = { count: 1, ageSeconds: 86_400 }): string[] {
  const about = { keep, relied, here, formerNames: ["former"], now: "2026-11-30T00:00:00.000000Z" };
  return choose(folders, about).flatMap(({ folder, goes, why }) => [
    `${folder.name} ${goes ? "goes" : "stays"}: ${why}`,
  ]);
}

const proof = (verdict: "proven" | "partly proven" | "not proven"): Pick<BackupFolder, "proof"> => ({
  proof: { verdict, unproven: [], restoreSeconds: 1, provenAt: "" },
});

describe("which backups may go", () => {
  it("17-6 are those that are neither young nor among the newest, and nothing else", () => {
    const folders = [backup("a", 9), backup("b", 8), backup("c", 0.5), backup("d", 0.1)];
    expect(went(folders)).to.deep.equal([
      "a goes: old, and newer ones are there",
      "b goes: old, and newer ones are there",
      "c stays: young",
      "d stays: among the newest 1",
    ]);
    expect(went([backup("a", 9), backup("b", 8)], nothing, { count: 2, ageSeconds: 1 }).join()).not.to.contain("goes");
  });

  it("17-6 are never the last one that is proven, nor one that the ledger relies on, nor one that a cut-off run may have made", () => {
    const folders = [
      backup("a", 9, proof("proven")),
      backup("b", 8, proof("proven")),
      backup("c", 7, proof("partly proven")),
      backup("d", 6),
    ];
    expect(went([...folders, backup("e", 5)])).to.deep.equal([
      "a goes: old, and newer ones are there",
      "b stays: the last one that is proven",
      "c stays: the last one that is partly proven",
      "d goes: old, and newer ones are there",
      "e stays: among the newest 1",
    ]);
    const relied = { ...nothing, on: new Map([["a", "2 changes to come of dev::guardian"]]) };
    expect(went(folders, relied)[0]).to.equal("a stays: relied on by 2 changes to come of dev::guardian");
    // The ledger's word is above the folder's.
    const proofs = new Map([["a", { verdict: "proven", unproven: [], restoreSeconds: 1, provenAt: "" } as const]]);
    expect(went([backup("a", 9), backup("e", 5)], { ...nothing, proofs })[0]).to.contain("a stays: the last one");
    const unfinished = { ...nothing, unfinished: ["2026-11-22 00:00:00+00"] };
    expect(went([backup("a", 9), backup("b", 8), backup("e", 5)], unfinished)).to.deep.equal([
      "a goes: old, and newer ones are there",
      "b stays: a run that was cut off may have made it, and the next up takes it",
      "e stays: a run that was cut off may have made it, and the next up takes it",
    ]);
    // Unless a later proof refuted it: of that the ledger is not told, and it went on as the last one that is proven.
    const dated = (verdict: "proven" | "not proven", provenAt: string) =>
      ({ verdict, unproven: [], restoreSeconds: 1, provenAt }) as const;
    const early = { ...nothing, proofs: new Map([["a", dated("proven", "2026-11-21T00:00:00.000001Z")]]) };
    const refuted = (at: string): string =>
      went([backup("a", 9, { proof: dated("not proven", at) }), backup("e", 5)], early)[0] ?? "";
    expect(refuted("2026-11-22T00:00:00.000Z")).to.equal("a goes: old, and a proof refuted it");
    expect(refuted("2026-11-20T00:00:00.000Z")).to.equal("a stays: the last one that is proven");
    // One that was refuted is no backup to count.
    expect(went([backup("a", 9), backup("b", 8, proof("not proven"))])).to.deep.equal([
      "a stays: among the newest 1",
      "b goes: old, and a proof refuted it",
    ]);
  });

  it("17-6 are never others', broken, being written or nobody's; half-written ones of dead runs are", () => {
    const bare = { path: "", bytes: 1 };
    const server = { systemIdentifier: "7", database: "guardian", version: "17.1" };
    const folders: BackupFolder[] = [
      backup("ledger", 99, { of: { ledgerId: "theirs" } }),
      backup("cluster", 99, { of: { server: { ...server, systemIdentifier: "8" } } }),
      backup("database", 99, { of: { server: { ...server, database: "other" } } }),
      backup("broken", 99, { state: "broken", why: "dump/toc.dat is missing" }),
      { ...bare, name: ".partial-a", state: "under way" },
      { ...bare, name: ".partial-b", state: "unclear" },
      { ...bare, name: ".partial-c", state: "left behind" },
      { ...bare, name: "notes", state: "other" },
      backup("former", 99, { of: { server: { ...server, database: "former" } } }),
      backup("newest", 0),
    ];
    expect(went(folders)).to.deep.equal([
      "ledger stays: of another ledger or database: guardian, ledger theirs",
      "cluster stays: of another ledger or database: guardian, ledger ours",
      "database stays: of another ledger or database: other, ledger ours",
      "broken stays: broken, for inspection: dump/toc.dat is missing",
      ".partial-a stays: it is being written",
      ".partial-b stays: half-written, and whose it is cannot be told from here",
      ".partial-c goes: half-written by a run that was killed",
      "notes stays: no backup",
      "former goes: old, and newer ones are there",
      "newest stays: among the newest 1",
    ]);
  });

  it("17-6 are never those that somebody reads: restores, proves or masks", () => {
    const hidden = (name: string, state: "under way" | "unclear" | "left behind", reads: string): BackupFolder => ({
      ...{ name, path: "", bytes: 1, state, reads },
    });
    const folders = [
      ...[backup("a", 9), backup("b", 9), backup("c", 9), backup("d", 0)],
      ...[hidden(".partial-1", "under way", "a"), hidden(".partial-2", "unclear", "b")],
      hidden(".partial-3", "left behind", "c"),
      ...[hidden(".partial-4", "left behind", "a"), hidden(".partial-5", "unclear", "a")],
    ];
    expect(went(folders)).to.deep.equal([
      "a stays: it is being read",
      "b stays: it is being read, or was: by .partial-2; remove that, if its run is gone",
      "c goes: old, and newer ones are there",
      "d stays: among the newest 1",
      ".partial-1 stays: its run reads a",
      ".partial-2 stays: its run reads b, or did; whether it lives cannot be told from here",
      ".partial-3 goes: half-written by a run that was killed",
      ".partial-4 goes: half-written by a run that was killed",
      ".partial-5 stays: its run reads a, or did; whether it lives cannot be told from here",
    ]);
  });

  it("17-6 relied on is what each stack took last, until it is undone", () => {
    const urn = (stack: string, name: string): string => `urn:pulumi:${stack}::guardian::type::${name}`;
    const step = (stack: string, name: string, more: object): Step =>
      ({
        urn: urn(stack, name),
        part: "",
        kind: "SqlModule",
        state: "done",
        meaning: "1",
        startedAt: "t",
        detail: {},
        ...more,
      }) as Step;
    const taken = (stack: string, path: string, more: object = {}): Step =>
      step(stack, "backup", { kind: "Backup", detail: { path, protects: { one: "1", two: "2" } }, ...more });
    const proven = { path: "/elsewhere/a", verdict: "proven", provenAt: "", restoreSeconds: 1, unproven: [] };
    const found = reliedOn([
      taken("dev", "/elsewhere/a"),
      step("dev", "backup", { part: "proof", kind: "proof", detail: proven }),
      step("dev", "one", {}),
      taken("prod", "b", { detail: { path: "b", protects: { one: "1" }, refuted: true } }),
      step("prod", "one", {}),
      taken("gone", "c", { state: "undone" }),
      taken("cut", "d", { state: "running", startedAt: "2026-11-30 00:00:00+00" }),
    ]);
    expect([...found.on]).to.deep.equal([
      ["a", "1 change to come of dev::guardian"],
      ["b", "what stands of prod::guardian"],
      ["d", "2 changes to come of cut::guardian"],
    ]);
    expect([...found.proofs].map(([name, { verdict }]) => `${name} ${verdict}`)).to.deep.equal([
      "a proven",
      "b not proven",
    ]);
    expect(found.unfinished).to.deep.equal(["2026-11-30 00:00:00+00"]);
    // Where a data stage was cut off, v6 is compared with an older one at the end.
    const cut = reliedOn([taken("dev", "newer")], new Map([[urn("dev", "backup"), "/elsewhere/older"]]));
    expect([...cut.on.keys()]).to.have.members(["newer", "older"]);
    const same = reliedOn([taken("dev", "newer")], new Map([[urn("dev", "backup"), "newer"]]));
    expect([...same.on]).to.deep.equal([["newer", "2 changes to come of dev::guardian"]]);
  });
});
