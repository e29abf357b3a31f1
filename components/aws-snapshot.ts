import * as pulumi from "@pulumi/pulumi";
import { ClusterSnapshot } from "@pulumi/aws/rds/clusterSnapshot";
import { Snapshot } from "@pulumi/aws/rds/snapshot";
import { snapshotIdentifier } from "./aws-policies";

/** Large databases take hours for their first snapshot; the provider alone would give up after 20 minutes. */
const longest = "6h";

interface AwsSnapshotArgs {
  /** The stack's name. */
  readonly stack: string;
  /** The database: exactly one of the two. */
  readonly target: { readonly instance?: string | undefined; readonly cluster?: string | undefined };
  /** What the backup before it covers, of the backup's outputs; a new one is a new snapshot. */
  readonly covers: pulumi.Input<string>;
}

/**
 * A snapshot in RDS of the database as it is right after the backup. Whatever is added or changed waits for it; what only
 * takes out has no new one, because the backup then covers what it covered before.
 *
 * Snapshots are never deleted by Pulumi (retainOnDelete): neither the one that a newer one replaces nor the last one at a
 * destroy. They are not protected besides: Pulumi refuses to replace what is protected, and would end a destroy with an
 * error, so that the way back had to wait for somebody who lifts it.
 * @lazily
 */
export class AwsSnapshot extends pulumi.ComponentResource {
  /** The snapshot, for what has to wait for it. */
  readonly taken: pulumi.CustomResource;
  /** What it is called in RDS. */
  readonly identifier: pulumi.Output<string>;

  /** @param after what has to be done before it is taken */
  constructor(name: string, args: AwsSnapshotArgs, options: { parent: pulumi.Resource; after: pulumi.Resource }) {
    super("guardian:aws:Snapshot", name, {}, { parent: options.parent });
    const { stack, covers } = args;
    const { instance, cluster } = args.target;
    const named = pulumi.output(covers).apply((text) => snapshotIdentifier(stack, text, cluster ?? instance ?? ""));
    const tags = { "guardian:stack": stack, "guardian:covers": covers };
    const kept = {
      parent: this,
      dependsOn: [options.after],
      protect: false,
      retainOnDelete: true,
      customTimeouts: { create: longest },
    };
    this.taken =
      cluster === undefined
        ? new Snapshot(name, { dbInstanceIdentifier: instance ?? "", dbSnapshotIdentifier: named, tags }, kept)
        : new ClusterSnapshot(name, { dbClusterIdentifier: cluster, dbClusterSnapshotIdentifier: named, tags }, kept);
    this.identifier = named;
    this.registerOutputs({ identifier: named });
  }
}
