import type { GuardianError } from "../base/errors";
import type { Database } from "../database";
import { gates } from ".";
import { runCheck, type Check, type Finding, type Outcome } from "./check";
import { decide, refusalOf } from "./decide";
import type { WantedGate } from "./judge";
import { acceptedBefore, recordedBefore } from "./recorded";

const nothing: Finding = { verdict: "passed", evidence: [] };

/**
 * Asks in preview what will keep checks from passing though what they judge is not there yet, or costs more than a preview may:
 * an `up` that stops for a membership or a sign-off stops half way, and could have been told before it began. Of the gate
 * before nothing is foreseen: what it judges is there.
 * @param but checks that the preview has asked, and that stop
 * @returns what `up` will stop with, as far as it is known; undefined where nothing stops
 */
export async function ahead(
  wanted: WantedGate,
  { host, signal }: { readonly host: Database; readonly signal: AbortSignal },
  but: readonly string[],
): Promise<GuardianError | undefined> {
  if (wanted.gate === "before") return undefined;
  const all: readonly Check[] = gates[wanted.gate];
  const checks = all.filter(({ name }) => wanted.checks.includes(name) && !but.includes(name));
  const plan = { flagOn: Object.keys(wanted.rollout ?? {}).length > 0 };
  const steps = await host.steps();
  const before = recordedBefore(steps);
  const outcomes: Outcome[] = [];
  for (const check of checks) {
    signal.throwIfAborted();
    if (!check.foreseen) continue;
    const asked: Check = { ...check, run: async (site) => (await check.foreseen?.(site, plan)) ?? nothing };
    outcomes.push(await runCheck(asked, host, wanted.declared, before, { signal }));
  }
  const accepted = acceptedBefore(steps, wanted, checks);
  return refusalOf(wanted, decide(checks, outcomes, wanted, accepted, ""), wanted.checks.length);
}
