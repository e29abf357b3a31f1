import { readLedger } from "../../ledger/identity";
import { readSteps, unfinished as notEnded } from "../../ledger/steps";
import { notApplicable, some, type Check } from "../check";

export const unfinished: Check = {
  name: "unfinished",
  asks: "whether an earlier run was left half done",
  cost: "catalogue",
  async run({ db }) {
    if (!(await readLedger(db))) return notApplicable("nothing of the migration was ever here");
    // A gate that is being asked, or failed, left nothing half done.
    const open = notEnded(await readSteps(db)).filter(({ kind }) => kind !== "Gate");
    if (open.length === 0)
      return { verdict: "passed", evidence: ["everything that was begun was ended"], figures: { open: 0 } };
    return {
      verdict: "warned",
      evidence: some(
        open.map(
          ({ urn, part, state }) => `${urn.split("::").at(-1) ?? urn}${part === "" ? "" : ` (${part})`} is ${state}`,
        ),
      ),
      figures: { open: open.length },
      mend: ["the next up goes on from there; to take it back instead, destroy"],
    };
  },
};
