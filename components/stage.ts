import * as pulumi from "@pulumi/pulumi";
import { stageType, type StackConfig, type Stage as StageName } from "../config";
import { SqlModule } from "../resources/sql-module/declare";
import type { Judged } from "./gate";
import type { Plan } from "./plan";
import { keepingSecrets } from "./secrets";

/** What every stage gets. */
export interface StageArgs {
  provider: pulumi.ProviderResource;
  /** The resource after which the stage begins; undefined for the first stage. */
  after: pulumi.Resource | undefined;
  ledgerId: pulumi.Input<string>;
  config: StackConfig;
  plan: Plan;
  /** What is there before. */
  judged: Judged;
}

/**
 * A stage of the migration. Its resources form a chain: each depends on the one before it, so that they are made in
 * order and taken back in reverse.
 */
export abstract class Stage extends pulumi.ComponentResource {
  /** The last resource of the chain so far. */
  last: pulumi.Resource | undefined;
  /** What the gates after it stand for besides their own. */
  readonly judged: Judged;

  constructor(
    name: StageName,
    private readonly args: Omit<StageArgs, "ledgerId">,
  ) {
    super(stageType(name), name, {}, { transformations: [keepingSecrets(args.config)] });
    this.last = args.after;
    this.judged = { ...args.judged };
  }

  /** Makes modules, one after the other. */
  protected makeModules(modules: readonly string[], ledgerId: pulumi.Input<string>): void {
    const { through } = this.args.plan;
    for (const module of modules) {
      const made = this.chain(new SqlModule(module, { module, through, behind: ["before"], ledgerId }, this.next()));
      this.judged[module] = made.meaning;
    }
  }

  /** Options of a resource that comes after all that were chained before it. */
  protected next(): pulumi.CustomResourceOptions {
    return { parent: this, provider: this.args.provider, ...(this.last ? { dependsOn: [this.last] } : {}) };
  }

  /** Makes the resource the end of the chain. */
  protected chain<R extends pulumi.Resource>(resource: R): R {
    this.last = resource;
    return resource;
  }
}
