import { integer, list, map, number, resource, text } from "../../spec";
import { behindInput } from "../../spec/gates";

export const dataMigrationSpec = resource(
  "DataMigration",
  "Rows of v6 brought into a table of v7, online. Deleting it takes back the rows that it wrote and nobody changed since.",
  {
    inputs: {
      migration: text("The folder's name in sql/data/."),
      parameters: map(text("A value."), "What the operator chose; the migration's SQL reads it."),
      maxDataLoss: number("The share of rows that may be left out because they cannot be moved; above it `up` stops."),
      ...behindInput,
      ledgerId: text("The ledger that records it."),
    },
    computed: {
      title: text("What the migration is."),
      meaning: text("Hash of what its SQL means."),
      target: text("The table that it fills."),
      locks: list(
        text("A table."),
        "v6 tables that are locked for a moment when it begins and when it ends: a trigger notes what changes.",
      ),
    },
    outputs: {
      sourceRows: integer("Rows that v6 offered."),
      writtenRows: integer("Rows of the migration in the target."),
      rejectedRows: integer("Rows that could not be moved; the ledger says which and why."),
      checksum: text("Sum of the hashes of all rows that were compared with v6 and found equal."),
    },
  },
);
