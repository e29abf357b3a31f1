/** What is being done, or waited for. */
export type Phase =
  | "connection" // waits for a lock of somebody, by one statement
  | "operator" // waits for another operator of this database
  | "new session" // the server ended the one before
  | "ledger format" // is raised
  | "v6 locks" // were not to be had, or held for too long; tries again
  | "rows locked" // by others; tries again
  | "writers" // waits for transactions that have written to a table
  | "dropped by hand"
  | "index"
  | "restore" // archived rows come back
  | "begin"
  | "follow"
  | "plan"
  | "move"
  | "look again"
  | "catch up"
  | "prove"
  | "compare"
  | "once more"
  | "take back"
  | "unthrottled";

/** How far a piece of work is, as data; resources/sentences.ts makes the line beside the resource from it. */
export interface Progress {
  phase: Phase;
  /** A data migration by name, a relation, an index. */
  subject?: string;
  /** Rows, or keys of the plan, that are through; of `total` where that is known. */
  done?: number;
  total?: number;
  /** Rows a second, since this run began with them. */
  rate?: number;
  /** Seconds until all are through, at this rate. */
  etaSeconds?: number;
  /** Rows of the newest transaction. */
  batch?: number;
  /** Why it waits or goes slower: who is in the way, what is too slow. */
  reason?: string;
  /** What can be set about it, with what is set. */
  settings?: string;
  /** How often it was tried. */
  tries?: number;
  /** So long until it is tried again, in seconds. */
  againSeconds?: number;
  /** So long it has waited, in seconds. */
  waitedSeconds?: number;
}
