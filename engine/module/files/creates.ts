import { dropped, kindOf, pathOf, type Dropped } from "./dropped";
import type { Node, Statement } from "./statements";
import { nameOf } from "./touching";

/** Statements that make something with a name of its own: its kind as DROP has it, and the field of the name. */
const makers: Readonly<Record<string, readonly [type: string, field: string]>> = {
  CreateStmt: ["OBJECT_TABLE", "relation"],
  ViewStmt: ["OBJECT_VIEW", "view"],
  CreateSeqStmt: ["OBJECT_SEQUENCE", "sequence"],
  CompositeTypeStmt: ["OBJECT_TYPE", "typevar"],
  CreateEnumStmt: ["OBJECT_TYPE", "typeName"],
  CreateRangeStmt: ["OBJECT_TYPE", "typeName"],
  CreateDomainStmt: ["OBJECT_DOMAIN", "domainname"],
  CreateFunctionStmt: ["OBJECT_FUNCTION", "funcname"],
};

/** Those whose kind is none of module.yaml's: a text search configuration, a schema, an extension. */
const others = /^(Create|Define|Rule)/;

type Fields = Record<string, Node | undefined>;

/** A name as DROP has it: `schema.name`. @param node a RangeVar or a list of words */
const full = (node: Node | undefined): string => {
  const path = Array.isArray(node) ? node.flatMap(pathOf) : [];
  return nameOf(node) ?? (path.length > 1 ? path.join(".") : `public.${path.join("")}`);
};

/** @returns what a statement makes by its own words */
export function created(tree: Statement["tree"]): Dropped[] {
  const [kind = "", node] = Object.entries(tree)[0] ?? [];
  const fields = (node ?? {}) as Fields;
  const made = (type: string, id: string, on?: string): Dropped[] => [{ kind: kindOf(type), id, on }];
  const word = (field: string): string => (typeof fields[field] === "string" ? fields[field] : "");
  const maker = makers[kind];
  if (maker) return made(maker[0], full(fields[maker[1]]));
  const into = (fields["into"] ?? fields["intoClause"]) as { rel?: Node } | undefined;
  if (into) return made(fields["objtype"] === "OBJECT_MATVIEW" ? "OBJECT_MATVIEW" : "OBJECT_TABLE", full(into.rel));
  if (kind === "DefineStmt" && /^OBJECT_(AGGREGATE|TYPE)$/.test(word("kind")))
    return made(word("kind"), full(fields["defnames"]));
  if (kind === "CreateTrigStmt") return made("OBJECT_TRIGGER", word("trigname"), full(fields["relation"]));
  if (kind === "CreatePolicyStmt") return made("OBJECT_POLICY", word("policy_name"), full(fields["table"]));
  if (kind !== "IndexStmt") return [];
  const [schema] = full(fields["relation"]).split(".");
  return made("OBJECT_INDEX", `${schema}.${word("idxname")}`);
}

/**
 * What a DROP takes away that the same file does not make. A thing is told by its kind and name, a function without its
 * arguments: a type has many names.
 * @param at which of the statements it is. Others before it count, with IF EXISTS those after it too
 */
export function strange(statements: readonly Statement[], at: number): Dropped[] {
  const tree = statements[at]?.tree ?? {};
  const drops = dropped(tree);
  if (drops.length === 0) return [];
  const before = statements.slice(0, at).map((it) => it.tree);
  const lax = (tree["DropStmt"] as Fields | undefined)?.["missing_ok"] === true;
  const earlier = before.flatMap(created);
  const made = lax ? statements.flatMap((it) => created(it.tree)) : earlier;
  return drops.filter(({ kind, id, on }) => {
    // What hangs on a table of its own can only be its own too.
    if (earlier.some((it) => (it.kind === "table" || it.kind === "view") && it.id === on)) return false;
    if (made.some((it) => it.kind === kind && it.id === id && it.on === on)) return false;
    const name = id.slice(id.lastIndexOf(".") + 1);
    return !before.some((it) => namesOther(it, name));
  });
}

/** Whether a statement that makes something of another kind has that very name in it. */
function namesOther(tree: Statement["tree"], name: string): boolean {
  const [kind = "", node = null] = Object.entries(tree)[0] ?? [];
  return others.test(kind) && created(tree).length === 0 && holds(node, name);
}

function holds(node: Node, name: string): boolean {
  if (node === null || typeof node !== "object") return node === name;
  return Object.values(node).some((item) => holds(item, name));
}
