"use strict";
// The spec reporter, and after it what was skipped and why, and the one plain line that CI reads; a part of a larger run
// (tests/run.ts) hands its figures over instead, with the milliseconds that each file took. A test that skips itself says
// why by `skip(this, reason)` (tests/support/skip.ts); a skip without a reason is a failure.
const { writeFileSync } = require("node:fs");
const { reporters, Runner } = require("mocha");

module.exports = class Plain extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const pending = [];
    const took = {};
    const { EVENT_TEST_END, EVENT_HOOK_END } = Runner.constants;
    for (const event of [EVENT_TEST_END, EVENT_HOOK_END]) {
      runner.on(event, ({ file, duration }) => (took[file] = (took[file] ?? 0) + (duration ?? 0)));
    }
    runner.on(Runner.constants.EVENT_TEST_PENDING, (test) => pending.push(test));
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const unexplained = pending.filter((test) => !test.skipReason).length;
      const failed = this.stats.failures + unexplained;
      const skipped = pending.length - unexplained;
      const passed = this.stats.passes;
      for (const test of pending) {
        console.log(`skipped: ${test.fullTitle()}: ${test.skipReason ?? "NO REASON GIVEN, counted as failed"}`);
      }
      if (failed > 0 || passed === 0) process.exitCode = 1;
      const file = process.env.GUARDIAN_TEST_SUMMARY;
      if (file) writeFileSync(file, JSON.stringify({ passed, failed, skipped, took }));
      else console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    });
  }
};
