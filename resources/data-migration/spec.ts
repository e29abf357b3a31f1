import { integer, map, resource, text } from "../spec";

export const dataMigrationSpec = resource(
  "DataMigration",
  "Rows of v6 brought into a table of v7. Deleting it takes back the rows that it wrote and nobody changed since.",
  {
    inputs: {
      migration: text("The folder's name in sql/data/."),
      parameters: map(text("A value."), "What the operator chose; the migration's SQL reads it."),
      ledgerId: text("The ledger that records it."),
    },
    computed: {
      title: text("What the migration is."),
      meaning: text("Hash of what its SQL means."),
      target: text("The table that it fills."),
    },
    outputs: {
      sourceRows: integer("Rows that v6 offered."),
      writtenRows: integer("Rows that it wrote."),
    },
  },
);
