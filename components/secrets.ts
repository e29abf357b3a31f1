import * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "../config";
import { packageName } from "../spec";

type Keys = readonly (keyof StackConfig)[];

/** Which keys of the configuration an input says something of. A name means the same in every resource. */
const inputs: Readonly<Record<string, Keys>> = {
  through: ["through"],
  purge: ["purge"],
  adopt: ["adopt"],
  acknowledge: ["acknowledge"],
  switchesOn: ["rollout"],
  publications: ["publications"],
  operators: ["operators"],
  // Of a backup, and of a gate as one object.
  directory: ["backup"],
  jobs: ["backup"],
  maxAgeSeconds: ["backup"],
  verify: ["backup"],
  maxRestoreSeconds: ["backup"],
  store: ["backup"],
  backup: ["backup"],
  scratch: ["scratch"],
  strict: ["strict"],
  accept: ["accept"],
  onBreach: ["onBreach"],
  signOff: ["signOff"],
  endpoints: ["endpoints"],
  limits: ["gates"],
  maxDataLoss: ["gates"],
  parameters: ["legacyConsent"],
  // That a flag has an allow-list is no secret; who is on it always is.
  enabled: ["rollout"],
  rolloutPercentage: ["rollout"],
  rollout: ["rollout"],
  description: ["flags"],
  dbInstanceIdentifier: ["aws"],
  dbClusterIdentifier: ["aws"],
  dbSnapshotIdentifier: ["aws"],
  dbClusterSnapshotIdentifier: ["aws"],
};

/** The same of outputs, by the kind of resource; Pulumi itself keeps one secret that has the name of a secret input. */
const outputs: Readonly<Record<string, Readonly<Record<string, Keys>>>> = {
  Backup: { path: ["backup"], storedIn: ["backup"] },
  Gate: {
    accepted: ["accept"],
    // The evidence quotes what is asked, and who answers for what.
    outcomes: ["accept", "backup", "database", "endpoints", "gates", "operators", "publications", "rollout", "signOff"],
  },
  MigrationSession: { initiatedBy: ["database"] },
  Snapshot: { dbSnapshotArn: ["aws"] },
  ClusterSnapshot: { dbClusterSnapshotArn: ["aws"] },
};

/** Every resource of the plugin says which database it is of. */
const ours: Readonly<Record<string, Keys>> = { database: ["database"] };

/** Whether one of these keys is a secret of the stack's file. */
const isSecret = ({ secrets }: Pick<StackConfig, "secrets">, keys: Keys): boolean =>
  keys.some((key) => secrets.has(key));

/** @returns the value, as a secret where one of these keys is a secret of the stack's file */
export const kept = <T>(config: Pick<StackConfig, "secrets">, keys: Keys, value: pulumi.Input<T>): pulumi.Input<T> =>
  isSecret(config, keys) ? (pulumi.secret(value) as pulumi.Output<T>) : value;

/** What is a secret in the stack's file is one in the state of what stands below. An id is never one: Pulumi has none such. */
export function keepingSecrets(config: Pick<StackConfig, "secrets">): pulumi.ResourceTransformation {
  return ({ type, props, opts }) => {
    if (config.secrets.size === 0) return undefined;
    const given = Object.entries(props as Record<string, unknown>).map(([name, value]) => {
      const keys = (value !== undefined && Object.hasOwn(inputs, name) && inputs[name]) || [];
      return [name, kept(config, keys, value)] as const;
    });
    const told = { ...outputs[type.split(":").at(-1) ?? ""], ...(type.startsWith(`${packageName}:`) ? ours : {}) };
    const secret = Object.keys(told).filter((name) => isSecret(config, told[name] ?? []));
    // Beside those that a provider's own SDK names.
    return { props: Object.fromEntries(given), opts: pulumi.mergeOptions(opts, { additionalSecretOutputs: secret }) };
  };
}
