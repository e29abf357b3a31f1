import { escapeIdentifier } from "pg";
import { GuardianError } from "../errors";
import { archiveSchema, ledgerSchema } from "../ledger/schema";
import { first, quoteName, rows, splitName, type Queryable } from "../sql";
import type { ArchivedTable } from "./manifest";

/** A table on its way out: what was found out about it before v6 is locked. */
export interface Departing extends ArchivedTable {
  /** Rows that it holds; 0 means that it is dropped. */
  rows: bigint;
}

/**
 * What can be done before v6 is locked: no more rows come, the rows are counted, and everything that hangs on the tables
 * and is not rows goes: triggers, policies, views, publications, checks and defaults that call the module's functions,
 * foreign keys among our own tables, and everyone's rights but the owner's.
 */
export async function prepareArchive(
  db: Queryable,
  tables: readonly ArchivedTable[],
  objects: readonly string[],
): Promise<Departing[]> {
  const departing: Departing[] = [];
  for (const entry of tables) {
    const table = quoteName(entry.table);
    await db.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    await db.query("SET LOCAL row_security = off");
    const counted = await first<{ n: string }>(db, `SELECT count(*) AS n FROM ${table}`);
    departing.push({ ...entry, rows: BigInt(counted?.n ?? 0) });
  }
  for (const entry of departing) await detach(db, entry.table, objects);
  return departing;
}

