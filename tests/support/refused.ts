import { GuardianError } from "../../engine/base/errors";

/** The error by which some work that does not wait refuses what it is given; fails where it takes it. */
export function refusedBy(work: () => unknown): GuardianError {
  try {
    work();
  } catch (err) {
    if (err instanceof GuardianError) return err;
    throw err;
  }
  throw new Error("expected a refusal, but it worked");
}
