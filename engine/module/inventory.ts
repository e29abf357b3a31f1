import { insertObjects } from "../ledger/objects";
import { rows, type Queryable } from "../base/sql";

/** Identity of an object, as module.yaml writes it → how the catalogue describes it. */
export type Inventory = Map<string, string>;

/**
 * Raised when the inventory tells more of an object than before: the ledger keeps it with each object, so that what was
 * not told when it was recorded is no drift.
 */
export const inventoryVersion = 1;

/**
 * Every object of the given schemas, described so that anything done by hand to it shows: columns, constraints, rights,
 * row security, function bodies, whether triggers fire. Names and definitions are the server's own (PostgreSQL manual,
 * 9.26, System Catalog Information Functions), qualified because the session's search_path is empty.
 * Objects of extensions, and what belongs to a table anyway (indexes of constraints, sequences of columns), are not
 * listed on their own; nor is a foreign key once more for each partition of the table that it refers to.
 */
export async function readInventory(db: Queryable, schemas: readonly string[]): Promise<Inventory> {
  const found = await rows<{ object: string; definition: string }>(db, inventorySql, [schemas]);
  return new Map(found.map((row) => [row.object, row.definition]));
}

/**
 * Records objects in the ledger as the catalogue describes them, in one round trip.
 * @returns those that are there
 */
export async function recordInventory(
  db: Queryable,
  applyId: string,
  schemas: readonly string[],
  objects: readonly string[],
): Promise<string[]> {
  const there = await rows<{ object: string }>(
    db,
    insertObjects("$2", `(${inventorySql}) i WHERE i.object = ANY ($3)`, inventoryVersion),
    [schemas, applyId, objects],
  );
  return there.map((row) => row.object);
}

/** Schemas that the objects of a manifest live in. */
export function schemasOf(objects: readonly string[]): string[] {
  const schemas = objects.map((object) => {
    const identity = object.slice(object.indexOf(" ") + 1);
    const relation = / on /.test(identity) ? identity.slice(identity.indexOf(" on ") + 4) : identity;
    return relation.includes(".") ? relation.slice(0, relation.indexOf(".")) : "public";
  });
  return [...new Set(schemas)];
}

/** The name `schema.relation` of a pg_class row `c` in namespace `n`, as module.yaml writes it. */
const relation = "n.nspname || '.' || c.relname";
const notOfExtension = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = '${catalog}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

/** A relation's rights, sorted: their order in the catalogue is the order of the GRANTs. */
const rights = (acl: string): string =>
  `(SELECT pg_catalog.string_agg(a::text, ',' ORDER BY a::text) FROM unnest(${acl}) a)`;

const inventorySql = `
WITH c AS (
  SELECT c.*, ${relation} AS full_name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY ($1) AND ${notOfExtension("pg_catalog.pg_class", "c.oid")}
)
SELECT 'table ' || c.full_name AS object, pg_catalog.concat_ws(E'\\n',
    'owner ' || pg_catalog.pg_get_userbyid(c.relowner), 'rights ' || ${rights("c.relacl")},
    'row security ' || c.relrowsecurity || ' forced ' || c.relforcerowsecurity, 'options ' || c.reloptions::text,
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'column', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, 'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid),
        nullif(a.attidentity::text, '') || ' identity', nullif(a.attgenerated::text, '') || ' generated', ${rights("a.attacl")}), E'\\n' ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT pg_catalog.string_agg('constraint ' || k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid)
        || CASE WHEN k.convalidated THEN '' ELSE ' not valid' END, E'\\n' ORDER BY k.conname)
      FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint whole WHERE whole.oid = k.conparentid AND whole.conrelid = c.oid))) AS definition
FROM c WHERE c.relkind IN ('r', 'p')
UNION ALL
SELECT 'view ' || c.full_name, pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(c.relowner),
    'rights ' || ${rights("c.relacl")}, 'options ' || c.reloptions::text, pg_catalog.pg_get_viewdef(c.oid))
FROM c WHERE c.relkind IN ('v', 'm')
UNION ALL
SELECT 'sequence ' || c.full_name, pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(c.relowner), 'rights ' || ${rights("c.relacl")})
FROM c WHERE c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
    AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT 'type ' || n.nspname || '.' || t.typname, pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(t.typowner), t.typtype,
    (SELECT pg_catalog.string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
    pg_catalog.format_type(t.typbasetype, t.typtypmod))
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = ANY ($1) AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND EXISTS (SELECT FROM c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
  AND ${notOfExtension("pg_catalog.pg_type", "t.oid")}
UNION ALL
SELECT 'function ' || n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')',
    pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(p.proowner), 'rights ' || coalesce(${rights("p.proacl")}, 'default'),
      CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_catalog.pg_get_functiondef(p.oid) ELSE p.prokind::text END)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY ($1) AND ${notOfExtension("pg_catalog.pg_proc", "p.oid")}
UNION ALL
SELECT 'index ' || n.nspname || '.' || ic.relname, pg_catalog.pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
WHERE n.nspname = ANY ($1) AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
  AND ${notOfExtension("pg_catalog.pg_class", "i.indexrelid")}
UNION ALL
SELECT 'trigger ' || t.tgname || ' on ' || c.full_name, pg_catalog.pg_get_triggerdef(t.oid) || ' fires ' || t.tgenabled::text
FROM pg_catalog.pg_trigger t JOIN (
  SELECT c.oid, ${relation} AS full_name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1)
) c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal
UNION ALL
SELECT 'policy ' || p.polname || ' on ' || c.full_name, pg_catalog.concat_ws(E'\\n', p.polcmd, p.polpermissive,
    (SELECT pg_catalog.string_agg(coalesce(r.rolname, 'public'), ',' ORDER BY r.rolname) FROM unnest(p.polroles) o LEFT JOIN pg_catalog.pg_roles r ON r.oid = o),
    'using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_catalog.pg_policy p JOIN c ON c.oid = p.polrelid
`;
