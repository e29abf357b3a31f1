import { pulumiCommand } from "../../../spec";
import { shown } from "../../base/names";
import { readObjects } from "../../ledger/objects";
import { readLedger } from "../../ledger/identity";
import { standingModules } from "../../ledger/modules";
import { byModule, findDrift, versionsOf } from "../../module/drift";
import { moduleNames } from "../../module/files/manifest";
import { readInventories, schemasOf } from "../../module/inventory";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";

/**
 * Guide 6.2, "all tables created", and 8, "all v7 modules deployed": what `refresh` shows as drift, for the morning on which
 * nobody runs it; and which modules of this release are not applied.
 */
export const definitions: Check = {
  name: "definitions",
  asks: "whether every object of v7 is as the migration made it, and every module of this release is applied",
  cost: "catalogue",
  refused: "up refuses it besides, module by module (objects-changed), until it is put back",
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
    const standing = await standingModules(db);
    const all = moduleNames();
    const lacking = all.filter((name) => !standing.includes(name));
    const figures = {
      objects: own.length,
      drifted: lines.length,
      modules: standing.length,
      lackingModules: lacking.length,
    };
    const whole = `${own.length} objects, each as it was made`;
    if (lines.length === 0 && lacking.length > 0)
      return {
        verdict: "warned",
        evidence: [`${lacking.length} of ${all.length} modules are not applied: ${some(lacking).join(", ")}`, whole],
        figures,
        mend: [`${pulumiCommand("config set guardian:through deployment")}, then up`],
      };
    if (lines.length === 0) return { verdict: "passed", evidence: [whole], figures };
    return {
      verdict: "failed",
      evidence: some(lines),
      figures,
      ...faultsNamed("definitions", lines),
      mend: [`${pulumiCommand("refresh")} shows what differs; the next up says for each how to put it back`],
    };
  },
};
