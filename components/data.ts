import type { StackConfig } from "../config";
import { DataMigration } from "../resources/data-migration/declare";
import type { Plan } from "./plan";
import { Stage, type StageArgs } from "./stage";

/** Phase 3 of the guide: rows of v6 that v7 needs in its own tables. */
export class Data extends Stage {
  readonly migrations: DataMigration[];

  constructor(args: StageArgs & { config: StackConfig; plan: Plan }) {
    super("data", args);
    const { ledgerId, plan, config } = args;
    const { maxDataLoss } = config.gates;
    this.migrations = plan.dataMigrations.map((migration) => {
      // What the operator chose for users who never were asked is the consents' business only.
      const parameters: Record<string, string> = migration === "consents" ? { ...config.legacyConsent } : {};
      return this.chain(new DataMigration(migration, { migration, parameters, maxDataLoss, ledgerId }, this.next()));
    });
    this.registerOutputs({});
  }
}
