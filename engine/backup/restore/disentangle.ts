import { type Client, escapeIdentifier } from "pg";
import { rows } from "../../base/sql";
import type { Left } from "./types";

/** Something of the new table that depends on what is not its own, and the statement that ends it. */
interface Tie {
  readonly what: string;
  readonly on: string;
  readonly sql: string | null;
}

/**
 * Defaults, expressions, checks and indexes that call functions of the database, and columns of its types (manual, 53.18,
 * pg_depend). What is of the system, or made by initdb, stays for ever.
 */
const ties = `
  WITH own AS (SELECT $1::oid AS oid), far AS (
    SELECT d.classid, d.objid, d.objsubid, pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0) AS on
      FROM pg_catalog.pg_depend d, own
     WHERE d.refobjid >= 16384 AND d.deptype = 'n'
       AND NOT (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = own.oid)
       AND NOT (d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass))
  SELECT pg_catalog.format('the %s of column %s', CASE a.attgenerated WHEN '' THEN 'default' ELSE 'expression' END, a.attname) AS what,
         far.on, pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP %s', own.oid::pg_catalog.regclass, a.attname,
           CASE a.attgenerated WHEN '' THEN 'DEFAULT' ELSE 'EXPRESSION' END) AS sql
    FROM far, own JOIN pg_catalog.pg_attrdef f ON f.adrelid = own.oid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
   WHERE far.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND far.objid = f.oid AND a.attgenerated <> 'v'
  UNION ALL
  SELECT pg_catalog.format('the check %s', k.conname), far.on,
         pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', own.oid::pg_catalog.regclass, k.conname)
    FROM far, own JOIN pg_catalog.pg_constraint k ON k.conrelid = own.oid
   WHERE far.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND far.objid = k.oid AND k.contype = 'c'
  UNION ALL
  SELECT pg_catalog.format('the index %s', i.indexrelid::pg_catalog.regclass), far.on,
         pg_catalog.format('DROP INDEX %s', i.indexrelid::pg_catalog.regclass)
    FROM far, own JOIN pg_catalog.pg_index i ON i.indrelid = own.oid
   WHERE far.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND far.objid = i.indexrelid
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid)
  UNION ALL
  SELECT pg_catalog.format('the column %s', a.attname), far.on, NULL
    FROM far, own JOIN pg_catalog.pg_attribute a ON a.attrelid = own.oid
   WHERE far.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND far.objid = own.oid AND far.objsubid = a.attnum`;

/**
 * Takes from a table all that would keep production from dropping what is its own; its rows stay as they are.
 * @param table its oid
 * @returns what was taken, and what could not be: a column of a type that is production's
 */
export async function disentangle(client: Client, table: number): Promise<Left[]> {
  const found = await rows<Tie & Record<string, unknown>>(client, ties, [table]);
  const named = new Map(found.map((tie) => [tie.what, tie]));
  for (const { sql } of named.values()) if (sql !== null) await client.query(sql);
  return [...named.values()].map(({ what, on, sql }) => ({
    what,
    why: sql === null ? `it hangs on ${on}, which cannot be dropped while it is there` : `it would hang on ${on}`,
  }));
}

/** Takes all rights from everybody but the owner: default rights may have given some. */
export async function keepToOwner(client: Client, schema: string, table: string): Promise<void> {
  const found = await rows<{ sql: string }>(
    client,
    `SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', x.kind, x.name,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END) AS sql
       FROM (SELECT 'SCHEMA' AS kind, pg_catalog.quote_ident(nspname) AS name, nspacl AS acl, nspowner AS owner
               FROM pg_catalog.pg_namespace WHERE nspname = $1
             UNION ALL SELECT 'TABLE', $2::text, relacl, relowner FROM pg_catalog.pg_class
              WHERE oid = ($2::text)::pg_catalog.regclass) x,
            pg_catalog.aclexplode(x.acl) a
      WHERE a.grantee <> x.owner`,
    [schema, `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`],
  );
  for (const { sql } of found) await client.query(sql);
}
