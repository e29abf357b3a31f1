import { shown } from "../../base/names";
import { readLedger } from "../../ledger/identity";
import { standingModules } from "../../ledger/modules";
import { readManifests } from "../../module/files/manifest";
import { readInventory, schemasOf } from "../../module/inventory";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** A v7 that no ledger of this database knows, or what only has its names: each module would be refused at its turn, half way up. */
export const taken: Check = {
  name: "v7",
  asks: "whether anything that is still to be made is there already: another v7, or somebody's own of the same names",
  cost: "catalogue",
  async run({ db }) {
    const standing = (await readLedger(db)) ? await standingModules(db) : [];
    const wanted = readManifests()
      .filter(({ name }) => !standing.includes(name))
      .flatMap(({ objects }) => objects);
    if (wanted.length === 0) return notApplicable("every module of this release is applied");
    const now = await readInventory(db, schemasOf(wanted));
    const there = wanted.filter((object) => now.has(object));
    const figures = { wanted: wanted.length, there: there.length };
    if (there.length === 0)
      return { verdict: "passed", evidence: [`none of ${wanted.length} objects is there`], figures };
    return {
      verdict: "failed",
      evidence: some(there.map((object) => `${shown(object)} is there already, and no module of this stack made it`)),
      figures,
      ...faultsNamed("v7", there),
      mend: [
        "see who made them; rename what is somebody's own",
        "if this database was restored from a backup that was taken when v7 was there: v7 works as it is, without a stack (docs/backups.md)",
      ],
    };
  },
};
