import { goesWith, indexBesides, passesExtension, quoted, relation, rights, since, unlessOfExtension } from "./shared";

/** What a domain, a composite type or a range is made of; rights on any type. */
const typeBesides = `pg_catalog.concat_ws(E'\\n', 'rights ' || ${rights("t.typacl")},
    CASE t.typtype WHEN 'd' THEN pg_catalog.concat_ws(' ', CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
      CASE WHEN t.typcollation <> b.typcollation THEN 'collation ' || t.typcollation::regcollation::text END) END,
    (SELECT pg_catalog.string_agg('constraint ' || ${quoted("k.conname")} || ' ' || pg_catalog.pg_get_constraintdef(k.oid), E'\\n' ORDER BY k.conname)
      FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype <> 'n'),
    CASE t.typtype WHEN 'c' THEN (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'attribute', ${quoted("a.attname")},
        pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> y.typcollation THEN 'collation ' || a.attcollation::regcollation::text END), E'\\n' ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END,
    (SELECT pg_catalog.concat_ws(' ', 'range of', pg_catalog.format_type(g.rngsubtype, NULL), g.rngmultitypid::regtype,
        nullif(g.rngcollation, 0)::regcollation, o.opcname, nullif(g.rngcanonical::oid, 0)::regprocedure, nullif(g.rngsubdiff::oid, 0)::regprocedure)
      FROM pg_catalog.pg_range g JOIN pg_catalog.pg_opclass o ON o.oid = g.rngsubopc WHERE g.rngtypid = t.oid))`;

const types = (version: number): string => `
SELECT 'type ' || n.nspname || '.' || t.typname, ${unlessOfExtension(
  version,
  "pg_type",
  "t.oid",
  `pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(t.typowner), t.typtype,
    (SELECT pg_catalog.string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
    pg_catalog.format_type(t.typbasetype, t.typtypmod), ${since(2, version, `nullif(${typeBesides}, '')`)})`,
)}, NULL
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
WHERE n.nspname = ANY ($1) AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND EXISTS (SELECT FROM c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
  AND ${passesExtension(version, "pg_type", "t.oid")}`;

/** pg_get_functiondef refuses aggregates. */
const aggregate = `(SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_get_function_result(p.oid), p.provolatile, p.proparallel, p.proisstrict,
    g.aggkind, g.aggnumdirectargs, g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn,
    g.aggmfinalfn, g.aggfinalextra, g.aggmfinalextra, g.aggfinalmodify, g.aggmfinalmodify, g.aggsortop::regoperator, g.aggtranstype::regtype,
    g.aggtransspace, g.aggmtranstype::regtype, g.aggmtransspace, 'from', g.agginitval, 'moving from', g.aggminitval)
  FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid)`;

/** Others of its name, whoever made them: a call may mean one of these. */
const overloads = `(SELECT 'beside it ' || pg_catalog.string_agg(${quoted("o.proname || '(' || pg_catalog.oidvectortypes(o.proargtypes) || ')'")}, ', ' ORDER BY pg_catalog.oidvectortypes(o.proargtypes))
  FROM pg_catalog.pg_proc o WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname AND o.oid <> p.oid)`;

const functions = (version: number): string => `
SELECT 'function ' || n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')', ${unlessOfExtension(
  version,
  "pg_proc",
  "p.oid",
  `pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(p.proowner), 'rights ' || coalesce(${rights("p.proacl")}, 'default'),
      CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_catalog.pg_get_functiondef(p.oid) ELSE p.prokind::text END,
      ${since(2, version, `CASE WHEN p.prokind = 'a' THEN ${aggregate} END`)}, ${since(2, version, goesWith("pg_proc", "p.oid"))},
      ${since(3, version, overloads)})`,
)}, NULL
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY ($1) AND ${passesExtension(version, "pg_proc", "p.oid")}`;

/**
 * Indexes that back no constraint. One that is unique refuses rows: it hangs on its table, others may be added. That of a
 * partition, like its trigger, came with the partitioned table's.
 */
const indexes = (version: number): string => `
SELECT 'index ' || n.nspname || '.' || ic.relname, ${unlessOfExtension(
  version,
  "pg_class",
  "i.indexrelid",
  `pg_catalog.pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
    || coalesce(${since(2, version, `E'\\n' || nullif(${indexBesides}, '')`)}, '')
    || coalesce(${since(2, version, `E'\\n' || ${goesWith("pg_class", "i.indexrelid")}`)}, '')`,
)}, ${since(2, version, "CASE WHEN i.indisunique AND NOT ic.relispartition THEN tn.nspname || '.' || tc.relname END")}
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
  JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
WHERE n.nspname = ANY ($1) AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
  AND ${passesExtension(version, "pg_class", "i.indexrelid")}`;

const triggers = (version: number): string => `
SELECT 'trigger ' || t.tgname || ' on ' || c.full_name, pg_catalog.pg_get_triggerdef(t.oid) || ' fires ' || t.tgenabled::text
    || coalesce(${since(2, version, `E'\\n' || ${goesWith("pg_trigger", "t.oid")}`)}, ''), CASE WHEN t.tgparentid = 0 THEN c.full_name END
FROM pg_catalog.pg_trigger t JOIN (
  SELECT c.oid, ${relation} AS full_name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1)
) c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal`;

const policies = `
SELECT 'policy ' || p.polname || ' on ' || c.full_name, pg_catalog.concat_ws(E'\\n', p.polcmd, p.polpermissive,
    (SELECT pg_catalog.string_agg(coalesce(r.rolname, 'public'), ',' ORDER BY r.rolname) FROM unnest(p.polroles) o LEFT JOIN pg_catalog.pg_roles r ON r.oid = o),
    'using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)), c.full_name
FROM pg_catalog.pg_policy p JOIN c ON c.oid = p.polrelid`;

/** SQL: types, functions, indexes, triggers and policies. `c` is the query of `relations`. */
export const otherFacts = (version: number): string[] => [
  types(version),
  functions(version),
  indexes(version),
  triggers(version),
  policies,
];
