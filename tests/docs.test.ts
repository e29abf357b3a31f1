import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { formatted, main, makePages, stale } from "../scripts/docs";
import { findings, testsOf } from "../scripts/docs/hardening";
import { groups } from "../scripts/docs/trap-list";
import { titles, trapsPage, unanswered } from "../scripts/docs/traps";
import { long } from "./support/long";
import { withFolder } from "./support/folder";

const docs = join(__dirname, "..", "docs");

const counts = { S: 22, F: 10, C: 17, D: 3, I: 9, U: 16, K: 16, V6: 6 };

describe("docs/", function () {
  this.timeout(120_000);
  let pages: Map<string, string>;

  before(async () => {
    pages = await makePages();
  });

  // How it is laid out takes a third of the time to make: that is .ci/run's, by `npm run docs -- --check`.
  it("is what `npm run docs` makes, but for spaces and the dashes of tables", () => {
    const bare = (text: string): string => text.replace(/\s+/g, "").replace(/-{3,}/g, "---");
    const there = [...pages].map(([path, text]) => {
      const file = join(docs, path);
      const found = existsSync(file) ? readFileSync(file, "utf8") : "";
      return [path, bare(found) === bare(text) ? found : text] as const;
    });
    expect(stale(new Map(there)), "run `npm run docs`").to.deep.equal([]);
  });

  long("is the same when it is made again", async () => {
    expect([...(await makePages())]).to.deep.equal([...pages]);
  });

  it("is stale when a page differs, is missing or is of no module any more", () => {
    return withFolder((folder) => {
      for (const [path, text] of pages) {
        mkdirSync(dirname(join(folder, "docs", path)), { recursive: true });
        writeFileSync(join(folder, "docs", path), text);
      }
      const made = join(folder, "docs");
      expect(stale(pages, made)).to.deep.equal([]);
      writeFileSync(join(made, "v7/000_audit_log.md"), "x");
      writeFileSync(join(made, "v7/099_gone.md"), "x");
      rmSync(join(made, "permissions.md"));
      expect(stale(pages, made)).to.deep.equal(["permissions.md", "v7/000_audit_log.md", "v7/099_gone.md"]);
    });
  });

  it("has a page a module, with every table, column, view and function, and a comment for each of these but columns", () => {
    const modules = [...pages.keys()].filter((path) => /^v7\/\d/.test(path));
    expect(modules).to.include("v7/000_audit_log.md").and.include("v7/009_operations.md");
    for (const path of modules) {
      const page = pages.get(path) ?? "";
      const headings = page
        .split("\n")
        .flatMap((line, i, all) => (line.startsWith("### ") ? [all.slice(i, i + 5).join("\n")] : []));
      expect(headings, path).to.have.length.above(0);
      for (const heading of headings) expect(heading, path).to.match(/^### [\w.]+\n\n(`.*`.*\n\n)?\S.{15,}/);
    }
    expect(pages.get("v7/005_user_preferences.md")).to.contain("BCP 47 language tag");
  });

  it("says what becomes of every row when an account is deleted", () => {
    const page = pages.get("v7/README.md") ?? "";
    expect(page).to.match(/`patient_consents` +\| `patient_id` +\| `auth.users` +\| CASCADE +\| person/);
    expect(page).to.match(/`patient_consents` +\| `created_by` +\| `auth.users` +\| SET NULL +\| actor/);
    expect(page).to.match(/Without a key to an account or a document: .*`audit_log`/);
  });

  it("names no folder of this machine and nothing outside the repository", () => {
    for (const [path, text] of pages) expect(text, path).not.to.match(/\/(work|tmp|root|home)\/|shared\//);
  });

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
