import { couldNotRun, some, type Finding } from "../check";
import { patienceMs } from "../in-time";

/** Why a table gave no answer within the statement_timeout. */
export const late = `not in ${patienceMs / 1000} s`;

/** @returns why a table gave none, by the SQLSTATE that its question ended with */
export const whyNot = (sqlstate: string | undefined): string =>
  sqlstate === "57014" ? late : (sqlstate ?? "no SQLSTATE");

/**
 * What a check comes to that some tables gave no answer.
 * @param unanswered each table, and why
 * @param again whether any of these reasons passes by itself
 */
export const noAnswer = (unanswered: readonly string[], again: boolean): Finding => ({
  ...couldNotRun(
    `no answer: ${some(unanswered).join(", ")}`,
    "ask again when the server has less to do: npm run gates; see that what the policy asks for has an index",
  ),
  ...(again ? { again } : {}),
});
