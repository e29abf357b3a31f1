import type { Node, Statement } from "./statements";

/** Kinds of DROP by the word that module.yaml has for what they drop (parsenodes.h, ObjectType). */
const dropKinds: Readonly<Record<string, string>> = {
  OBJECT_TABLE: "table",
  OBJECT_VIEW: "view",
  OBJECT_MATVIEW: "view",
  OBJECT_SEQUENCE: "sequence",
  OBJECT_TYPE: "type",
  OBJECT_DOMAIN: "type",
  OBJECT_FUNCTION: "function",
  OBJECT_PROCEDURE: "function",
  OBJECT_ROUTINE: "function",
  OBJECT_AGGREGATE: "function",
  OBJECT_INDEX: "index",
  OBJECT_TRIGGER: "trigger",
  OBJECT_POLICY: "policy",
};

/** What a DROP names. */
export interface Dropped {
  kind: string;
  /** `schema.name`; of a trigger or policy its own name alone. */
  id: string;
  /** The table of a trigger or policy. */
  on: string | undefined;
}

/** @returns what a DROP takes away; nothing of another statement */
export function dropped(tree: Statement["tree"]): Dropped[] {
  const drop = tree["DropStmt"] as { removeType?: string; objects?: Node[] } | undefined;
  if (!drop) return [];
  const type = drop.removeType ?? "";
  const kind = kindOf(type);
  return (drop.objects ?? []).map((object) => {
    const path = pathOf(object);
    const full = (parts: readonly string[]): string =>
      parts.length > 1 ? parts.join(".") : `public.${parts.join("")}`;
    return kind === "trigger" || kind === "policy"
      ? { kind, id: path.at(-1) ?? "", on: full(path.slice(0, -1)) }
      : { kind, id: type in dropKinds ? full(path) : path.join("."), on: undefined };
  });
}

/** @returns the word for a kind of object. @param type the server's (ObjectType) */
export const kindOf = (type: string): string =>
  dropKinds[type] ??
  type
    .replace(/^OBJECT_/, "")
    .replaceAll("_", " ")
    .toLowerCase();

/** The parts of a name, in whichever node a statement has it. */
export function pathOf(node: Node): string[] {
  const { List, ObjectWithArgs, TypeName, String: word } = node as Record<string, Record<string, Node> | undefined>;
  if (word) return [typeof word["sval"] === "string" ? word["sval"] : ""];
  const items = List?.["items"] ?? ObjectWithArgs?.["objname"] ?? TypeName?.["names"] ?? [];
  return (Array.isArray(items) ? items : []).flatMap(pathOf);
}
