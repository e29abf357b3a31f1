import { rows, type Queryable } from "../base/sql";
import { archiveSchema, ledgerSchema } from "./schema";

const grantee =
  "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END";

const given = `
SELECT DISTINCT pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s CASCADE', n.nspname, ${grantee}) AS sql
  FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a WHERE n.nspname = ANY ($1) AND a.grantee <> n.nspowner
UNION ALL
SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s %I.%I FROM %s CASCADE', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
    n.nspname, c.relname, ${grantee})
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) a
  WHERE n.nspname = ANY ($1) AND a.grantee <> c.relowner`;

/**
 * Leaves the ledger's and the archive's schemas, and what was made in them, to their owner alone: default rights for every
 * schema (ALTER DEFAULT PRIVILEGES without IN SCHEMA) open what is new before anybody can revoke it.
 */
export async function keepToOwner(db: Queryable): Promise<void> {
  for (const { sql } of await rows<{ sql: string }>(db, given, [[ledgerSchema, archiveSchema]])) await db.query(sql);
}
