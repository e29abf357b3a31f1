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

/** A file in two: what v6 is not needed for, and from its first statement on what locks it. */
export interface Parts {
  own: Statement[];
  locking: Statement[];
  /**
   * True if what locks v6 does nothing else: it adds foreign keys, and triggers to v6's relations. Then all that the module
   * makes of its own is there before, as it will be.
   */
  apart: boolean;
  /** Tables that get keys from `locking`, as `schema.name`. */
  keyed: string[];
}

/** Parts an up.sql at the first statement that locks one of v6's relations. */
export function parted(statements: readonly Statement[], relations: readonly string[]): Parts {
  const split = firstTouching(statements, relations);
  const locking = statements.slice(split);
  const keyed = locking.flatMap((statement) => keyedBy(statement) ?? []);
  const apart = locking.every((it) => keyedBy(it) !== undefined || hangsOn(it, relations) || "CommentStmt" in it.tree);
  return { own: statements.slice(0, split), locking, apart, keyed: [...new Set(keyed)] };
}

/** @returns the table to which an ALTER TABLE adds foreign keys and nothing else */
function keyedBy({ tree }: Statement): string | undefined {
  const alter = tree["AlterTableStmt"] as { relation?: Node; cmds?: { AlterTableCmd?: Command }[] } | undefined;
  const only = alter?.cmds?.every(({ AlterTableCmd: it }) => {
    const adds = it?.subtype === "AT_AddConstraint" && it.def?.Constraint?.contype === "CONSTR_FOREIGN";
    return adds || it?.subtype === "AT_ValidateConstraint";
  });
  return only ? nameOf(alter?.relation) : undefined;
}

interface Command {
  subtype?: string;
  def?: { Constraint?: { contype?: string } };
}

/** True for a CREATE TRIGGER on one of the relations. */
function hangsOn({ tree }: Statement, relations: readonly string[]): boolean {
  const name = nameOf((tree["CreateTrigStmt"] as { relation?: Node } | undefined)?.relation);
  return name !== undefined && relations.includes(name);
}

/** @returns a RangeVar as `schema.name`; a file's session has no other schema to look in than public */
export function nameOf(node: Node | undefined): string | undefined {
  if (node === null || typeof node !== "object" || Array.isArray(node)) return undefined;
  if (typeof node["relname"] !== "string") return undefined;
  return `${typeof node["schemaname"] === "string" ? node["schemaname"] : "public"}.${node["relname"]}`;
}

/** True if the tree holds that relation: a RangeVar, or the list of names that DROP and COMMENT have instead. */
export function mentions(node: Node, relation: string): boolean {
  if (Array.isArray(node)) return node.some((item) => mentions(item, relation));
  if (node === null || typeof node !== "object") return false;
  if (nameOf(node) === relation) return true;
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
