import { GuardianError } from "../../base/errors";
import { quoteName, rows, type Queryable } from "../../base/sql";

/** Something that hangs on a table or function of ours. */
export interface Dependent extends Record<string, unknown> {
  /** As module.yaml would list it: `view public.v`; the table, where it is a key, policy, trigger or default of one. */
  object: string;
  /** A trigger or policy as module.yaml would list it. */
  part: string | null;
  /** As PostgreSQL describes it. */
  described: string;
  kind: string;
}

/**
 * What depends on objects of a module (PostgreSQL manual, 5.14 and 53.18 pg_depend), and is not part of them.
 * @param objects as module.yaml lists them; tables, views and functions count
 */
export async function dependentsOf(db: Queryable, objects: readonly string[]): Promise<Dependent[]> {
  const named = (...kinds: string[]): string[] =>
    objects.flatMap((object) => (kinds.includes(object.slice(0, object.indexOf(" "))) ? [object] : []));
  const relations = named("table", "view").map((object) => quoteName(object.slice(object.indexOf(" ") + 1)));
  return rows<Dependent>(db, dependentsSql, [relations, named("function")]);
}

/**
 * A rollback, or a purge, takes away only what is ours: what others hung on it is named, and theirs to drop.
 * @throws GuardianError naming every one of them
 */
export async function refuseDependents(db: Queryable, objects: readonly string[], what: string): Promise<void> {
  const foreign = (await dependentsOf(db, objects)).filter(
    ({ object, part }) => !objects.includes(object) && !(part !== null && objects.includes(part)),
  );
  if (foreign.length === 0) return;
  throw new GuardianError("dependent-objects", {
    what,
    where: [...new Set(foreign.map(({ described }) => described))].join("; "),
    todo: "drop them, if they are not needed, or take out of them what refers to it; then run this again",
  });
}

/** A row type has the table's dependents too; a rule, key, policy, trigger or default counts as its table. */
const dependentsSql = `
WITH mine AS (
  SELECT 'pg_catalog.pg_class'::regclass AS classid, c.oid, c.oid AS relation
  FROM pg_catalog.pg_class c WHERE c.oid IN (SELECT pg_catalog.to_regclass(r) FROM unnest($1::text[]) r)
  UNION ALL
  SELECT 'pg_catalog.pg_type'::regclass, y.oid, y.typrelid
  FROM pg_catalog.pg_type y WHERE y.typrelid IN (SELECT pg_catalog.to_regclass(r) FROM unnest($1::text[]) r)
  UNION ALL
  SELECT 'pg_catalog.pg_proc'::regclass, p.oid, NULL
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE 'function ' || n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' = ANY ($2)
), found AS MATERIALIZED (
  SELECT DISTINCT d.classid, d.objid, m.relation AS base,
    coalesce(r.ev_class, k.conrelid, l.polrelid, t.tgrelid, a.adrelid, i.indrelid, c.oid) AS relation,
    coalesce('trigger ' || t.tgname, 'policy ' || l.polname) || ' on ' AS part,
    -- What a partition has of its table's triggers and keys goes with them.
    coalesce(t.tgparentid, k.conparentid, 0) <> 0 AS inherited
  FROM mine m JOIN pg_catalog.pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.oid AND d.deptype = 'n'
  LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
  LEFT JOIN pg_catalog.pg_policy l ON d.classid = 'pg_catalog.pg_policy'::regclass AND l.oid = d.objid
  LEFT JOIN pg_catalog.pg_trigger t ON d.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = d.objid
  LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND a.oid = d.objid
  LEFT JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::regclass AND i.indexrelid = d.objid
  LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
)
SELECT DISTINCT CASE WHEN f.relation IS NOT NULL
    THEN CASE WHEN c.relkind IN ('v', 'm') THEN 'view ' ELSE 'table ' END || n.nspname || '.' || c.relname
    WHEN p.oid IS NOT NULL THEN 'function ' || pn.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
    ELSE '' END AS object,
  f.part || n.nspname || '.' || c.relname AS part,
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0)
    ELSE pg_catalog.pg_describe_object(f.classid, f.objid, 0) END AS described,
  coalesce(c.relkind::text, 'f') AS kind
FROM found f
LEFT JOIN pg_catalog.pg_class c ON c.oid = f.relation LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_proc p ON f.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = f.objid
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
WHERE f.relation IS DISTINCT FROM f.base AND NOT f.inherited
ORDER BY 1, 2`;
