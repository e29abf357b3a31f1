/** Kinds of steps that are a resource of the stack: what its URN calls it. */
export const resourceKinds = [
  "Ledger",
  "Backup",
  "SqlModule",
  "MigrationSession",
  "DataMigration",
  "FeatureFlag",
  "SessionCompletion",
] as const;

/** A resource's step, or one of a part of a module: an index that is built on its own, rows that come back. */
export type StepKind = (typeof resourceKinds)[number] | "index" | "rows";

/** Kinds that leave nothing in the database outside the ledger. */
export const harmless: readonly StepKind[] = ["Ledger", "Backup"];
