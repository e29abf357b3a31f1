import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config";
import { Gate } from "../resources/gate/declare";
import { gateChecks, type Gate as GateName } from "../spec/gates";
import type { Plan } from "./plan";

/** What is accepted of the stack's configuration, as far as it concerns somebody. */
export const acceptedOf = ({ accept }: Pick<StackConfig, "accept">, mine: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(accept).filter(([name]) => mine(name)));

/** Meanings of modules and data migrations, by name. */
export type Judged = Record<string, pulumi.Input<string>>;

interface GateArgs {
  readonly config: StackConfig;
  readonly plan: Pick<Plan, "through">;
  readonly ledgerId: pulumi.Input<string>;
  /** What it stands for. */
  readonly judges: Judged | pulumi.Output<Record<string, string>>;
  /** Flags that are on, with their percentage. */
  readonly rollout?: Record<string, number>;
}

/** What people have signed off, and what must respond, as far as a gate has checks of it. */
function saidOf({ signOff, endpoints }: StackConfig, checks: readonly string[]) {
  const items = Object.entries(signOff).filter(([item]) => checks.includes(item));
  const asks = checks.includes("api-endpoints") && endpoints.length > 0;
  return { ...(items.length > 0 ? { signOff: Object.fromEntries(items) } : {}), ...(asks ? { endpoints } : {}) };
}

/** @returns the gate of a boundary, with what the stack declares of it. What is not given is no input. */
export function gateAt(
  gate: GateName,
  { config, plan, ledgerId, judges, rollout }: GateArgs,
  options: pulumi.CustomResourceOptions,
): Gate {
  const { backup, gates: limits, strict, publications, operators, onBreach } = config;
  const checks: readonly string[] = gateChecks[gate];
  const accept = acceptedOf(config, (name) => checks.includes(name));
  const { directory, maxAge: maxAgeSeconds, verify } = backup;
  return new Gate(
    `gate-${gate}`,
    {
      gate,
      checks: [...checks],
      judges: pulumi.output(judges),
      ...(rollout ? { rollout } : {}),
      limits,
      ...(Object.keys(accept).length > 0 ? { accept } : {}),
      strict,
      through: plan.through,
      backup: { directory, maxAgeSeconds, verify },
      publications: Object.keys(publications).sort(),
      ...(Object.keys(operators).length > 0 ? { operators: Object.keys(operators).sort() } : {}),
      ...saidOf(config, checks),
      // Before the migration there is nothing that a flag could switch off.
      ...(onBreach === "rollback" && gate !== "before" ? { onBreach } : {}),
      ledgerId,
    },
    options,
  );
}
