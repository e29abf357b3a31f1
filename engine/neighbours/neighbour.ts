/** What the migration meets in this database that is neither v6 nor its own. */
export interface Neighbour {
  item: string;
  status: string;
  readiness: "Not ready" | "Note" | "Warning";
  action: string;
}
