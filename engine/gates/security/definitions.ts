import { pulumiCommand } from "../../../spec";
import { shown } from "../../base/names";
import { readObjects } from "../../ledger/objects";
import { readLedger } from "../../ledger/identity";
import { byModule, findDrift, versionsOf } from "../../module/drift";
import { readInventories, schemasOf } from "../../module/inventory";
import { notApplicable, some, type Check } from "../check";

/** What `refresh` shows as drift, for the morning on which nobody runs it. */
export const definitions: Check = {
  name: "definitions",
  asks: "whether every object of v7 is as the migration made it",
  cost: "catalogue",
  async run({ db }) {
    const records = (await readLedger(db)) ? byModule(await readObjects(db)) : byModule([]);
    if (records.size === 0) return notApplicable("no module is applied");
    const own = [...records.values()].flatMap((objects) => [...objects.keys()]);
    // Once for all modules: to read the whole catalogue is most of what this check takes.
    const now = await readInventories(
      db,
      schemasOf(own),
      new Set([...records.keys()].flatMap((urn) => versionsOf(records, urn))),
    );
    const lines = [...records.keys()].flatMap((urn) =>
      findDrift(records, urn, now).map(
        ({ object, kind }) =>
          `${shown(object)} ${{ missing: "was dropped", changed: "was changed", unexpected: "was added" }[kind]} by hand`,
      ),
    );
    const figures = { objects: own.length, drifted: lines.length };
    if (lines.length === 0)
      return { verdict: "passed", evidence: [`${own.length} objects, each as it was made`], figures };
    return {
      verdict: "failed",
      evidence: some(lines),
      figures,
      mend: [`${pulumiCommand("refresh")} shows what differs; the next up says for each how to put it back`],
    };
  },
};