async function detach(db: Queryable, name: string, objects: readonly string[]): Promise<void> {
  const table = quoteName(name);
  const foreign = await rows<{ view: string; ours: boolean }>(
    db,
    `SELECT DISTINCT n.nspname || '.' || v.relname AS view, 'view ' || n.nspname || '.' || v.relname = ANY ($2) AS ours
     FROM pg_catalog.pg_depend d
     JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
     JOIN pg_catalog.pg_class v ON v.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
     WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::regclass AND v.oid <> d.refobjid`,
    [table, objects],
  );
  for (const { view, ours } of foreign) {
    if (!ours) {
      throw new GuardianError({
        what: `a view that this module did not make depends on ${name}; a rollback would break it`,
        where: `view ${view}`,
        todo: `drop the view, then run this again: DROP VIEW ${quoteName(view)};`,
      });
    }
    await db.query(`DROP VIEW ${quoteName(view)}`);
  }
  const statements = await rows<{ sql: string }>(
    db,
    `SELECT pg_catalog.format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) AS sql
       FROM pg_catalog.pg_trigger t WHERE t.tgrelid = $1::regclass AND NOT t.tgisinternal
     UNION ALL
     SELECT pg_catalog.format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass) FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::regclass
     UNION ALL
     SELECT pg_catalog.format('ALTER PUBLICATION %I DROP TABLE %s', pub.pubname, r.prrelid::regclass)
       FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication pub ON pub.oid = r.prpubid WHERE r.prrelid = $1::regclass
     UNION ALL
     SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
       FROM pg_catalog.pg_constraint k WHERE k.conrelid = $1::regclass AND k.contype = 'c' AND EXISTS (${callsOurs("pg_constraint", "k.oid")})
     UNION ALL
     SELECT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', a.attrelid::regclass, a.attname)
       FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
       WHERE d.adrelid = $1::regclass AND EXISTS (${callsOurs("pg_attrdef", "d.oid")})
     UNION ALL
     SELECT DISTINCT pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s', c.oid::regclass, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
       FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a WHERE c.oid = $1::regclass AND a.grantee <> c.relowner
     UNION ALL
     SELECT DISTINCT pg_catalog.format('REVOKE ALL (%I) ON TABLE %s FROM %s', t.attname, t.attrelid::regclass, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
       FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) a WHERE t.attrelid = $1::regclass`,
    [table],
  );
  for (const { sql } of statements) await db.query(sql);
  await db.query(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`);
}

/** True if an expression depends on a function outside the system's own schema: a module's functions go with it. */
const callsOurs = (catalog: string, oid: string): string => `
  SELECT FROM pg_catalog.pg_depend f JOIN pg_catalog.pg_proc p ON p.oid = f.refobjid
  WHERE f.classid = 'pg_catalog.${catalog}'::regclass AND f.objid = ${oid} AND f.refclassid = 'pg_catalog.pg_proc'::regclass
    AND p.pronamespace <> 'pg_catalog'::regnamespace`;

/**
 * What needs v6 locked: foreign keys to it are dropped, but for the subject's key that cascades (made so, NOT VALID, if
 * it was not), so that deleting an account under v6 still deletes its archived rows. Tables with rows move to the
 * archive under a name that carries the apply id, with their indexes and sequences; empty ones are dropped.
 */
export async function takeAway(db: Queryable, applyId: string, tables: readonly Departing[]): Promise<void> {
  for (const entry of tables) await dropForeignKeys(db, entry);
  for (const entry of tables) {
    if (entry.rows === 0n) {
      await db.query(`DROP TABLE ${quoteName(entry.table)}`);
      continue;
    }
    const moved = await moveTable(db, applyId, entry.table);
    await db.query(
      `INSERT INTO ${ledgerSchema}.archived (apply_id, original, archived_as, subject, rows) VALUES ($1, $2, $3, $4, $5)`,
      [applyId, entry.table, moved, entry.subject ?? null, entry.rows.toString()],
    );
  }
}

async function dropForeignKeys(db: Queryable, entry: Departing): Promise<void> {
  const table = quoteName(entry.table);
  const keys = await rows<{
    on: string;
    name: string;
    mine: boolean;
    column: string | null;
    action: string;
    to: string;
  }>(
    db,
    `SELECT k.conrelid::regclass::text AS on, k.conname AS name, k.conrelid = $1::regclass AS mine, k.confdeltype AS action, k.confrelid::regclass::text AS to,
            CASE WHEN pg_catalog.cardinality(k.conkey) = 1 THEN a.attname END AS column
     FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     WHERE k.contype = 'f' AND (k.conrelid = $1::regclass OR k.confrelid = $1::regclass)`,
    [table],
  );
  for (const key of keys) {
    const subject = key.mine && entry.rows > 0n && key.column === entry.subject && key.to === "auth.users";
    if (subject && key.action === "c") continue;
    await db.query(`ALTER TABLE ${key.on} DROP CONSTRAINT ${escapeIdentifier(key.name)}`);
    if (subject) {
      await db.query(
        `ALTER TABLE ${key.on} ADD CONSTRAINT ${escapeIdentifier(key.name)} FOREIGN KEY (${escapeIdentifier(key.column ?? "")})
         REFERENCES ${key.to} ON DELETE CASCADE NOT VALID`,
      );
    }
  }
}

/** Identifiers longer than this many bytes are cut by the server (PostgreSQL manual, 4.1.1). */
const longestName = 63;

function stamped(name: string, applyId: string): string {
  return `${Buffer.from(name)
    .subarray(0, longestName - applyId.length - 2)
    .toString()}__${applyId}`;
}

async function moveTable(db: Queryable, applyId: string, name: string): Promise<string> {
  const parts = await rows<{ kind: string; schema: string; name: string }>(
    db,
    `SELECT 'INDEX' AS kind, n.nspname AS schema, c.relname AS name
       FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE i.indrelid = $1::regclass
     UNION ALL
     SELECT 'SEQUENCE', n.nspname, c.relname
       FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::regclass AND d.deptype IN ('a', 'i')`,
    [quoteName(name)],
  );
  for (const part of parts) {
    await db.query(
      `ALTER ${part.kind} ${escapeIdentifier(part.schema)}.${escapeIdentifier(part.name)} RENAME TO ${escapeIdentifier(stamped(part.name, applyId))}`,
    );
  }
  const table = splitName(name).name;
  const moved = stamped(table, applyId);
  await db.query(`ALTER TABLE ${quoteName(name)} RENAME TO ${escapeIdentifier(moved)}`);
  await db.query(
    `ALTER TABLE ${escapeIdentifier(splitName(name).schema)}.${escapeIdentifier(moved)} SET SCHEMA ${archiveSchema}`,
  );
  return `${archiveSchema}.${moved}`;
}
