import { sqlParser } from "../base/parsers";
import { printed, useList, type Restorer, type Toc } from "../backup/prove/toc";
import type { Kind } from "./rule";

/** A column as a dump declares it. */
export interface Declared {
  readonly kind: Kind;
  readonly array: boolean;
  readonly notNull: boolean;
  /** Characters that it takes; none: any number. */
  readonly limit?: number;
  /** As one would write it. */
  readonly type: string;
}

/** Types whose values are known to be written as the rules read them, by their names in the catalogue. */
const kinds: Readonly<Record<string, Kind>> = {
  ...{ text: "text", varchar: "text", bpchar: "text", name: "text", citext: "text" },
  ...{ json: "json", jsonb: "json", uuid: "uuid", bytea: "bytes", int8: "bigint" },
  ...{ date: "time", timestamp: "time", timestamptz: "time" },
};

/** A part of a parse tree (libpg_query). */
type Tree = { readonly [key: string]: unknown } | undefined;
const at = (tree: Tree, key: string): Tree => tree?.[key] as Tree;
const listOf = (tree: Tree, key: string): Tree[] => (tree?.[key] as Tree[] | undefined) ?? [];
function word(tree: Tree): string {
  const text = at(tree, "String")?.["sval"];
  return typeof text === "string" ? text : "";
}

/**
 * Reads the columns of every table from a dump.
 * @returns by table, `schema.table`, and column; a table whose statement this parser does not know is not among them
 */
export async function declaredColumns(
  restorer: Restorer,
  dump: string,
  toc: Toc,
): Promise<Map<string, Map<string, Declared>>> {
  const tables = toc.entries.filter(({ kind }) => kind === "TABLE");
  const only = await useList(restorer.folder, "tables.list", tables);
  const text = await printed(restorer, dump, ["--schema-only", "--no-owner", "--no-privileges", only]);
  const found = new Map<string, Map<string, Declared>>();
  // One at a time: a newer client may write what this parser refuses.
  for (const piece of text.replace(/^\\\w.*$/gm, "").split(/^--\n(?=-- Name: )/m)) {
    for (const statement of await statements(piece)) {
      const create = at(statement, "CreateStmt");
      const relation = at(create, "relation");
      if (!create || !relation) continue;
      const columns = listOf(create, "tableElts").flatMap((element) => {
        const definition = at(element, "ColumnDef");
        return definition ? [[String(definition["colname"]), declared(definition)] as const] : [];
      });
      found.set(`${String(relation["schemaname"])}.${String(relation["relname"])}`, new Map(columns));
    }
  }
  return found;
}

async function statements(text: string): Promise<Tree[]> {
  try {
    const { stmts = [] } = (await sqlParser().parse(text)) as { stmts?: { stmt: Tree }[] };
    return stmts.map(({ stmt }) => stmt);
  } catch {
    return [];
  }
}

function declared(definition: NonNullable<Tree>): Declared {
  const type = at(definition, "typeName");
  const name = word(listOf(type, "names").at(-1));
  const array = listOf(type, "arrayBounds").length > 0;
  const constraints = listOf(definition, "constraints").map((one) => at(one, "Constraint")?.["contype"]);
  const limit = at(at(at(listOf(type, "typmods")[0], "A_Const"), "ival"), "ival") ?? 0;
  const bounded = ["varchar", "bpchar"].includes(name) && Number(limit) > 0;
  return {
    kind: kinds[name] ?? "other",
    array,
    notNull: constraints.includes("CONSTR_NOTNULL"),
    ...(bounded ? { limit: Number(limit) } : {}),
    type: name + (array ? "[]" : ""),
  };
}
