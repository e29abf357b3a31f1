import type * as pulumi from "@pulumi/pulumi";
import type { FlagName, StackConfig } from "../config";
import { FeatureFlag } from "../resources/feature-flag/declare";
import { SessionCompletion } from "../resources/session-completion/declare";
import type { Plan } from "./plan";
import { Stage, type StageArgs } from "./stage";

/** Whether a flag is to be on for anybody. */
export const isOn = ({ rollout, allowList }: StackConfig, flag: FlagName): boolean =>
  (rollout[flag] ?? 0) > 0 || flag in allowList;

/** Phase 4 of the guide: who gets which feature, and the end of the session. */
export class Deployment extends Stage {
  constructor(args: StageArgs & { config: StackConfig; plan: Plan; sessionId: pulumi.Input<string> }) {
    super("deployment", args);
    const { ledgerId, plan, config, sessionId } = args;
    const options = this.next();
    const flags = plan.flags.map((flag) => {
      const rolloutPercentage = config.rollout[flag] ?? 0;
      const enabledForUsers = config.allowList[flag] ?? [];
      const enabled = isOn(config, flag);
      const acknowledge = config.acknowledge ? { acknowledge: config.acknowledge } : {};
      return new FeatureFlag(
        flag,
        { flag, enabled, rolloutPercentage, enabledForUsers, ...acknowledge, ledgerId },
        options,
      );
    });
    this.chain(new SessionCompletion("completion", { sessionId, ledgerId }, { ...options, dependsOn: flags }));
    this.registerOutputs({});
  }
}
