/** Kinds of steps that are a resource of the stack: what its URN calls it. */
export const resourceKinds = [
  "Ledger",
  "Backup",
  "Gate",
  "SqlModule",
  "MigrationSession",
  "DataMigration",
  "FeatureFlag",
  "SessionCompletion",
] as const;

/**
 * A resource's step, or one of a part of it: of a module an index that is built on its own, or rows that come back; of a
 * backup its proof, and that it is stored off the machine.
 */
export type StepKind = (typeof resourceKinds)[number] | "index" | "rows" | "proof" | "upload";

/** Kinds that leave nothing in the database outside the ledger. */
export const harmless: readonly StepKind[] = ["Ledger", "Backup", "Gate", "proof", "upload"];
