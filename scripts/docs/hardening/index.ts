import { backupFindings } from "./backups";
import type { Finding } from "./finding";
import { moduleFindings } from "./modules";
import { stackFindings } from "./stack";
import { table } from "../pages";
import { titlesByFile } from "../traps";

const order = ({ id }: Finding): number => {
  const [issue = 0, line = 0] = id.split("-").map(Number);
  return issue * 100 + line;
};

/** Every finding, by its number. */
export const findings: readonly Finding[] = [...stackFindings, ...moduleFindings, ...backupFindings].sort(
  (a, b) => order(a) - order(b),
);

/**
 * @returns the tests that hold a finding, as `path: title`
 * @throws Error if one that the list names is not there any more
 */
export function testsOf({ id, tests }: Finding, all = titlesByFile()): string[] {
  return tests.flatMap((named) => {
    const [file = "", part = ""] = named.split(": ");
    const found = (all.get(file) ?? []).filter((title) => title.includes(part));
    if (found.length === 0) throw new Error(`scripts/docs/hardening/*.ts, ${id}: no test is called ${named}`);
    return part === "" && found.length > 3
      ? [`${file}: all ${found.length}`]
      : found.map((title) => `${file}: ${title}`);
  });
}

/** docs/hardening.md. @throws Error as testsOf does */
export function hardeningPage(all = titlesByFile()): string {
  const tests = new Set(findings.flatMap((finding) => testsOf(finding, all)));
  return [
    "<!-- Made by `npm run docs` from scripts/docs/hardening/*.ts and the titles of the tests. -->",
    "# Hardening",
    "What attacks, other people's databases and operators' mistakes broke, each seen on a real server before it was mended, and the " +
      "test that holds what holds now. The first part of an id is the issue, the second its line.",
    `${findings.length} findings, each held by a test. ${tests.size} tests or files of tests.`,
    table(
      ["Id", "What happened", "What holds now", "Test"],
      findings.map((finding) => [finding.id, finding.happened, finding.holds, testsOf(finding, all).join("; ")]),
    ),
  ].join("\n\n");
}
