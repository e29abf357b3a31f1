import { DataMigration } from "../resources/data-migration/declare";
import { gateAt } from "./gate";
import { Stage, type StageArgs } from "./stage";

/** Phase 3 of the guide: rows of v6 that v7 needs in its own tables, and the gate after them. */
export class Data extends Stage {
  constructor(args: StageArgs) {
    super("data", args);
    const { ledgerId, plan, config } = args;
    const { maxDataLoss } = config.gates;
    for (const migration of plan.dataMigrations) {
      // What the operator chose for users who never were asked is the consents' business only.
      const parameters: Record<string, string> = migration === "consents" ? { ...config.legacyConsent } : {};
      const inputs = { migration, parameters, maxDataLoss, ledgerId };
      const made = this.chain(new DataMigration(migration, { ...inputs, behind: ["before", "schema"] }, this.next()));
      this.judged[migration] = made.meaning;
    }
    this.chain(gateAt("data", { ...args, judges: this.judged }, this.next()));
    this.registerOutputs({});
  }
}
