/** A lock on a relation that is there already; modes are PostgreSQL's (manual, 13.3.1). */
export interface PlannedLock {
  relation: string;
  mode: "SHARE ROW EXCLUSIVE" | "ACCESS EXCLUSIVE";
  /** For how long at most, in milliseconds. */
  holdMs: number;
}

/** Rows that would be touched, as many as there are now. */
export interface PlannedRows {
  /** `restore`: back from the archive. Pulumi asks nobody what a delete would do. */
  action: "insert" | "update" | "restore";
  relation: string;
  rows: number;
  /** Of so many that the source offers. */
  of?: number;
  /** Rows that are left out on purpose, by reason: no loss, and not among `of`. */
  leftOut?: Record<string, number>;
}

/** What there is to know besides. */
export interface Note {
  severity: "info" | "warning";
  text: string;
}

/**
 * What a change would do to this database, found out without writing. Objects are named as in module.yaml (`table
 * public.x`). All of it may differ from one preview to the next: none of it is an input or an output.
 */
export interface Plan {
  made?: readonly string[];
  replaced?: readonly string[];
  dropped?: readonly string[];
  /** Absent: locks are no matter here. Empty: it takes none. */
  locks?: readonly PlannedLock[];
  rows?: readonly PlannedRows[];
  notes?: readonly Note[];
}
