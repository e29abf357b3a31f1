import { integer, resource, text } from "../spec";

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
      ledgerId: text("The ledger that records it."),
    },
    computed: {},
    outputs: {
      sessionId: text("The row's id."),
      initiatedBy: text("The database role that opened it."),
    },
  },
);
