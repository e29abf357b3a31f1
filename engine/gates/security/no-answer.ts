import { couldNotRun, some, type Finding } from "../check";

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
