import { pulumiCommand } from "../../spec";
import { GuardianError } from "../base/errors";
import { covered, type EmergencyRollback } from "../emergency";
import type { FlagValues } from "../ledger/details";
import { stackOf } from "../ledger/identity";
import type { StepKind } from "../ledger/kinds";
import type { Step, StepOf } from "../ledger/steps";
import { gateStep } from "./passed";

/** Whom a flag is on for. */
type Reach = Pick<FlagValues, "enabled" | "rolloutPercentage" | "enabledForUsers">;

const nobody: Reach = { enabled: false, rolloutPercentage: 0, enabledForUsers: [] };

/** Whether a flag would be on for anybody for whom it is not. @param live undefined: it has no row yet */
export function raises(live: Reach | undefined, wanted: Reach): boolean {
  if (!wanted.enabled) return false;
  const { rolloutPercentage, enabledForUsers } = live?.enabled ? live : nobody;
  if (rolloutPercentage >= 100) return false;
  return (
    wanted.rolloutPercentage > rolloutPercentage ||
    // Not known in a preview, where somebody's own program has them of another resource.
    (Array.isArray(wanted.enabledForUsers) ? wanted.enabledForUsers : []).some(
      (user) => !enabledForUsers.includes(user),
    )
  );
}

/** A change of a flag that is about to be made. */
export interface FlagChange {
  /** The flag's resource. */
  readonly urn: string;
  readonly live: Reach | undefined;
  readonly wanted: Reach;
  readonly acknowledge: string | undefined;
}

/**
 * A flag is written before the gate at the end is asked: while that one stands failed, nothing is raised on top of what it
 * failed with. What lifts it is said to the gate, which is then asked again, and not to the flag; but for an emergency
 * rollback that somebody acknowledged since then, who says by it that the cause is mended.
 * @param steps the newest of the ledger
 * @returns the refusal; undefined where the flag is not raised, or nothing holds it
 */
export function heldBack(
  steps: readonly Step[],
  rollbacks: readonly EmergencyRollback[],
  { urn, live, wanted, acknowledge }: FlagChange,
): GuardianError | undefined {
  if (!raises(live, wanted)) return undefined;
  const gate = gateStep(steps, urn, "end");
  if (gate?.detail.verdict !== "not ready" || !stillStands(steps, gate)) return undefined;
  const since = rollbacks.some(({ acknowledgedBy }) => BigInt(acknowledgedBy ?? 0) > BigInt(gate.id));
  if (since || covered(rollbacks, acknowledge).length > 0) return undefined;
  const flag = urn.split("::").at(-1) ?? "";
  const { error, judgedAt = "" } = gate.detail;
  return new GuardianError("flag-held", {
    what: `gate end has not passed since it failed, and no flag is raised before it has; ${flag} stays as it is`,
    where: `flag ${flag}, on for ${reach(live)}, to be on for ${reach(wanted)}; gate end at ${judgedAt.slice(0, 16)}: ${error?.what ?? "not ready"}`,
    todo: [
      `mend what failed (npm run gates -- --stage end says whether it is), set the rollout of ${flag} back to what it is, and up, which asks gate end again; raise it once that has passed`,
      "accept what failed by its name, as the gate's error says (guardian:accept), in the same way: first up without raising anything",
      `roll back: ${pulumiCommand("config set guardian:through data")}, then up`,
    ],
  });
}

/**
 * Whether it is still of this that the gate said so. Not after a rollback: it ends the gate and takes the flags back, and a
 * destroy knows nothing of a gate that failed when it was made, but what comes after has another session. The end of the
 * gate alone (destroy --target) is no rollback.
 */
function stillStands(steps: readonly Step[], gate: StepOf<"Gate">): boolean {
  const standing = (kind: StepKind): Step[] =>
    steps.filter((one) => one.kind === kind && one.part === "" && one.state !== "undone" && isOfStack(one, gate));
  const isOlder = ({ id }: Step): boolean => BigInt(id) < BigInt(gate.id);
  return (
    (gate.state !== "undone" && standing("MigrationSession").every(isOlder)) || standing("FeatureFlag").some(isOlder)
  );
}

const isOfStack = (one: Step, other: Step): boolean => stackOf(one.urn) === stackOf(other.urn);

const reach = (of: Reach | undefined): string => {
  if (!of?.enabled) return "nobody";
  const users = of.enabledForUsers.length;
  return users === 0 ? `${of.rolloutPercentage} %` : `${of.rolloutPercentage} % and ${users} named users`;
};
