import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Outcome } from "../../../../engine/gates/check";
import { guide } from "../../../../engine/gates/criteria/guide";
import { criteriaLines, summarize, type Criterion } from "../../../../engine/gates/criteria/summary";
import { signOffs } from "../../../../spec/sign-offs";
import { runGates } from "../../../support/gates-command";
import { root } from "../../../support/plugin";
import { withV6 } from "../../../support/postgres";
import { all } from "../asked";

describe("gates: the guide's checklists and criteria", function () {
  this.timeout(60_000);

  it("19-8 has every line of the guide, each answered by checks that there are", () => {
    const names = new Set(all.map(({ name }) => name));
    for (const { line, checks } of guide) for (const check of checks) expect(names, line).to.include(check);
    const sections = [...new Set(guide.map(({ section }) => section))];
    const sized = sections.map((wanted) => [wanted, guide.filter(({ section }) => section === wanted).length]);
    expect(sized).to.deep.equal([
      ["6.1", 5],
      ["6.2", 5],
      ["6.3", 7],
      ["8", 7],
      ["8, rollback", 5],
    ]);
    const answering = new Set(guide.flatMap(({ checks }) => checks));
    for (const item of Object.keys(signOffs)) expect(answering, "a sign-off that no line asks for").to.include(item);
    expect(
      guide.filter(({ checks }) => checks.length === 0).map(({ line }) => line),
      "answered by nothing",
    ).to.deep.equal([]);
    const page = readFileSync(join(root, "docs", "gates.md"), "utf8").replace(/ +/g, " ");
    for (const { section, line } of guide) expect(page).to.contain(`| ${section} | ${line} |`);
  });

  it("19-8 a criterion is as good as the worst of its checks; one that was not asked could not run", () => {
    const outcome = (check: string, verdict: Outcome["verdict"]): Outcome => ({
      check,
      verdict,
      evidence: [`of ${check}`],
      seconds: 0,
    });
    const about = (criteria: readonly Criterion[], wanted: string): string | undefined =>
      criteria.find(({ criterion }) => criterion === wanted)?.verdict;
    const security = guide.find(({ line }) => line === "Security vulnerability discovered")?.checks ?? [];
    expect(security).to.include("row-security");
    const found = (last: Outcome["verdict"]): Criterion[] =>
      summarize([
        ...security.map((check, i) => outcome(check, i === security.length - 1 ? last : "passed")),
        ...[outcome("user-acceptance", "warned"), outcome("api-endpoints", "passed")],
      ]);
    for (const verdict of ["passed", "warned", "could not run", "failed"] as const) {
      expect(about(found(verdict), "All security controls operational")).to.equal(verdict);
      expect(about(found(verdict), "Security vulnerability discovered")).to.equal(verdict);
    }
    expect(about(found("passed"), "User acceptance testing passed")).to.equal("warned");
    expect(about(found("passed"), "Critical functionality broken"), "external-systems was not asked").to.equal(
      "could not run",
    );
    expect(about(found("passed"), "Data loss > 0.1%")).to.equal("could not run");
    const lines = criteriaLines(found("failed"));
    expect(lines).to.include("warned          User acceptance testing passed: user-acceptance: of user-acceptance");
    const said = security
      .map((one, i) => `${one}${i === security.length - 1 ? "" : " (passed)"}: of ${one}`)
      .join("; ");
    expect(lines).to.include(`failed          Security vulnerability discovered: ${said}`);
  });

  it("19-8 ends what npm run gates says, and stands in its JSON", () =>
    withV6(async (db) => {
      const trained = { by: "A. Lovelace", on: "2020-11-30", note: "a course of two days" };
      const keys = { signOff: { "support-trained": trained } };
      const { said, printed } = await runGates(db.migrator, keys, "--json", "--stage", "end");
      const { criteria } = JSON.parse(printed.at(-1) ?? "") as { criteria: Criterion[] };
      expect(criteria.map(({ kind }) => kind).filter((kind) => kind === "success")).to.have.length(7);
      expect(criteria).to.have.length(12);
      expect(said.join("\n")).to.match(/It is complete when \(guide 8\):\nnot applicable {2}All v7 modules deployed/);
      expect(said.at(-2)).to.match(/^not applicable {2}User experience severely impacted: user-experience: no module/);
    }));
});
