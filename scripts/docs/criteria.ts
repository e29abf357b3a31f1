import { guide } from "../../engine/gates/criteria/guide";
import { signOffs } from "../../spec/sign-offs";
import { code, table } from "./pages";

/** What answers a line; a sign-off is said to be one. */
const answer = (check: string): string => (check in signOffs ? `${code(check)} (sign-off)` : code(check));

/** @returns the part of docs/gates.md that has each line of the guide's checklists and criteria, and what answers it */
export function criteriaPart(): string[] {
  return [
    "## The guide's checklists",
    "Every line of the guide's checklists (6) and criteria (8), and the checks that answer it; one that fails, fails the line. What is " +
      "a sign-off, somebody says: `guardian:signOff: {item: {by, on, note}}`; `api-endpoints` and `external-systems` are asked of " +
      "`guardian:endpoints` instead, where there are any. `npm run gates` ends with the criteria, each with its checks and their figures.",
    table(
      ["Guide", "Line", "Answered by"],
      guide.map(({ section, line, checks }) => [section, line, checks.map(answer).join(", ") || "nothing yet"]),
    ),
  ];
}
