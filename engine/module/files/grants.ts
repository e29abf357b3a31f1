import { pathOf } from "./dropped";
import type { Node } from "./statements";
import { nameOf } from "./touching";

/** A GRANT or REVOKE (parsenodes.h). */
interface Granting {
  targtype?: string;
  objtype?: string;
  objects?: { RangeVar?: Node; ObjectWithArgs?: Routine }[];
}

interface Routine {
  objname?: Node[];
  objargs?: Node[];
  args_unspecified?: boolean;
}

/** Types whose name in the catalogue (format_type) is another than in the parse tree (PostgreSQL manual, 8, Data Types). */
const formatted: Readonly<Record<string, string>> = {
  bool: "boolean",
  bpchar: "character",
  float4: "real",
  float8: "double precision",
  int2: "smallint",
  int4: "integer",
  int8: "bigint",
  time: "time without time zone",
  timestamp: "timestamp without time zone",
  timestamptz: "timestamp with time zone",
  timetz: "time with time zone",
  varbit: "bit varying",
  varchar: "character varying",
};

/** A type as the catalogue names it; of one with another name there (quoted, of a schema that is not looked in) something else. */
function typeOf(node: Node): string {
  const { TypeName } = node as { TypeName?: { names?: Node[]; arrayBounds?: Node[] } };
  const path = (TypeName?.names ?? []).flatMap(pathOf);
  const builtIn = path.length === 1 || path[0] === "pg_catalog";
  const name = path.at(-1) ?? "";
  return `${builtIn ? (formatted[name] ?? name) : path.join(".")}${TypeName?.arrayBounds ? "[]" : ""}`;
}

/**
 * @param own objects that module.yaml lists, as `table public.t` and `function public.f(integer)`
 * @returns whether all that a GRANT or REVOKE is about is the module's, by its own words: false where they do not tell
 */
export function grantsOwn(grant: Node, own: readonly string[]): boolean {
  const { targtype, objtype, objects = [] } = grant as Granting;
  if (targtype !== "ACL_TARGET_OBJECT") return false;
  if (objtype === "OBJECT_TABLE") return objects.every((it) => own.includes(`table ${nameOf(it.RangeVar) ?? ""}`));
  if (objtype !== "OBJECT_FUNCTION") return false;
  return objects.every(({ ObjectWithArgs: { objname = [], objargs = [], args_unspecified: bare = false } = {} }) => {
    const path = objname.flatMap(pathOf);
    const name = `function ${path.length > 1 ? path.join(".") : `public.${path.join("")}`}(`;
    // Without arguments the server takes a name that one function alone has: the module's is there by then.
    if (bare) return own.some((object) => object.startsWith(name));
    return own.includes(`${name}${objargs.map(typeOf).join(", ")})`);
  });
}
