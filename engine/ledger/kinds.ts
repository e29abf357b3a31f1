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

/** Kinds of steps that are a part of a module: an index that is built on its own, rows that come back. */
export const partKinds = ["index", "rows"] as const;

export type StepKind = (typeof resourceKinds)[number] | (typeof partKinds)[number];

/** Kinds that leave nothing in the database outside the ledger. */
export const harmless: readonly StepKind[] = ["Ledger", "Backup"];
