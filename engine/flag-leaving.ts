import { exists, type Queryable } from "./base/sql";
import { isMade, readFlags, readGrantedSeed, sameFlag, seedFunction, type FlagValues } from "./flags";
import { detailOf, type Step } from "./ledger/steps";

/** A flag that this database's stack wrote and no longer declares. */
export interface LeavingFlag {
  flag: string;
  now: FlagValues;
  /** The stack made its row, which goes with it. */
  made: boolean;
  /** What its delete makes of it: what module 001 delivers; undefined where it is made, and where the caller may not ask. */
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
  const [live, seed] = [await readFlags(db), await readGrantedSeed(db)];
  const found = leaving.flatMap(({ flag, step }): LeavingFlag[] => {
    const now = live.get(flag);
    const made = isMade(step);
    const then = made ? undefined : seed?.get(flag);
    if (!now || (then && sameFlag(now, then)) || (!then && !made && seed)) return [];
    return [{ flag, now, made, then }];
  });
  return found.sort((a, b) => (a.flag < b.flag ? -1 : 1));
}
