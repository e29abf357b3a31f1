"use strict";
// The spec reporter, and after it what was skipped and why, and the one plain line that CI reads; a part of a larger run
// (tests/run.ts) hands its figures over instead, file by file, with what failed and the milliseconds it took. A test that skips
// itself says why by `skip(this, reason)` (tests/support/skip.ts); a skip without a reason is a failure.
const { writeFileSync } = require("node:fs");
const { reporters, Runner } = require("mocha");

/** What a failed test is told by at the end of a long run: its title, and what the error says first. */
const told = (test, error) => ({
  title: test.fullTitle(),
  said: String(error?.message ?? error)
    .split("\n", 3)
    .join(" ")
    .slice(0, 400),
});

module.exports = class Plain extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const pending = [];
    const files = {};
    const of = ({ file }) => (files[file ?? ""] ??= { passed: 0, failures: [], skipped: 0, ms: 0, late: [] });
    const { EVENT_TEST_END, EVENT_HOOK_END, EVENT_TEST_PASS, EVENT_TEST_FAIL } = Runner.constants;
    for (const event of [EVENT_TEST_END, EVENT_HOOK_END]) {
      runner.on(event, (test) => {
        const { duration = 0, _timeout: limit } = test;
        of(test).ms += duration;
        if (limit > 0 && duration > limit / 3) of(test).late.push({ title: test.fullTitle(), ms: duration, limit });
      });
    }
    runner.on(EVENT_TEST_PASS, (test) => of(test).passed++);
    runner.on(EVENT_TEST_FAIL, (test, error) => of(test).failures.push(told(test, error)));
    runner.on(Runner.constants.EVENT_TEST_PENDING, (test) => pending.push(test));
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      for (const test of pending) {
        const reason = test.skipReason ?? "NO REASON GIVEN, counted as failed";
        console.log(`skipped: ${test.fullTitle()}: ${reason}`);
        if (test.skipReason) of(test).skipped++;
        else of(test).failures.push(told(test, reason));
      }
      const all = Object.values(files);
      const sum = (count) => all.reduce((total, one) => total + count(one), 0);
      const [passed, failed, skipped] = [sum((f) => f.passed), sum((f) => f.failures.length), sum((f) => f.skipped)];
      if (failed > 0 || passed === 0) process.exitCode = 1;
      const summary = process.env.GUARDIAN_TEST_SUMMARY;
      if (summary) writeFileSync(summary, JSON.stringify(files));
      else console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    });
  }
};
