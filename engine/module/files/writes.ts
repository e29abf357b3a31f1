import type { Node, Statement } from "./statements";
import { nameOf } from "./touching";

/** Statements that write rows, or change what holds them, and the fields that name the relations. */
const writing: Readonly<Record<string, string>> = {
  InsertStmt: "relation",
  UpdateStmt: "relation",
  DeleteStmt: "relation",
  MergeStmt: "relation",
  TruncateStmt: "relations",
  AlterTableStmt: "relation",
  RenameStmt: "relation",
  CopyStmt: "relation",
};

/** Within these a statement may have others (WITH … AS (DELETE …)); a function's body is not run where it stands. */
const running = new Set([...Object.keys(writing), "SelectStmt"]);

/** @returns the relations whose rows or definition a statement writes, as `schema.name` */
export function written({ tree }: Statement): string[] {
  const kind = Object.keys(tree)[0] ?? "";
  return running.has(kind) ? [...new Set(within(tree))] : [];
}

function within(node: Node): string[] {
  if (Array.isArray(node)) return node.flatMap(within);
  if (node === null || typeof node !== "object") return [];
  return Object.entries(node).flatMap(([key, value]) => {
    const field = writing[key];
    const named = field === undefined || value === null ? [] : [(value as { [key: string]: Node })[field] ?? []].flat();
    return [...named.flatMap((one) => relation(one) ?? []), ...within(value)];
  });
}

/** A RangeVar stands as it is, or in a list under its name. */
function relation(node: Node): string | undefined {
  const listed = (node as { RangeVar?: Node } | null)?.RangeVar;
  return nameOf(listed ?? node);
}
