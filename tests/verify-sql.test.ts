import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { sqlFolder } from "../engine/module/files/folder";
import { differing, settle } from "../scripts/golden";
import { main, makeVerifySql } from "../scripts/verify-sql";
import { render } from "../scripts/verify-sql/render";
import { withV6 } from "./support/postgres";
import { withFolder } from "./support/folder";

describe("npm run verify-sql", function () {
  this.timeout(120_000);

  it("makes on this version of PostgreSQL what stands in sql/, and each file says so in its first line", async () => {
    const files = await withV6((db) => makeVerifySql(db.migrator));
    expect([...files.keys()])
      .to.have.length(10)
      .and.include("000_audit_log/verify.sql");
    expect(differing(files, sqlFolder), "run `npm run verify-sql`").to.deep.equal([]);
    for (const text of files.values()) expect(text).to.match(/^-- Made by `npm run verify-sql`/);
  });

  it("quotes what it is told, and keeps what people add in its place", () => {
    const facts = {
      own: ["public.a: policy p using (b = 'c')"],
      later: new Map([["public.f()", ["public.a: trigger t"]]]),
    };
    const objects = { relations: ["public.a"], functions: [], described: ["t on public.b"] };
    const extra = { before: "SELECT 'first';\n", after: "SELECT 'last';\n" };
    const elsewhere = [{ name: "t", relation: "public.b" }];
    const lines = render("009_x", { ...facts, ...objects, elsewhere }, extra).split("\n");
    expect(lines.slice(2, 9)).to.deep.equal([
      "SELECT 'first';",
      "SELECT public.assert_module('009_x', e.facts)",
      "FROM (SELECT ARRAY[",
      "  'public.a: policy p using (b = ''c'')'",
      "] || CASE WHEN to_regprocedure('public.f()') IS NULL THEN '{}' ELSE ARRAY[",
      "  'public.a: trigger t'",
      "] END AS facts) AS e",
    ]);
    expect(lines).to.include("      ('public.b', 't')");
    expect(lines.slice(-2)).to.deep.equal(["SELECT 'last';", ""]);
  });

  it("names what is stale with --check, and writes nothing then", () => {
    return withFolder((folder) => {
      for (const name of ["old", "gone"]) writeFileSync(join(folder, name), "x");
      const said: string[] = [];
      const run = (check: boolean): number => {
        const files = new Map(Object.entries({ old: "y", "more/new": "z" }));
        const gone = ["gone"].filter((path) => existsSync(join(folder, path)));
        return settle({ command: "npm run x", folder, files, gone }, check, (line) => said.push(line));
      };
      expect(run(true)).to.equal(1);
      expect(said.map((line) => line.replace(/ .*\//, " "))).to.deep.equal([
        "stale: gone",
        "stale: new",
        "stale: old",
        "run `npm run x` and commit what it writes",
      ]);
      expect(readFileSync(join(folder, "old"), "utf8")).to.equal("x");
      expect(run(false)).to.equal(0);
      expect(readFileSync(join(folder, "more", "new"), "utf8")).to.equal("z");
      expect(existsSync(join(folder, "gone"))).to.equal(false);
      expect(run(true)).to.equal(0);
    });
  });

  it("refuses an unknown option", async () => {
    expect(await main(["--chek"])).to.equal(2);
  });
});
