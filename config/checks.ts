import { isAcceptable, nearestCheck } from "../spec/accepted";
import { choice, flag, like, map, otherwise, ruled } from "../spec";

export const checkKeys = {
  strict: otherwise(
    false,
    flag(
      "Whether what is a warning elsewhere stops up: a backup that nobody restored (backup.verify: list), one that takes longer to restore than backup.maxRestore, a check of a gate that could not run, and what guardian:signOff lacks.",
    ),
  ),
  onBreach: otherwise(
    "stop",
    choice(
      ["stop", "rollback"],
      "What happens where one of the guide's criteria of rollback is met, up stops either way. rollback: the flags that were written since gate-end was last passed are set back to what they were then, or to less where they are on for less, no row and no module is touched, and nothing is switched on until guardian:acknowledge names it. What only the clock finds slower never does that, nor what nobody has signed off.",
    ),
  ),
  accept: otherwise(
    {},
    ruled(
      map(
        like(/\p{L}{2}/u, "a reason in words", "Why it is accepted; kept in the ledger."),
        "What up goes on with though a check did not pass, each by its name with the reason: a check of a gate, such as row-security, until it is worse than when it was accepted; backup/<schema>.<table> for a table that a restore could not prove; up names them. A name that is none of those is an error.",
      ),
      (found) =>
        Object.keys(found)
          .filter((name) => !isAcceptable(name))
          .map((name) => {
            const check = nearestCheck(name);
            const near = check === undefined ? "" : `; the nearest check is ${check}`;
            const text = `is nothing that can be accepted: what can is named by up and written as there, such as row-security or backup/<schema>.<table>${near}`;
            return { path: [name], text };
          }),
    ),
  ),
};
