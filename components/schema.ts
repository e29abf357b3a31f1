import { SqlModule } from "../resources/sql-module/declare";
import type { Plan } from "./plan";
import { Stage, type StageArgs } from "./stage";

/** Phase 2 of the guide: the tables and functions of v7, one module after the other. */
export class Schema extends Stage {
  constructor(args: StageArgs & { plan: Plan }) {
    super("schema", args);
    const { ledgerId, plan } = args;
    for (const module of plan.schemaModules)
      this.chain(new SqlModule(module, { module, through: plan.through, ledgerId }, this.next()));
    this.registerOutputs({});
  }
}
