import type { Askable } from "../base/sql";
import type { Fact } from "./types";

/**
 * Which schema each catalogue entry belongs to, as far as dependencies between schemas can be about it. Functions'
 * bodies are not followed: PostgreSQL itself does not record what a plpgsql body names.
 */
const members = `
  SELECT 'pg_class'::regclass AS class, c.oid, c.relnamespace AS schema FROM pg_class c
  UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
  UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type
  UNION ALL SELECT 'pg_constraint'::regclass, oid, connamespace FROM pg_constraint
  UNION ALL SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  UNION ALL SELECT 'pg_policy'::regclass, p.oid, c.relnamespace FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, c.relnamespace FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
  UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, c.relnamespace FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator
  UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace FROM pg_collation
  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace FROM pg_ts_config
  UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxnamespace FROM pg_statistic_ext
  UNION ALL SELECT 'pg_publication_rel'::regclass, r.oid, NULL FROM pg_publication_rel r
  UNION ALL SELECT 'pg_namespace'::regclass, oid, oid FROM pg_namespace
  UNION ALL SELECT 'pg_event_trigger'::regclass, oid, NULL FROM pg_event_trigger
  UNION ALL SELECT 'pg_cast'::regclass, oid, NULL FROM pg_cast`;

/**
 * Dependencies that cross the border of the schemas left aside, in either direction. The built-in schemas and what belongs
 * to an extension do not count, nor do the triggers behind a foreign key: the key itself does.
 */
const crossings = `
  WITH aside AS (SELECT oid FROM pg_namespace WHERE nspname = ANY ($1::text[])),
  builtin AS (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema'),
  members AS (${members})
  SELECT DISTINCT d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid,
    f.conrelid::regclass::text || '.' || f.conname AS cascade_key
  FROM pg_depend d
  JOIN members a ON a.class = d.classid AND a.oid = d.objid
  JOIN members b ON b.class = d.refclassid AND b.oid = d.refobjid
  LEFT JOIN pg_constraint f ON f.contype = 'f' AND f.confdeltype = 'c' AND f.connamespace IN (SELECT oid FROM aside)
    AND d.classid = 'pg_constraint'::regclass AND f.oid = d.objid
  WHERE coalesce(a.schema IN (SELECT oid FROM aside), false) <> coalesce(b.schema IN (SELECT oid FROM aside), false)
    AND coalesce(a.schema NOT IN (SELECT oid FROM builtin), true)
    AND coalesce(b.schema NOT IN (SELECT oid FROM builtin), true)
    AND NOT EXISTS (SELECT FROM pg_trigger t
      WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND t.tgisinternal)
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'
      AND (e.classid, e.objid) IN ((d.classid, d.objid), (d.refclassid, d.refobjid)))`;

/**
 * What ties the schemas left aside to the rest: views, triggers, keys, defaults. ON DELETE CASCADE keys that come from
 * there are listed apart.
 */
export async function readTies(client: Askable, aside: readonly string[]): Promise<{ ties: Fact[]; keys: string[] }> {
  const { rows } = await client.query<{ name: string; cascade_key: string | null }>(
    `SELECT pg_describe_object(classid, objid, objsubid) || ' needs ' ||
       pg_describe_object(refclassid, refobjid, refobjsubid) AS name, cascade_key
     FROM (${crossings}) AS x ORDER BY 1`,
    [aside],
  );
  const keys = new Set(rows.flatMap((row) => row.cascade_key ?? []));
  const ties = rows.filter((row) => row.cascade_key === null).map((row) => ({ name: row.name, value: "present" }));
  return { ties, keys: [...keys].sort() };
}
