import { expect } from "chai";
import { useDumps } from "../../dumps";
import { long } from "../../../support/long";
import { all } from "../asked";
import type { Fault } from "./fault";
import { eachIsFound } from "./planted";
import { rowSecurity } from "./security";
import { settings } from "./settings";

describe("gates: each check, with its file and without", function () {
  this.timeout(300_000);
  const dumps = useDumps();
  const planted = new Set<string>();

  /** A test that plants the first faults of a setting. @param some so many; absent: all */
  function each(name: keyof typeof settings, some?: number): () => Promise<void> {
    if (some === undefined || "slow" in settings[name]) planted.add(name);
    const { faults, within } = settings[name];
    return () => within(dumps, (place) => eachIsFound(place, faults.slice(0, some)));
  }

  it("19-1 has a fault for every check, and a gate that goes through without its file", () => {
    expect([...planted], "each is planted below").to.deep.equal(Object.keys(settings));
    const faults = Object.values(settings).flatMap((setting): readonly Fault[] => setting.faults);
    const tried = new Set(faults.filter(({ at }) => at !== undefined).map(({ check }) => check));
    expect([...tried].sort()).to.deep.equal(all.map(({ name }) => name).sort());
    expect(rowSecurity, "defects of row security").to.have.length(12);
  });

  // What each check looks at has its own tests in the folder above.
  it("19-3 finds the first fault that is planted in a v6, and not before", each("v6", 1));
  long("19-3 finds each fault that was planted in a v6, and not before", each("v6"));
  long("19-3 finds damaged pages and used-up transaction ids, on a server of its own", each("server"));
  long("19-3 finds a backup that may not be relied on", each("backup"));
  long("19-5 finds that nothing was measured before v7 touched v6", each("baseline"));
  long("19-5 finds what became slower", each("slowdown"));
  long("19-6 finds the first planted defect of row security, and none before", each("rowSecurity", 1));
  long("19-6 twelve planted defects of row security, twelve caught, and none before", each("rowSecurity"));
  long("19-6 finds each fault that was planted in a v7, and not before: what somebody did by hand", each("byHand"));
  long(
    "19-6 finds what rights, row security and functions are, and not what they are called, and a policy's function that was replaced",
    each("rights"),
  );
  long("19-7 finds the first function that was replaced by a broken one", each("functions", 1));
  long("19-4 finds the first fault that was planted in v6 after the backup, and not before", each("validation", 1));
  long("19-4 finds rows that could not be moved", each("moved"));
  long("19-8 finds an endpoint that does not answer, and what nobody has signed off", each("criteria"));
});
