import { missingRights } from "../../rights";
import { some, type Check } from "../check";
import { faultsNamed } from "../faults";

export const rights: Check = {
  name: "rights",
  asks: "whether this role may do all that the migration does",
  cost: "catalogue",
  worse: ["missing"],
  async run({ db }) {
    const missing = await missingRights(db);
    if (missing.length === 0)
      return { verdict: "passed", evidence: ["this role lacks no right"], figures: { missing: 0 } };
    const statements = missing.map(({ statement }) => statement);
    // Who only previews needs no more than to read; up needs all of them.
    const reads = missing.some(({ toRead }) => toRead);
    return {
      verdict: reads ? "failed" : "warned",
      evidence: [
        `this role lacks ${missing.length} right${missing.length === 1 ? "" : "s"}${reads ? "" : ", which up needs and a preview does not"}`,
      ],
      figures: { missing: missing.length },
      // Who accepts that one right is lacking accepts no other in its place.
      ...faultsNamed("rights", statements),
      mend: some(statements),
    };
  },
};
