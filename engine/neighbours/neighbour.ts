/** What the stack says is meant. */
export interface Meant {
  /** Publications that new tables may join. */
  readonly publications: readonly string[];
  /** Members of guardian_operator. */
  readonly operators: readonly string[];
}

/** Of a stack that says nothing. */
export const nothingMeant: Meant = { publications: [], operators: [] };

/** What the migration meets in this database that is neither v6 nor its own. */
export interface Neighbour {
  item: string;
  status: string;
  readiness: "Not ready" | "Note" | "Warning";
  action: string;
}
