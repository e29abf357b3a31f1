import { v6Tables } from "../spec/roles";
import { GuardianError } from "./base/errors";
import type { Untouched } from "./connect";

/**
 * The migration writes no row of v6, up or down: its foreign keys and triggers are definitions. A transaction that did is
 * rolled back at its end, and not found out by a gate later: a deletion leaves no row that could be found, and the rows
 * are still there. So it is on the way back, where a trigger of somebody's on v7's tables could take v6's rows with them.
 */
export const v6Untouched: Untouched = {
  tables: v6Tables,
  refusal: (written, where) =>
    new GuardianError("v6-write", {
      what: `the migration would have written rows of v6 (${written.join(", ")}); the transaction was rolled back`,
      where,
      todo: [
        "find what writes there where modules or data migrations write: a trigger or a rule on a table of v7 (\\d in psql), or a module's own SQL",
        "switch it off while the migration works (ALTER TABLE … DISABLE TRIGGER …), then run again",
      ],
    }),
};
