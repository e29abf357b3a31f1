import { sqlParser } from "../base/parsers";
import { printed, useList, type Restorer, type Toc } from "../backup/prove/toc";
import type { Kind } from "./rule";

/** A column as a dump declares it. */
export interface Declared {
  readonly kind: Kind;
  readonly array: boolean;
  readonly notNull: boolean;
  /** Characters that it takes, by its type or a CHECK; none: any number. */
  readonly limit?: number;
  /** Bytes that its value as text may have, by a CHECK. */
  readonly bytes?: number;
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
      const elements = listOf(create, "tableElts");
      const bounds = elements.flatMap((element) => boundsIn(at(at(element, "Constraint"), "raw_expr")));
      const columns = elements.flatMap((element) => {
        const definition = at(element, "ColumnDef");
        if (!definition) return [];
        const name = String(definition["colname"]);
        return [
          [
            name,
            bounded(
              declared(definition),
              bounds.filter(({ column }) => column === name),
            ),
          ] as const,
        ];
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
  const sized = ["varchar", "bpchar"].includes(name) && Number(limit) > 0;
  return {
    kind: kinds[name] ?? "other",
    array,
    notNull: constraints.includes("CONSTR_NOTNULL"),
    ...(sized ? { limit: Number(limit) } : {}),
    type: name + (array ? "[]" : ""),
  };
}

/** How much a column takes. */
interface Bound {
  readonly column: string;
  readonly of: "limit" | "bytes";
  readonly most: number;
}

const measures: Readonly<Record<string, Bound["of"]>> = {
  ...{ length: "limit", char_length: "limit", octet_length: "bytes" },
};

/** @returns what a CHECK says of lengths: `octet_length(x::text) <= n`, wherever in it that stands */
function boundsIn(expression: unknown): Bound[] {
  if (typeof expression !== "object" || expression === null) return [];
  const inner = Object.values(expression).flatMap(boundsIn);
  const compared = at(expression as Tree, "A_Expr");
  const call = at(at(compared, "lexpr"), "FuncCall");
  const of = measures[word(listOf(call, "funcname").at(-1))];
  const most = Number(at(at(at(compared, "rexpr"), "A_Const"), "ival")?.["ival"]);
  if (of === undefined || word(listOf(compared, "name")[0]) !== "<=" || !(most > 0)) return inner;
  const argument = listOf(call, "args")[0];
  const reference = at(at(at(argument, "TypeCast"), "arg") ?? argument, "ColumnRef");
  return [...inner, { column: word(listOf(reference, "fields").at(-1)), of, most }];
}

/** Of an array a bound is of all its elements together, and says nothing of one. */
function bounded(column: Declared, bounds: readonly Bound[]): Declared {
  const least = (of: Bound["of"], known = Infinity): number =>
    Math.min(known, ...bounds.flatMap((bound) => (bound.of === of ? [bound.most] : [])));
  const bytes = least("bytes");
  if (column.array || column.kind !== "text") return bytes < Infinity ? { ...column, bytes } : column;
  // What is masked is ASCII.
  const limit = Math.min(least("limit", column.limit), bytes);
  return limit < Infinity ? { ...column, limit } : column;
}
