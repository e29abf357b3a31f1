import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { formatted, main } from "../scripts/docs";
import { findings, testsOf } from "../scripts/docs/hardening";
import { groups } from "../scripts/docs/trap-list";
import { titles, trapsPage, unanswered } from "../scripts/docs/traps";
import { withFolder } from "./support/folder";

const docs = join(__dirname, "..", "docs");

const counts = { S: 22, F: 10, C: 17, D: 3, I: 9, U: 16, K: 16, V6: 6 };

describe("docs/", function () {
  this.timeout(120_000);

  it("refuses an unknown option", async () => {
    expect(await main(["--chek"])).to.equal(2);
  });

  describe("traps.md", () => {
    const ids = Object.values(groups).flatMap((traps) => Object.keys(traps));

    it("lists every id once, in order", () => {
      const wanted = Object.entries(counts).flatMap(([kind, n]) =>
        Array.from({ length: n }, (_, i) => `${kind}-${i + 1}`),
      );
      expect(ids).to.deep.equal(wanted);
      const rows = readFileSync(join(docs, "traps.md"), "utf8").match(/^\| (V6|[SFCDIUK])-\d+ /gm) ?? [];
      expect(rows.map((row) => row.slice(2).trim())).to.deep.equal(wanted);
    });

    it("answers every id with a test or with a reason", () => {
      expect(unanswered()).to.deep.equal([]);
    });

    it("names at least 60 that tests hold", () => {
      expect(ids.filter((id) => titles().has(id)).length).to.be.at.least(60);
    });

    it("finds ids in titles only, and a trap that lost its test", async () => {
      return withFolder(async (folder) => {
        writeFileSync(
          join(folder, "a.test.ts"),
          "// C-5\nit('S-1 F-2: one', f);\nit(`K-16x V6-3: two`, f);\nxit(\"U-3: three\", f); const x = 'C-4';\n",
        );
        const found = titles(folder);
        expect([...found]).to.deep.equal([
          ["S-1", ["a.test.ts: S-1 F-2: one"]],
          ["F-2", ["a.test.ts: S-1 F-2: one"]],
          ["V6-3", ["a.test.ts: K-16x V6-3: two"]],
        ]);
        expect(unanswered(found)).to.include("S-2").and.not.include("S-1").and.not.include("S-22");
        const page = await formatted(new Map([["traps.md", trapsPage(found)]]));
        expect(page.get("traps.md")).to.match(/\| S-2 .*OPEN/);
      });
    });
  });

  describe("hardening.md", () => {
    it("names for each finding a test that there is", () => {
      for (const finding of findings) {
        const { id, happened } = finding;
        expect(testsOf(finding), `${id}: ${happened}`).not.to.be.empty;
      }
      const lines = new Set(findings.map(({ id }) => id));
      expect([...Array(18).keys()].map((n) => `16-${n + 1}`).filter((id) => !lines.has(id))).to.deep.equal([]);
    });

    it("is not made while it names a test that is gone", () => {
      const gone = { id: "16-0", happened: "x", holds: "y", tests: ["docs.test.ts: no such title as this"] };
      const said = gone.tests[0] ?? "";
      expect(() => testsOf(gone, new Map([["docs.test.ts", ["another"]]]))).to.throw(`no test is called ${said}`);
    });
  });
});
