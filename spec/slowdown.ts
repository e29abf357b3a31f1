/**
 * By how much the application may become slower, as shares: guide 8 has "within 10 % of v6 baseline" for success and
 * "> 25 %" for a rollback. The one place that says it: guardian:gates, the throttle of data migrations, the gates and the
 * benchmarks take it from here, and sql/009_operations, which cannot, is held to it by tests/engine/gates/performance.test.ts.
 */
export const slowdownBudget = { warn: 0.1, max: 0.25 } as const;

/**
 * Milliseconds by which two measurements of the same differ whatever is measured: clock and scheduler decide there. What
 * fails is more than twice of it above.
 */
export const clockNoiseMs = 0.05;
