import type { Node, Statement } from "./statements";

/** Statements that lock a relation they name (views and functions only read their definition). */
const lockingKinds = new Set([
  "AlterTableStmt",
  "AlterPolicyStmt",
  "CommentStmt",
  "CreatePolicyStmt",
  "CreateStmt",
  "CreateTrigStmt",
  "DropStmt",
  "IndexStmt",
  "LockStmt",
  "RenameStmt",
  "RuleStmt",
]);

/** @returns the index of the first statement that touches one of the relations, or the number of statements */
export function firstTouching(statements: readonly Statement[], relations: readonly string[]): number {
  const index = statements.findIndex((statement) => {
    const kind = Object.keys(statement.tree)[0] ?? "";
    return lockingKinds.has(kind) && relations.some((relation) => mentions(statement.tree, relation));
  });
  return index < 0 ? statements.length : index;
}

/** True if the tree holds that relation: a RangeVar, or the list of names that DROP and COMMENT have instead. */
export function mentions(node: Node, relation: string): boolean {
  if (Array.isArray(node)) return node.some((item) => mentions(item, relation));
  if (node === null || typeof node !== "object") return false;
  if (typeof node["relname"] === "string") {
    const schema = typeof node["schemaname"] === "string" ? node["schemaname"] : "public";
    if (`${schema}.${node["relname"]}` === relation) return true;
  }
  const items = (node["List"] as { items?: { String?: { sval?: string } }[] } | undefined)?.items;
  if (items?.every((item) => item.String !== undefined)) {
    const path = `${items.map((item) => item.String?.sval).join(".")}.`;
    if (path.startsWith(`${relation}.`)) return true;
  }
  return Object.values(node).some((item) => mentions(item, relation));
}

/** True for DROP TABLE. */
export function dropsTable(statement: Statement): boolean {
  const drop = statement.tree["DropStmt"] as { removeType?: string } | undefined;
  return drop?.removeType === "OBJECT_TABLE";
}
