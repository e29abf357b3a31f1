/**
 * Skips the running test, or in a before hook the whole suite, and says why; the run's summary repeats it.
 * @param reason what is missing on this machine, and what it would take
 */
export function skip(context: Mocha.Context, reason: string): never {
  // Mocha says of a runnable whether it is a hook; its types do not.
  const running = (context.test ?? context.currentTest) as (Mocha.Runnable & { type?: string }) | undefined;
  const target = running?.type === "hook" ? running.parent : running;
  if (target) Object.assign(target, { skipReason: reason });
  context.skip();
}
