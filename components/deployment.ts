import type * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config";
import { FeatureFlag } from "../resources/feature-flag/declare";
import { SessionCompletion } from "../resources/session-completion/declare";
import type { Plan } from "./plan";
import { Stage, type StageArgs } from "./stage";

/** A flag may be called constructor, which every object has by nature. */
const own = <T>(values: Partial<Record<string, T>>, flag: string): T | undefined =>
  Object.hasOwn(values, flag) ? values[flag] : undefined;

/** Whether a flag is to be on for anybody. */
export const isOn = ({ rollout, allowList }: StackConfig, flag: string): boolean =>
  (own(rollout, flag) ?? 0) > 0 || own(allowList, flag) !== undefined;

/** Phase 4 of the guide: who gets which feature, and the end of the session. */
export class Deployment extends Stage {
  constructor(args: StageArgs & { config: StackConfig; plan: Plan; sessionId: pulumi.Input<string> }) {
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
        { flag, enabled, rolloutPercentage, enabledForUsers, ...described, ...acknowledge, ledgerId },
        options,
      );
    });
    this.chain(new SessionCompletion("completion", { sessionId, ledgerId }, { ...options, dependsOn: flags }));
    this.registerOutputs({});
  }
}
