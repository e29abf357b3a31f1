import { rows, type Queryable } from "../base/sql";

/** What of a database hangs on one of its extensions: enough to restore the rest on a server that lacks it. */
export interface Members {
  /** Statements that make something in place of what can be imitated, in the order in which it was made. */
  readonly stubs: readonly Stub[];
  /** What cannot be had without it: members that cannot be imitated, and all that depends on these. */
  readonly out: readonly Dependent[];
}

interface Stub {
  /** Oid in pg_proc or pg_type. */
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly sql: string;
}

export interface Dependent {
  /** Catalogue and oid, as a dump's table of contents has them. */
  readonly catalogue: number;
  readonly oid: number;
  /** As pg_identify_object() says: `table`, `public.t`. */
  readonly kind: string;
  readonly name: string;
  readonly schema: string | null;
  /** Its name without the schema, where it has one of its own. */
  readonly own: string | null;
  /** The table that it is of, if it is of one. */
  readonly parent: number | null;
  /** It is the extension's own. */
  readonly member: boolean;
}

/**
 * Domains, composite types, enumerations and plain functions; a function gives NULL, whatever it is asked. Base types and
 * ranges, operators and their classes, aggregates, languages and wrappers are not to be imitated.
 */
const stubs = `
  SELECT e.extname AS extension, x.* FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
     AND d.deptype = 'e'
   CROSS JOIN LATERAL (
     SELECT t.oid, n.nspname AS schema, t.typname AS name, pg_catalog.format(CASE t.typtype
         WHEN 'd' THEN 'CREATE DOMAIN %1$I.%2$I AS %3$s' WHEN 'e' THEN 'CREATE TYPE %1$I.%2$I AS ENUM (%3$s)'
         ELSE 'CREATE TYPE %1$I.%2$I AS (%3$s)' END, n.nspname, t.typname, CASE t.typtype
         WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod)
         WHEN 'e' THEN (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
                          FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid)
         ELSE (SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)),
                        ', ' ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END) AS sql
       FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.objid AND t.typtype IN ('d', 'c', 'e')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
     UNION ALL
     SELECT p.oid, n.nspname, p.proname, pg_catalog.format('CREATE %s %I.%I(%s) %s LANGUAGE plpgsql %s AS %L',
         CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, n.nspname, p.proname, pg_catalog.pg_get_function_arguments(p.oid),
         'RETURNS ' || pg_catalog.pg_get_function_result(p.oid),
         CASE WHEN p.prokind = 'p' THEN '' WHEN p.provolatile = 'i' THEN 'IMMUTABLE' WHEN p.provolatile = 's' THEN 'STABLE' ELSE '' END,
         CASE WHEN p.prokind = 'p' OR p.proretset OR p.proallargtypes IS NOT NULL THEN 'BEGIN RETURN; END'
              ELSE 'BEGIN RETURN NULL; END' END)
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid AND p.prokind IN ('f', 'p')) x
   ORDER BY e.extname, x.oid`;

/**
 * Members that cannot be imitated, and what depends on them, however far (manual, 53.18, pg_depend). A view falls with its
 * rule, a table with a default or a check, a composite type with a column, a key with its index.
 */
const dependents = `
  WITH RECURSIVE out (extension, classid, objid) AS (
    SELECT e.extname, d.classid, d.objid FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
       AND d.deptype = 'e'
      LEFT JOIN pg_catalog.pg_type t ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.objid
      LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid
     WHERE NOT coalesce(t.typtype IN ('d', 'c', 'e') OR p.prokind IN ('f', 'p'), false)
       -- An array falls with what it is of.
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_type a WHERE a.typarray = t.oid)
       AND d.classid NOT IN ('pg_catalog.pg_namespace'::pg_catalog.regclass, 'pg_catalog.pg_cast'::pg_catalog.regclass,
             'pg_catalog.pg_event_trigger'::pg_catalog.regclass)
    UNION
    SELECT o.extension, x.classid, x.objid FROM out o CROSS JOIN LATERAL (
      SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
       WHERE d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype IN ('n', 'a', 'i', 'P', 'S')
      UNION ALL
      SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class FROM pg_catalog.pg_rewrite r
       WHERE o.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = o.objid AND r.rulename = '_RETURN'
      UNION ALL
      SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, a.adrelid FROM pg_catalog.pg_attrdef a
       WHERE o.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = o.objid
      UNION ALL
      SELECT CASE k.conrelid WHEN 0 THEN 'pg_catalog.pg_type' ELSE 'pg_catalog.pg_class' END::pg_catalog.regclass,
             CASE k.conrelid WHEN 0 THEN k.contypid ELSE k.conrelid END
        FROM pg_catalog.pg_constraint k
       WHERE o.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = o.objid AND k.contype = 'c'
      UNION ALL
      SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, c.reltype FROM pg_catalog.pg_class c
       WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.objid AND c.relkind = 'c'
      UNION ALL
      SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k
       WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND k.conindid = o.objid AND k.contype IN ('p', 'u', 'x')
    ) x)
  SELECT o.extension, o.classid::pg_catalog.oid AS catalogue, o.objid AS oid, i.type AS kind, i.identity AS name, i.schema,
         coalesce(c.relname, p.proname, t.typname)::text AS own,
         coalesce(x.indrelid, k.conrelid, g.tgrelid, l.polrelid) AS parent,
         EXISTS (SELECT FROM pg_catalog.pg_depend m
                  WHERE m.classid = o.classid AND m.objid = o.objid AND m.deptype = 'e') AS member
    FROM out o
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
    LEFT JOIN pg_catalog.pg_class c ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.objid
    LEFT JOIN pg_catalog.pg_proc p ON o.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = o.objid
    LEFT JOIN pg_catalog.pg_type t ON o.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = o.objid
    LEFT JOIN pg_catalog.pg_index x ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.indexrelid = o.objid
    LEFT JOIN pg_catalog.pg_constraint k ON o.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = o.objid
    LEFT JOIN pg_catalog.pg_trigger g ON o.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND g.oid = o.objid
    LEFT JOIN pg_catalog.pg_policy l ON o.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND l.oid = o.objid
   ORDER BY 1, 2, 3`;

/** Of every extension but plpgsql, which every server has. Reads the catalogue alone. */
export async function readMembers(db: Queryable): Promise<Record<string, Members>> {
  const made: Record<string, { stubs: Stub[]; out: Dependent[] }> = {};
  const of = (extension: string): { stubs: Stub[]; out: Dependent[] } => (made[extension] ??= { stubs: [], out: [] });
  for (const { extension, ...stub } of await rows<Stub & { extension: string }>(db, stubs))
    of(extension).stubs.push(stub);
  for (const { extension, ...one } of await rows<Dependent & { extension: string }>(db, dependents))
    of(extension).out.push(one);
  delete made["plpgsql"];
  return made;
}
