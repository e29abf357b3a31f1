import type * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config";
import { FeatureFlag } from "../resources/feature-flag/declare";
import { SessionCompletion } from "../resources/session-completion/declare";
import { gateAt } from "./gate";
import { Stage, type StageArgs } from "./stage";

/** A flag may be called constructor, which every object has by nature. */
const own = <T>(values: Partial<Record<string, T>>, flag: string): T | undefined =>
  Object.hasOwn(values, flag) ? values[flag] : undefined;

/** Whether a flag is to be on for anybody. */
export const isOn = ({ rollout, allowList }: StackConfig, flag: string): boolean =>
  (own(rollout, flag) ?? 0) > 0 || own(allowList, flag) !== undefined;

interface DeploymentArgs extends StageArgs {
  sessionId: pulumi.Input<string>;
}

/** Phase 4 of the guide: who gets which feature, the gate at the end, and then the end of the session. */
export class Deployment extends Stage {
  constructor(args: DeploymentArgs) {
    super("deployment", args);
    const { ledgerId, plan, config, sessionId } = args;
    const options = this.next();
    const flags = plan.flags.map((flag) => {
      const rolloutPercentage = own(config.rollout, flag) ?? 0;
      const enabledForUsers = own(config.allowList, flag) ?? [];
      const enabled = isOn(config, flag);
      const acknowledge = config.acknowledge ? { acknowledge: config.acknowledge } : {};
      // Only of what the stack declares: module 001 describes its own.
      const declared = own(config.flags, flag);
      const described = declared ? { description: declared.description } : {};
      return new FeatureFlag(
        flag,
        {
          flag,
          enabled,
          rolloutPercentage,
          enabledForUsers,
          ...described,
          ...acknowledge,
          behind: ["schema", "data"],
          ledgerId,
        },
        options,
      );
    });
    // Users on an allow-list are secret; that there are some is not.
    const rollout = Object.fromEntries(
      plan.flags.filter((flag) => isOn(config, flag)).map((flag) => [flag, own(config.rollout, flag) ?? 0]),
    );
    // Before the session's end: one that does not pass leaves it open.
    this.chain(gateAt("end", { ...args, judges: this.judged, rollout }, { ...options, dependsOn: flags }));
    this.chain(new SessionCompletion("completion", { sessionId, behind: ["end"], ledgerId }, this.next()));
    this.registerOutputs({});
  }
}
