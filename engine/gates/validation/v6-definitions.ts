import { shown } from "../../base/names";
import { v6Definitions } from "../../module/v6/definitions";
import { some, type Check } from "../check";
import { faultsNamed } from "../faults";
import { findProven, isFinding, soundBut } from "./proven";

/** A trigger by which a data migration follows v6: it was there for a while, if a backup was taken then. */
const passing = /^trigger guardian_follow_/;

/** That v6's tables are what they were when the backup was taken: nothing of v6 is changed by a migration that only adds. */
export const definitions: Check = {
  name: "v6-definitions",
  asks: "whether v6's tables, constraints, rights, policies, triggers and indexes are as they were at the backup",
  cost: "catalogue",
  worse: ["changedObjects", "addedObjects"],
  async run({ db }) {
    const found = await findProven(db, "manifest");
    if (isFinding(found)) return found;
    const { version, objects } = found.moment.definitions;
    const now = (await v6Definitions(db, version)).objects;
    const was = Object.entries(objects).filter(([object]) => !passing.test(object));
    const missing = was.filter(([object]) => now[object] === undefined);
    const changed = was.filter(([object, hash]) => now[object] !== undefined && now[object] !== hash);
    const added = Object.keys(now).filter((object) => objects[object] === undefined);
    const figures = {
      objects: was.length,
      changedObjects: missing.length + changed.length,
      addedObjects: added.length,
    };
    const gap = found.gap === undefined ? [] : [found.gap];
    const lines = [
      ...missing.map(([object]) => `${shown(object)} is gone`),
      ...changed.map(([object]) => `${shown(object)} is not as it was`),
      ...added.map((object) => `${shown(object)} was added`),
      ...(was.length === 0 ? ["the backup knows no table of v6"] : []),
    ];
    if (lines.length === 0)
      return {
        verdict: soundBut(found.gap),
        evidence: [`${was.length} objects of v6, each as it was`, ...gap],
        figures,
      };
    const how = (object: string): string => now[object]?.slice(0, 12) ?? "gone";
    const others = [...missing, ...changed].map(([object]) => object).concat(added);
    return {
      // Of none that was, none can have stayed as it was.
      verdict: figures.changedObjects > 0 || was.length === 0 ? "failed" : "warned",
      evidence: [...some(lines), ...gap],
      figures,
      // What an object is like now is a part of it: changed once more, it is another change.
      ...faultsNamed("objects", others.map((one) => `${shown(one)} (${how(one)})`).sort()),
      mend: [
        "npm run backups -- restore latest --to CONNECTION has them as they were, to compare with (pg_dump --schema-only)",
        "if the application's own release changed them, accept it by name: guardian:accept",
      ],
    };
  },
};
