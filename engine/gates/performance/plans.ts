import { hash } from "../../base/hash";
import { first, type Askable } from "../../base/sql";

/** A node of a plan as EXPLAIN (FORMAT JSON) has it (PostgreSQL manual, 14.1). */
interface Node {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  /** Of the node and all below it. */
  "Shared Hit Blocks"?: number;
  "Shared Read Blocks"?: number;
  Plans?: Node[];
}

/** One run of a query, told by the server and not by a clock. */
export interface Explained {
  /** Pages of the shared buffers that it took, whether they were there or had to be read. */
  readonly pages: number;
  /** Types of nodes, and the names of indexes and tables: no condition, no value. */
  readonly shape: string;
}

/** Runs a query once, and has the server tell how. @throws DatabaseError */
export async function explain(db: Askable, text: string, values: unknown[]): Promise<Explained> {
  const row = await first<{ "QUERY PLAN": [{ Plan: Node }] }>(
    db,
    `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) ${text}`,
    values,
  );
  const plan = row?.["QUERY PLAN"][0].Plan;
  if (!plan) throw new Error("EXPLAIN gave no plan");
  return { pages: (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0), shape: shapeOf(plan) };
}

function shapeOf(node: Node): string {
  const name = node["Index Name"] ?? node["Relation Name"];
  const below = (node.Plans ?? []).map(shapeOf).join(", ");
  return `${node["Node Type"]}${name === undefined ? "" : ` ${name}`}${below === "" ? "" : ` (${below})`}`;
}

/** @returns a hash of plans that a figure can hold: 48 bits, which a number of JavaScript holds exactly */
export const hashOf = (shapes: readonly string[]): number =>
  Number.parseInt(hash([...new Set(shapes)].sort()).slice(0, 12), 16);
