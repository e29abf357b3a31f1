import type { StackConfig } from "../config";
import { DataMigration } from "../resources/data-migration/declare";
import { gateAt, type Judged } from "./gate";
import type { Plan } from "./plan";
import { Stage, type StageArgs } from "./stage";

interface DataArgs extends StageArgs {
  config: StackConfig;
  plan: Plan;
  /** What is there before. */
  judged: Judged;
}

/** Phase 3 of the guide: rows of v6 that v7 needs in its own tables, and the gate after them. */
export class Data extends Stage {
  readonly migrations: DataMigration[];
  /** What the gates after it stand for besides their own. */
  readonly judged: Judged;

  constructor(args: DataArgs) {
    super("data", args);
    const { ledgerId, plan, config } = args;
    const { maxDataLoss } = config.gates;
    const judges: Judged = { ...args.judged };
    this.migrations = plan.dataMigrations.map((migration) => {
      // What the operator chose for users who never were asked is the consents' business only.
      const parameters: Record<string, string> = migration === "consents" ? { ...config.legacyConsent } : {};
      const made = new DataMigration(
        migration,
        { migration, parameters, maxDataLoss, behind: ["before", "schema"], ledgerId },
        this.next(),
      );
      judges[migration] = made.meaning;
      return this.chain(made);
    });
    this.judged = judges;
    this.chain(gateAt("data", { config, plan, ledgerId, judges }, this.next()));
    this.registerOutputs({});
  }
}
