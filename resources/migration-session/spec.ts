import { throughInput } from "../../config/stages";
import { integer, list, resource, text } from "../../spec";

export const migrationSessionSpec = resource(
  "MigrationSession",
  "The row of migration_sessions that every other resource keeps current.",
  {
    inputs: {
      migrationType: text("The guide's name of this migration, v6_to_v7."),
      sourceVersion: text("Where it comes from."),
      targetVersion: text("Where it goes."),
      environment: text("Where it runs: the stack's name."),
      totalSteps: integer("How many resources the stack has."),
      migrations: list(
        text("A folder's name in sql/data/."),
        "The data migrations that the program has. One that was cut off and is not among them any more is taken back.",
      ),
      ...throughInput,
      ledgerId: text("The ledger that records it."),
    },
    computed: {},
    outputs: {
      sessionId: text("The row's id."),
      initiatedBy: text("The database role that opened it."),
    },
  },
);
