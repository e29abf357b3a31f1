import { escapeIdentifier } from "pg";
import type { Queryable } from "../base/sql";
import { count } from "../connect";

/** Schemas that are never part of a backup's count; names that begin with pg_ are the system's (manual, 5.9). */
const userSchemas = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL($1::text[])";

/**
 * A member of an extension comes back with CREATE EXTENSION and is not in a dump; only the rows of what the extension
 * calls its configuration are (manual, 38.17.3, "Extension Configuration Tables").
 */
const inDump = `NOT EXISTS (
  SELECT FROM pg_catalog.pg_depend m JOIN pg_catalog.pg_extension x ON x.oid = m.refobjid
   WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid AND m.deptype = 'e'
     AND m.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
     AND (x.extconfig IS NULL OR c.oid <> ALL (x.extconfig)))`;

export interface TableRef {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** The extension whose configuration it is, if any. */
  readonly extension: string | null;
  /** As COPY lists them: neither dropped nor generated, in their order. */
  readonly columns: readonly string[];
}

/** All tables whose rows a dump holds, partitions included, outside the system's schemas and the excluded ones. */
export async function listTables(db: Queryable, excluded: readonly string[]): Promise<TableRef[]> {
  const { rows } = await db.query<TableRef>(
    `SELECT c.oid, n.nspname AS schema, c.relname AS "table", e.extname AS extension,
            ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                   ORDER BY a.attnum) AS columns
       FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_catalog.pg_depend d
         ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
       LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${userSchemas} AND ${inDump}
      ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
    [excluded],
  );
  return rows;
}

/** Exact number of rows of one table in the transaction's snapshot, its children aside. */
export async function countRows(db: Queryable, table: TableRef): Promise<number> {
  const name = `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.table)}`;
  const { rows } = await db.query<{ n: string }>(`SELECT pg_catalog.count(*) AS n FROM ONLY ${name}`);
  return count(rows[0]?.n);
}

export async function countLargeObjects(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ n: string }>("SELECT count(*) AS n FROM pg_catalog.pg_largeobject_metadata");
  return count(rows[0]?.n);
}

/** One thing that pg_dump must read and this role may not. */
export interface MissingRight {
  readonly kind: "schema" | "table" | "sequence" | "rows";
  readonly name: string;
}

/**
 * What stands between this role and a whole dump: USAGE on schemas, SELECT on tables and sequences (pg_dump locks tables
 * in ACCESS SHARE mode, which needs it), and row security that would hide rows.
 */
export async function missingRights(db: Queryable, excluded: readonly string[]): Promise<MissingRight[]> {
  const { rows } = await db.query<{ kind: MissingRight["kind"]; name: string }>(
    `WITH rel AS (
       SELECT c.oid, c.relkind, n.oid AS schema, n.nspname, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND ${userSchemas} AND ${inDump})
     SELECT DISTINCT 'schema' AS kind, pg_catalog.quote_ident(nspname) AS name
       FROM rel WHERE NOT pg_catalog.has_schema_privilege(schema, 'USAGE')
     UNION ALL
     SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, name
       FROM rel WHERE NOT CASE relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(oid, 'SELECT')
                                       ELSE pg_catalog.has_table_privilege(oid, 'SELECT') END
     UNION ALL
     SELECT 'rows', name FROM rel WHERE relkind IN ('r', 'p') AND pg_catalog.row_security_active(oid)
     ORDER BY 1, 2`,
    [excluded],
  );
  return rows;
}

/** @returns oids of the large objects that this role may not read (manual, 35.3, lo_compat_privileges aside), in order */
export async function hiddenLargeObjects(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ oid: string }>(
    `SELECT m.oid::text AS oid FROM pg_catalog.pg_largeobject_metadata m
      WHERE pg_catalog.current_setting('lo_compat_privileges') = 'off'
        AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
        AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
        AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a
                         WHERE a.privilege_type = 'SELECT'
                           AND CASE a.grantee WHEN 0 THEN true ELSE pg_catalog.pg_has_role(a.grantee, 'USAGE') END)
      ORDER BY m.oid`,
  );
  return rows.map(({ oid }) => oid);
}
