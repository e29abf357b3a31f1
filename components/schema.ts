import type { StackConfig } from "../config";
import { SqlModule } from "../resources/sql-module/declare";
import { gateAt, type Judged } from "./gate";
import type { Plan } from "./plan";
import { Stage, type StageArgs } from "./stage";

interface SchemaArgs extends StageArgs {
  config: StackConfig;
  plan: Plan;
  /** What is there before. */
  judged: Judged;
}

/** Phase 2 of the guide: the tables and functions of v7, one module after the other, and the gate after them. */
export class Schema extends Stage {
  /** What the gates after it stand for besides their own. */
  readonly judged: Judged;

  constructor(args: SchemaArgs) {
    super("schema", args);
    const { ledgerId, config, plan } = args;
    const judges: Judged = { ...args.judged };
    for (const module of plan.schemaModules) {
      const made = this.chain(
        new SqlModule(module, { module, through: plan.through, behind: ["before"], ledgerId }, this.next()),
      );
      judges[module] = made.meaning;
    }
    this.judged = judges;
    this.chain(gateAt("schema", { config, plan, ledgerId, judges }, this.next()));
    this.registerOutputs({});
  }
}
