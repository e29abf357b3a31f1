import { useDumps } from "../../dumps";
import { eachGoesUnseen } from "./planted";
import { settings } from "./settings";

describe("gates: without the file of a check", function () {
  const dumps = useDumps();

  // Of each gate the first fault is tried so by faults.test.ts, and all checks are asked with it.
  for (const [name, { faults, within }] of Object.entries(settings)) {
    it(`19-1 each gate goes through, all its other checks asked anew: ${name}`, () =>
      within(dumps, (place) => eachGoesUnseen(place, faults))).timeout(1_200_000);
  }
});
