import { shown, sqlName } from "../base/names";
import { rows, type Queryable } from "../base/sql";
import { readStanding, type Standing } from "../ledger/objects";
import { viewsOver } from "../module/facts/relations";
import type { Neighbour } from "./neighbour";

/*
 * What reads v7's tables with its owner's rights, and is of no module: rows of these are kept apart by row security, which asks
 * who reads, and there that is the owner.
 */

export async function readDefiners(db: Queryable): Promise<Neighbour[]> {
  const standing = await readStanding(db);
  return standing("table").length === 0 ? [] : [...(await views(db, standing)), ...(await functions(db, standing))];
}

/** A view over tables, or over such a view. */
export interface ViewOver {
  name: string;
  owner: string;
  /** Tables under it, without their schema. */
  on: string[];
  /** Whether who reads it needs rights of his own, and the policies hold (security_invoker). */
  invoker: boolean;
  /** Of the API's roles that users have, those that may read or write through it, whoever granted it. */
  api: string[];
  /** Who else was granted something of it. */
  others: string[];
}

/** @param tables as `schema.name` @returns the views over them, of whosever and in whatever schema, by name */
export async function viewsOverTables(db: Queryable, tables: readonly string[]): Promise<ViewOver[]> {
  return rows<ViewOver & Record<string, unknown>>(
    db,
    `WITH RECURSIVE above (oid, shows) AS (
       SELECT w.ev_class, t.relname::text FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace,
         LATERAL (SELECT w.ev_class ${viewsOver("t.oid")}) w WHERE tn.nspname || '.' || t.relname = ANY ($1)
       UNION SELECT w.ev_class, a.shows FROM above a, LATERAL (SELECT w.ev_class ${viewsOver("a.oid")}) w)
     SELECT n.nspname || '.' || v.relname AS name, pg_catalog.pg_get_userbyid(v.relowner)::text AS owner, pg_catalog.array_agg(DISTINCT a.shows) AS on,
       coalesce((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(v.reloptions) o WHERE o.option_name = 'security_invoker'), false) AS invoker,
       ARRAY(SELECT r FROM unnest(ARRAY['anon', 'authenticated']) r
         WHERE EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = r)
           AND (pg_catalog.has_any_column_privilege(r, v.oid, 'SELECT, INSERT, UPDATE') OR pg_catalog.has_table_privilege(r, v.oid, 'DELETE'))) AS api,
       ARRAY(SELECT DISTINCT pg_catalog.pg_get_userbyid(g.grantee)::text FROM (
           SELECT x.grantee FROM pg_catalog.aclexplode(v.relacl) x
           UNION ALL SELECT x.grantee FROM pg_catalog.pg_attribute c, pg_catalog.aclexplode(c.attacl) x WHERE c.attrelid = v.oid) g
         WHERE g.grantee NOT IN (0, v.relowner) AND pg_catalog.pg_get_userbyid(g.grantee) NOT IN ('anon', 'authenticated') ORDER BY 1) AS others
     FROM above a JOIN pg_catalog.pg_class v ON v.oid = a.oid JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
     WHERE v.relkind IN ('v', 'm') GROUP BY v.oid, n.nspname, v.relname, v.relowner, v.reloptions, v.relacl ORDER BY 1`,
    [tables],
  );
}

async function views(db: Queryable, standing: Standing): Promise<Neighbour[]> {
  const ours = standing("view");
  const found = (await viewsOverTables(db, standing("table"))).filter(({ name }) => !ours.includes(name));
  return found.map(({ name, owner, on, invoker, api, others }) => {
    const to = [...api, ...others].map(shown).join(", ");
    const item = "View";
    const status = `${shown(name)} of ${shown(owner)} stands on ${on.map(shown).join(", ")}, which no rollback can take away before it`;
    if (invoker || to === "") return { item, status, readiness: "Note", action: "Drop it before a rollback" };
    return {
      item,
      status: `${status}, and shows their rows to ${to}, whatever the policies say`,
      readiness: "Warning",
      action: `ALTER VIEW ${shown(name)} SET (security_invoker = true), or REVOKE ALL ON it FROM ${to}`,
    };
  });
}

/**
 * SECURITY DEFINER functions that speak of a v7 table. What a function does is not known before it runs; its text is looked
 * through for the tables' names, and one that puts a name together while it runs is not found.
 */
async function functions(db: Queryable, standing: Standing): Promise<Neighbour[]> {
  const found = await rows<{ name: string; owner: string; on: string[]; to: string[] }>(
    db,
    `WITH t AS (
       SELECT c.oid, c.relname::text AS name, '\\m' || pg_catalog.regexp_replace(c.relname, '\\W', '\\\\\\&', 'g') || '\\M' AS word
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY ($1)),
     -- First whose it is, which leaves few: ours are a hundred, and to look through each for every table takes a second.
     p AS MATERIALIZED (
       SELECT p.oid, p.proowner, p.proacl, p.prosrc, f.name
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       CROSS JOIN LATERAL (SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')') f(name)
       WHERE p.prosecdef AND p.oid >= 16384 AND f.name <> ALL ($2)
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))
     SELECT p.name, pg_catalog.pg_get_userbyid(p.proowner)::text AS owner, s.on, g.to
     FROM p
     CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(t.name ORDER BY t.name) FROM t
       WHERE (pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(t.name)) > 0 AND p.prosrc ~* t.word
           OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
           AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid))
         AND (pg_catalog.has_any_column_privilege(p.proowner, t.oid, 'SELECT, INSERT, UPDATE') OR pg_catalog.has_table_privilege(p.proowner, t.oid, 'DELETE'))) s("on")
     CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END) AS "to"
       FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner) g
     WHERE s.on IS NOT NULL AND g.to IS NOT NULL
     ORDER BY 1`,
    [standing("table"), standing("function")],
  );
  return found.map(({ name, owner, on, to }) => ({
    item: "Function",
    status: `${shown(name)} runs with the rights of ${shown(owner)}, names ${on.map(shown).join(", ")}, and may be called by ${to.map(shown).join(", ")}: no policy stops it`,
    readiness: "Warning",
    action: `See what it does; REVOKE EXECUTE ON FUNCTION ${shown(name)} FROM ${to.map((role) => (role === "PUBLIC" ? role : sqlName(role))).join(", ")}, or ALTER it SECURITY INVOKER`,
  }));
}
