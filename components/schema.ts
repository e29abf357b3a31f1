import { gateAt } from "./gate";
import { Stage, type StageArgs } from "./stage";

/** Phase 2 of the guide: the tables and functions of v7, one module after the other, and the gate after them. */
export class Schema extends Stage {
  constructor(args: StageArgs) {
    super("schema", args);
    this.makeModules(args.plan.schemaModules, args.ledgerId);
    this.chain(gateAt("schema", { ...args, judges: this.judged }, this.next()));
    this.registerOutputs({});
  }
}
