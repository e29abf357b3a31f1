/*
 * SQL fragments of the inventory. Every name and definition is the server's own (PostgreSQL manual, 9.26, System Catalog
 * Information Functions), qualified because the session's search_path is empty. A line that is NULL is not told.
 */

/** The name `schema.relation` of a pg_class row `c` in namespace `n`, as module.yaml writes it. */
export const relation = "n.nspname || '.' || c.relname";

/** @returns SQL that is told from a version of the inventory on, and NULL before it */
export const since = (first: number, version: number, sql: string): string => (version >= first ? sql : "NULL");

/** @param acl SQL for an ACL @returns its entries, sorted: their order in the catalogue is the order of the GRANTs */
export const rights = (acl: string): string =>
  `(SELECT pg_catalog.string_agg(a::text, ',' ORDER BY a::text) FROM unnest(${acl}) a)`;

/** @param name SQL for a name that anybody may have chosen @returns it as one line, in quotation marks */
export const quoted = (name: string): string => `pg_catalog.to_json(${name}::text)::text`;

/** @param oid SQL for a relation's oid @returns its name with its schema, as one line */
export const named = (oid: string): string =>
  `(SELECT ${quoted(relation)} FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ${oid})`;

/** @param oid SQL for a tablespace's oid, 0 for the database's own @returns a line where it is another */
export const tablespace = (oid: string): string =>
  `(SELECT 'tablespace ' || ${quoted("s.spcname")} FROM pg_catalog.pg_tablespace s WHERE s.oid = ${oid})`;

/** A dependency of an object on extensions. @param kind `e`: belongs to it; `x`: goes with it (ALTER … DEPENDS ON EXTENSION) */
const extensions = (catalog: string, oid: string, kind: "e" | "x"): string =>
  `FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid
   WHERE e.classid = 'pg_catalog.${catalog}'::regclass AND e.objid = ${oid} AND e.objsubid = 0
     AND e.refclassid = 'pg_catalog.pg_extension'::regclass AND e.deptype = '${kind}'`;

/**
 * What belongs to an extension is told by nothing but that; the first version of the inventory left it out, so that an
 * object that was put into one looked as if it were dropped.
 * @param definition SQL for how it is described else
 */
export const unlessOfExtension = (version: number, catalog: string, oid: string, definition: string): string =>
  version < 2
    ? definition
    : `coalesce((SELECT 'member of extension ' || ${quoted("x.extname")} ${extensions(catalog, oid, "e")}), ${definition})`;

/** A condition that leaves out what belongs to an extension, in the first version of the inventory. */
export const passesExtension = (version: number, catalog: string, oid: string): string =>
  version < 2 ? `NOT EXISTS (SELECT ${extensions(catalog, oid, "e")})` : "true";

/** A line for the extensions without which an object goes. */
export const goesWith = (catalog: string, oid: string): string =>
  `(SELECT pg_catalog.string_agg('depends on extension ' || ${quoted("x.extname")}, E'\\n' ORDER BY x.extname) ${extensions(catalog, oid, "x")})`;

/** What an index of that pg_index `i` and pg_class `ic` has besides what pg_get_indexdef says. */
export const indexBesides = `pg_catalog.concat_ws(', ', ${tablespace("ic.reltablespace")},
  CASE WHEN i.indisclustered THEN 'clustered' END, CASE WHEN i.indisreplident THEN 'replica identity' END,
  (SELECT pg_catalog.string_agg('statistics of column ' || a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a WHERE a.attrelid = ic.oid AND coalesce(a.attstattarget, -1) <> -1))`;
