import type { Outcome, Verdict } from "../check";
import { guide } from "./guide";

/** One of the guide's criteria (8), and what answered it. */
export interface Criterion {
  /** `success`: it must be so. `rollback`: it must not be so, and is not where this passed. */
  readonly kind: "success" | "rollback";
  readonly criterion: string;
  /** Of its checks the worst; one that was not asked could not run. */
  readonly verdict: Verdict;
  /** By the check that says so. */
  readonly answers: readonly Pick<Outcome, "check" | "verdict" | "figures" | "evidence">[];
}

const worst: readonly Verdict[] = ["failed", "could not run", "warned", "not applicable", "passed"];

/**
 * The guide's criteria as the checks answer them, success first.
 * @param outcomes of the checks that were asked, or the last that the ledger has of them
 */
export function summarize(outcomes: readonly Outcome[]): Criterion[] {
  const found = new Map(outcomes.map((one) => [one.check, one]));
  const lines = guide.filter(({ section }) => section.startsWith("8"));
  return lines.map(({ section, line, checks }): Criterion => {
    const answers = checks.map((check) => found.get(check) ?? unasked(check));
    const verdicts = answers.length > 0 ? answers.map(({ verdict }) => verdict) : ["could not run"];
    return {
      kind: section === "8" ? "success" : "rollback",
      criterion: line,
      verdict: worst.find((one) => verdicts.includes(one)) ?? "could not run",
      answers: answers.map(({ check, verdict, figures, evidence }) => ({
        check,
        verdict,
        ...(figures ? { figures } : {}),
        evidence,
      })),
    };
  });
}

const unasked = (check: string): Outcome => ({
  check,
  verdict: "could not run",
  evidence: ["it was not asked"],
  seconds: 0,
});

/** The criteria as people read them, a line each with the figure and the check that answers. */
export function criteriaLines(criteria: readonly Criterion[]): string[] {
  const of = (kind: Criterion["kind"]): string[] =>
    criteria
      .filter((one) => one.kind === kind)
      .map(({ criterion, verdict, answers }) => {
        const said = answers.map(
          ({ check, verdict: own, evidence: [first = "", ...more] }) =>
            `${check}${own === verdict ? "" : ` (${own})`}: ${first}${more.length > 0 ? ` and ${more.length} more` : ""}`,
        );
        return `${verdict.padEnd(14)}  ${criterion}: ${said.join("; ") || "no check answers it yet"}`;
      });
  return [
    "",
    "It is complete when (guide 8):",
    ...of("success"),
    "",
    "It is rolled back if (passed: it is not so):",
    ...of("rollback"),
  ];
}
