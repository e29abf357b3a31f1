import { Hook, Test } from "mocha";

/** What a test that was skipped says; the reporter reads it. */
type Skipped = Mocha.Test & { skipReason?: string };

/**
 * Skips the running test, or in a before hook the whole suite, and says why; the run's summary repeats it.
 * @param reason what is missing on this machine, and what it would take
 */
export function skip(context: Mocha.Context, reason: string): never {
  // Mocha says of a runnable whether it is a hook; its types do not.
  const running: (Mocha.Runnable & { type?: string }) | undefined = context.test ?? context.currentTest;
  const explain = (test: Skipped): string => (test.skipReason = reason);
  if (running?.type === "hook") running.parent?.eachTest(explain);
  else if (running) explain(running as Skipped);
  context.skip();
}

/** What a worker of a parallel run hands over of a test or hook: the reason and the time limit too, which Mocha leaves out. */
for (const { prototype } of [Test, Hook] as unknown as { prototype: { serialize: (this: Skipped) => object } }[]) {
  const usual = prototype.serialize;
  prototype.serialize = function () {
    const { skipReason } = this;
    return { ...usual.call(this), _timeout: this.timeout(), ...(skipReason === undefined ? {} : { skipReason }) };
  };
}
