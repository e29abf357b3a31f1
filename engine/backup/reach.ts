import { rows, type Queryable } from "../base/sql";

/**
 * What filling a materialized view could reach: its query runs when it is restored, and a copy on another machine must not
 * ask other servers, nor tell them anything.
 */
export interface Reach {
  /** Extensions by which a query leaves the server; "" for what belongs to none. Without them nothing is reached. */
  readonly by: readonly string[];
  /** Materialized views that read a foreign table, or call a function that nobody can look through. */
  readonly views: readonly { readonly oid: number; readonly name: string }[];
}

/** Extensions whose functions leave the server. Wrappers and untrusted languages are found by what they are. */
const leaving = ["dblink", "http", "pg_net", "plproxy", "plsh", "pg_background", "aws_s3", "aws_lambda"];

const by = `
  SELECT DISTINCT coalesce(e.extname, x.extname, '')::text AS name FROM (
      SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass AS classid, oid, NULL::name AS extname
        FROM pg_catalog.pg_foreign_data_wrapper
      UNION ALL
      SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, NULL FROM pg_catalog.pg_language
       WHERE NOT lanpltrusted AND lanname NOT IN ('internal', 'c')
      UNION ALL
      SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, oid, extname FROM pg_catalog.pg_extension WHERE extname = ANY ($1)) x
    LEFT JOIN pg_catalog.pg_depend d ON d.classid = x.classid AND d.objid = x.oid AND d.deptype = 'e'
     AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
   ORDER BY 1`;

/**
 * From each materialized view to all that it needs: through views by their rules, from tables to their children, from
 * operators to their functions. A function of the server, or in C and of an extension that does not leave it, is known.
 */
const views = `
  WITH RECURSIVE needs (view, classid, objid) AS (
    SELECT oid, 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, oid FROM pg_catalog.pg_class WHERE relkind = 'm'
    UNION
    SELECT n.view, x.classid, x.objid FROM needs n CROSS JOIN LATERAL (
      SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_rewrite r
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
       WHERE n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.ev_class = n.objid
      UNION ALL
      SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.inhrelid FROM pg_catalog.pg_inherits i
       WHERE n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.inhparent = n.objid
      UNION ALL
      SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, o.oprcode FROM pg_catalog.pg_operator o
       WHERE n.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = n.objid
    ) x (classid, objid))
  SELECT DISTINCT c.oid, pg_catalog.format('%I.%I', s.nspname, c.relname) AS name
    FROM needs n JOIN pg_catalog.pg_class c ON c.oid = n.view JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class r ON n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.oid = n.objid
    LEFT JOIN pg_catalog.pg_proc p ON n.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = n.objid
    LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_depend d ON d.classid = n.classid AND d.objid = n.objid AND d.deptype = 'e'
     AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
   WHERE r.relkind = 'f'
      OR p.oid IS NOT NULL AND (l.lanname NOT IN ('internal', 'c') OR e.extname = ANY ($1))
         AND NOT (p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND e.oid IS NULL)
   ORDER BY 2`;

/** Reads the catalogue alone. */
export async function readReach(db: Queryable): Promise<Reach> {
  const found = (await rows<{ name: string }>(db, by, [leaving])).map(({ name }) => name);
  return { by: found, views: found.length > 0 ? await rows(db, views, [leaving]) : [] };
}
