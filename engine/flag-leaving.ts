import { exists, type Queryable } from "./base/sql";
import { isMade, readFlags, readSeed, sameFlag, seedFunction, type FlagValues } from "./flags";
import { detailOf, type Step } from "./ledger/steps";

/** A flag that this database's stack wrote and no longer declares. */
export interface LeavingFlag {
  flag: string;
  now: FlagValues;
  /** What its delete makes of it: what module 001 delivers; undefined: its row goes. */
  then: FlagValues | undefined;
}

/**
 * Finds the flags that a delete would change: Pulumi asks nobody about it before it does it.
 * @param steps the ledger's newest
 * @param declared flags that the program declares
 * @returns by name; none where module 001, which would say what they go back to, is not there as it was made
 */
export async function leavingFlags(
  db: Queryable,
  steps: readonly Step[],
  declared: readonly string[],
): Promise<LeavingFlag[]> {
  const own = steps.filter(({ kind, part, state }) => kind === "FeatureFlag" && part === "" && state !== "undone");
  const leaving = own.flatMap((step) => {
    const flag = step.urn.slice(step.urn.lastIndexOf(":") + 1);
    return declared.includes(flag) || detailOf(step, "FeatureFlag").values === undefined ? [] : [{ flag, step }];
  });
  if (leaving.length === 0 || !(await exists(db, seedFunction))) return [];
  const [live, seed] = [await readFlags(db), await readSeed(db)];
  const found = leaving.flatMap(({ flag, step }): LeavingFlag[] => {
    const now = live.get(flag);
    const then = isMade(step) ? undefined : seed.get(flag);
    if (!now || (then && sameFlag(now, then)) || (!then && !isMade(step))) return [];
    return [{ flag, now, then }];
  });
  return found.sort((a, b) => (a.flag < b.flag ? -1 : 1));
}
