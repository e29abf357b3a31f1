"use strict";
// The spec reporter, and after it what was skipped and why, and the one plain line that CI reads. A test that skips
// itself says why by `skip(this, reason)` (tests/support/skip.ts); a skip without a reason is a failure.
const { reporters, Runner } = require("mocha");

module.exports = class Plain extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const skipped = [];
    runner.on(Runner.constants.EVENT_TEST_PENDING, (test) => skipped.push(test));
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes } = this.stats;
      let { failures } = this.stats;
      for (const test of skipped) {
        const reason = reasonOf(test);
        if (!reason) failures += 1;
        console.log(`skipped: ${test.fullTitle()}: ${reason ?? "NO REASON GIVEN, counted as failed"}`);
      }
      const unexplained = failures - this.stats.failures;
      if (failures > 0 || passes === 0) process.exitCode = 1;
      console.log(`${passes} passed, ${failures} failed, ${skipped.length - unexplained} skipped`);
    });
  }
};

/** The reason given for the test itself, or for the suite or hook that skipped it. */
function reasonOf(test) {
  for (let at = test; at; at = at.parent) {
    if (at.skipReason) return at.skipReason;
  }
  return undefined;
}
