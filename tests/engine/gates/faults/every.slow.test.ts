import { useDumps } from "../../dumps";
import { eachIsFound } from "./planted";
import { settings } from "./settings";

describe("gates: every fault that is planted", function () {
  this.timeout(300_000);
  const dumps = useDumps();

  // faults.test.ts plants the first of each, and all of the other settings.
  for (const [name, setting] of Object.entries(settings))
    if ("slow" in setting)
      it(`19-4, 19-7 each is found, and not before: ${name}`, () =>
        setting.within(dumps, (place) => eachIsFound(place, setting.faults)));
});
