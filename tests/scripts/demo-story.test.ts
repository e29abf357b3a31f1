import { expect } from "chai";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { readOperation, type Operation } from "../../scripts/demo/operation";
import { Output } from "../../scripts/demo/output";
import { tell, type Parts, type Result } from "../../scripts/demo/story";
import { table } from "../../scripts/demo/table";
import { withFolder } from "../support/folder";

describe("the demo's counting", () => {
  it("counts custom resources, providers and components aside", () => {
    return withFolder((folder) => {
      mkdirSync(join(folder, "x"));
      const event = (kind: string, op: string, type: string, custom: boolean, side = "new"): string =>
        JSON.stringify({ [kind]: { metadata: { op, type, [side]: { custom } } } });
      const log = join(folder, "events.json");
      const mine = "guardian-migration:index:SqlModule";
      writeFileSync(
        log,
        [
          event("resourcePreEvent", "create", mine, true),
          event("resourcePreEvent", "create", mine, true),
          event("resourcePreEvent", "create", "pulumi:providers:guardian-migration", true),
          event("resourcePreEvent", "create", "guardian:stage:Data", false),
          event("resOutputsEvent", "create", mine, true),
          event("resOutputsEvent", "update", mine, true),
          event("resOutputsEvent", "same", mine, true),
          event("resOutputsEvent", "create-replacement", mine, true),
          event("resOutputsEvent", "replace", mine, true),
          event("resOutputsEvent", "delete-replaced", mine, true, "old"),
          event("resOutputsEvent", "delete", mine, true, "old"),
          event("resOutputsEvent", "delete", "pulumi:pulumi:Stack", false, "old"),
          JSON.stringify({ cancelEvent: {} }),
          "",
        ].join("\n"),
      );
      expect(readOperation(log, true, 1.5)).to.include({ seconds: 1.5, creates: 2, cancelled: false });
      expect(readOperation(log, false, 2)).to.deep.equal({
        seconds: 2,
        creates: 1,
        changes: 4,
        resources: 4,
        cancelled: false,
      } satisfies Operation);
      writeFileSync(log, JSON.stringify({ stdoutEvent: { message: "^C received; cancelling." } }));
      expect(readOperation(log, false, 2).cancelled).to.equal(true);
    });
  });

  it("lays out small tables", () => {
    const rows = [
      { name: "a", rows: 1234, on: true, at: new Date("2000-01-02T03:04:05Z"), none: null },
      { name: "longer", rows: 5, on: false, at: new Date("2000-01-02T03:04:05Z"), none: null },
    ];
    expect(table(rows)).to.deep.equal([
      "  name     rows  on   at                   none",
      "  ──────  ─────  ───  ───────────────────  ────",
      "  a       1,234  yes  2000-01-02 03:04:05     –",
      "  longer      5  no   2000-01-02 03:04:05     –",
    ]);
    expect(table([])).to.deep.equal(["  (no rows)"]);
  });
});

/** What the stubs of a story answer; each field breaks one thing. */
interface Broken {
  preview?: string[];
  proof?: string;
  consents?: number;
  preferences?: number;
  again?: number;
  application?: string[];
  after?: Fingerprint;
  afterPurge?: Fingerprint;
}

describe("the demo's guards", () => {
  const print = (rows: string): Fingerprint => ({
    facts: { "table rows": { "public.documents": rows }, TRIGGER: {} },
    cascadeKeys: [],
  });

  /** The story with an engine and a database that do nothing and answer what a sound run answers, but for `broken`. */
  async function story(broken: Broken): Promise<{ result: Result; faults: string[] }> {
    const operation = { seconds: 1, creates: 3, changes: 3, resources: 3, cancelled: false };
    const moved = { users: 9, settled: 8, consents: broken.consents ?? 8, preferences: broken.preferences ?? 9 };
    const proof = { verdict: broken.proof ?? "proven", restoreSeconds: 2 };
    let ups = 0;
    let scripts = 0;
    const prints = [print("3 rows"), broken.after ?? print("3 rows"), broken.afterPurge ?? print("3 rows")];
    const database = {
      // What each query would answer matters for the counts only; as to the rest, a table may be empty.
      with: ({ name }: { name: string }) =>
        Promise.resolve(name === "countMoved" ? moved : name === "proof" ? proof : []),
      untouched: async (work: () => Promise<unknown>) => ({ value: await work(), differences: broken.preview ?? [] }),
      application: () => Promise.resolve({ steps: 2, failures: ++scripts === 2 ? (broken.application ?? []) : [] }),
      fingerprint: () => Promise.resolve(prints.shift()),
    };
    const engine = {
      set: () => undefined,
      operation: (verb: string) =>
        Promise.resolve(verb === "up" && ++ups === 2 ? { ...operation, changes: broken.again ?? 0 } : operation),
    };
    const out = new Output(true);
    Object.assign(out, { stream: { isTTY: false, write: () => true } });
    return tell({ database, engine, out, purge: () => Promise.resolve() } as unknown as Parts);
  }

  it("find nothing in a sound run", async () => {
    const { result, faults } = await story({});
    expect(faults).to.deep.equal([]);
    expect(result).to.deep.equal({
      users: 9,
      preview: { creates: 3, wroteNothing: true },
      up: { seconds: 1, resources: 3 },
      proof: { verdict: "proven", restoreSeconds: 2 },
      moved: { consents: 8, preferences: 9 },
      again: { changes: 0 },
      rollback: { identical: true, seconds: 1 },
    } satisfies Result);
  });

  const cases: [string, Broken, string, (result: Result) => unknown, unknown][] = [
    [
      "a preview that wrote",
      { preview: ["role x: added"] },
      "the preview wrote: role x: added",
      (r) => r.preview.wroteNothing,
      false,
    ],
    [
      "a backup that nobody restored",
      { proof: "not proven" },
      "the backup is not proven",
      (r) => r.proof.verdict,
      "not proven",
    ],
    ["a consent too few", { consents: 7 }, "7 consents for 8 users older than a day", (r) => r.moved.consents, 7],
    ["preferences too many", { preferences: 10 }, "10 preferences for 9 users", (r) => r.moved.preferences, 10],
    ["a second up with changes", { again: 2 }, "a second up changed 2 resources", (r) => r.again.changes, 2],
    [
      "a v6 that does not work beside v7",
      { application: ["v6 cannot log in: no"] },
      "beside v7: v6 cannot log in: no",
      (r) => r.rollback.identical,
      false,
    ],
    [
      "a row lost",
      { after: print("2 rows") },
      "not as it was: table rows public.documents: changed from «3 rows» to «2 rows»",
      (r) => r.rollback.identical,
      false,
    ],
    [
      "something that the purge left",
      { afterPurge: print("4 rows") },
      "not as it was: table rows public.documents: changed from «3 rows» to «4 rows»",
      (r) => r.rollback.identical,
      false,
    ],
  ];
  for (const [what, broken, fault, read, value] of cases) {
    it(`catch ${what}`, async () => {
      const { result, faults } = await story(broken);
      expect(faults.map((text) => text.replaceAll(/[«»]/g, ""))).to.deep.equal([fault.replaceAll(/[«»]/g, "")]);
      expect(read(result)).to.equal(value);
    });
  }
});
