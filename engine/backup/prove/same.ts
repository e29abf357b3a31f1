import { canonical } from "../../base/hash";
import { sqlParser } from "../../base/parsers";

type Node = null | boolean | number | string | Node[] | { [key: string]: Node };

/** Fields that say where something stands and not what it is (PostgreSQL, parsenodes.h). */
const positions = new Set(["location", "name_location", "stmt_location", "stmt_len"]);

/**
 * Whether two definitions mean the same, by their parse trees: parentheses that change what is reckoned first count, those
 * that do not are not in a tree. What PostgreSQL tells otherwise of what it read again is told alike before: a list of
 * varchar is cast as a whole at first and value by value afterwards, a child's own columns stand where its parent's came, and a policy's roles in the order in which the server made them.
 * Of a statement that the parser does not know (it is of PostgreSQL 17), words alone are compared.
 */
export async function sameMeaning(one: string, other: string): Promise<boolean> {
  if (one === other) return true;
  const [mine, theirs] = [cut(one), cut(other)];
  if (mine.owner !== theirs.owner) return false;
  const [tree, otherTree] = [await parsed(mine.sql), await parsed(theirs.sql)];
  return tree !== undefined && otherTree !== undefined ? tree === otherTree : loosely(one) === loosely(other);
}

/** An entry begins with a line that names the owner. */
function cut(text: string): { owner: string; sql: string } {
  const owner = /^owner .*\n?/.exec(text)?.[0] ?? "";
  return { owner, sql: text.slice(owner.length) };
}

async function parsed(sql: string): Promise<string | undefined> {
  try {
    return canonical(alike((await sqlParser().parse(sql)) as Node));
  } catch {
    return undefined;
  }
}

const isObject = (node: Node | undefined): node is { [key: string]: Node } =>
  typeof node === "object" && node !== null && !Array.isArray(node);

function alike(node: Node): Node {
  if (Array.isArray(node)) return node.map(alike);
  if (!isObject(node)) return node;
  const kept = Object.entries(node).filter(([key]) => !positions.has(key));
  const made = Object.fromEntries(kept.map(([key, value]) => [key, alike(value)]));
  if (isObject(made["TypeCast"])) return eachCast(made, made["TypeCast"]);
  const table = made["CreateStmt"];
  if (isObject(table) && Array.isArray(table["inhRelations"]) && Array.isArray(table["tableElts"]))
    return { CreateStmt: { ...table, tableElts: sorted(table["tableElts"]) } };
  const policy = made["CreatePolicyStmt"];
  if (isObject(policy) && Array.isArray(policy["roles"]))
    return { CreatePolicyStmt: { ...policy, roles: sorted(policy["roles"]) } };
  return made;
}

/** `ARRAY[a, b]::t[]` as `ARRAY[a::t, b::t]`. */
function eachCast(cast: Node, { arg, typeName }: { [key: string]: Node }): Node {
  const array = isObject(arg) ? arg["A_ArrayExpr"] : undefined;
  if (!isObject(array) || !Array.isArray(array["elements"]) || !isObject(typeName)) return cast;
  const { arrayBounds, ...element } = typeName;
  if (!Array.isArray(arrayBounds) || arrayBounds.length !== 1) return cast;
  const elements = array["elements"].map((item): Node => ({ TypeCast: { arg: item, typeName: element } }));
  return { A_ArrayExpr: { ...array, elements } };
}

const sorted = (nodes: Node[]): Node[] => [...nodes].sort((a, b) => (canonical(a) < canonical(b) ? -1 : 1));

const loosely = (text: string): string =>
  text
    .replace(/::("[^"]*"|[a-z_][\w.]*)( varying| precision| with(out)? time zone)?(\(\d+(,\d+)?\))?(\[\])*/g, "")
    .replace(/[()\s]/g, "");
