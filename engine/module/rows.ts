import { rows, type Queryable } from "../base/sql";
import { GuardianError } from "../base/errors";
import { archiveSchema, ledgerSchema } from "../ledger/schema";
import { writtenTables } from "../connect/written";
import { v6Untouched } from "../untouched";

/** Rows that the open transaction has added to a table, and that it has changed or deleted. */
interface Count {
  added: number;
  changed: number;
}

/** Every table that is there, by its oid, with what the transaction has written to it so far. */
export type Counts = ReadonlyMap<string, Count>;

interface Found extends Record<string, unknown>, Count {
  oid: string;
  name: string;
}

/** Rows are added to it by whoever is audited, and no rollback takes them away again. */
const auditLog = "public.audit_log";

/** SQL: counts of all tables. Large objects are rows of a table that every module shares. See connect/written.ts for what is counted. */
const counted = `
  SELECT c.oid::text AS oid, c.relnamespace, c.relname,
    pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)::float8 AS added,
    (pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid))::float8 AS changed
  FROM pg_catalog.pg_class c
  WHERE c.relkind IN ('r', 'm') AND (c.oid >= 16384 OR c.oid = 'pg_catalog.pg_largeobject'::regclass)`;

/** @returns what was written so far, before a module's statements run; for `refuseRows` */
export async function countRows(db: Queryable): Promise<Counts> {
  const found = await rows<Found>(db, `SELECT oid, added, changed FROM (${counted}) c`);
  return new Map(found.map(({ oid, added, changed }) => [oid, { added, changed }]));
}

/**
 * Refuses statements of a module that wrote rows of tables that are not its own, in whatever way: in a function, a DO block
 * or a trigger. Words do not tell that; the server counts. Left out is what somebody's event trigger writes to, which
 * logs that there was DDL. Rows of v6 are refused before COMMIT, and told as such (untouched.ts); a TRUNCATE and a table
 * that is written anew count no row and are found by their file (made.ts).
 * @param before what was written before the statements ran: a table that was not there then is the module's
 * @param module whose objects are listed as `table public.t`
 * @param file as errors name it
 * @throws GuardianError naming the tables
 */
export async function refuseRows(
  db: Queryable,
  before: Counts,
  module: { objects: readonly string[] },
  file: string,
): Promise<void> {
  const found = await rows<Found>(
    db,
    `SELECT c.oid, added, changed, n.nspname || '.' || relname AS name FROM (${counted}) c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE added + changed > 0 ORDER BY name`,
  );
  const others = found.filter(({ oid, name, added, changed }) => {
    const was = before.get(oid);
    if (!was || module.objects.includes(`table ${name}`)) return false;
    return changed !== was.changed || (added !== was.added && name !== auditLog);
  });
  if (others.length === 0) return;
  if ((await rows(db, writtenTables, [v6Untouched.tables])).length > 0) return;
  const logs = await writtenByEventTriggers(db);
  const strange = others.filter(({ oid }) => !logs.includes(oid)).map(({ name }) => name);
  if (strange.length === 0) return;
  throw new GuardianError("file-invalid", {
    what: `${file} wrote rows of tables that are not the module's, in a function or a DO block; the transaction was rolled back, for no rollback would put them back`,
    where: `${file}: ${strange.join(", ")}`,
    todo: [
      "take out what writes there",
      "write rows of other tables by a data migration (sql/data), which can be taken back",
      "declare a feature flag by guardian:flags",
    ],
  });
}

/**
 * @returns oids of the tables that the functions of event triggers name, and those that such a function calls, and the
 *   triggers on such a table; never those of the ledger, whose names are common words
 */
async function writtenByEventTriggers(db: Queryable): Promise<string[]> {
  const word = (name: string): string => `'\\m' || pg_catalog.regexp_replace(${name}, '\\W', '.', 'g')`;
  const body = "pg_catalog.concat(p.prosrc, pg_catalog.pg_get_function_sqlbody(p.oid))";
  const found = await rows<{ oid: string }>(
    db,
    `WITH RECURSIVE reached (kind, oid) AS (
       SELECT 'function', evtfoid FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'
       UNION SELECT n.kind, n.oid FROM reached r CROSS JOIN LATERAL (
         SELECT 'function' AS kind, f.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_proc f
           ON f.oid >= 16384 AND ${body} ~* (${word("f.proname")} || '\\s*\\(') WHERE r.kind = 'function' AND p.oid = r.oid
         UNION ALL SELECT 'table', c.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_class c
           ON c.oid >= 16384 AND c.relkind IN ('r', 'p') AND ${body} ~* (${word("c.relname")} || '\\M')
           WHERE r.kind = 'function' AND p.oid = r.oid
         UNION ALL SELECT 'table', inhrelid FROM pg_catalog.pg_inherits WHERE r.kind = 'table' AND inhparent = r.oid
         UNION ALL SELECT 'function', tgfoid FROM pg_catalog.pg_trigger WHERE r.kind = 'table' AND tgrelid = r.oid AND NOT tgisinternal
       ) n)
     SELECT c.oid::text AS oid FROM reached r JOIN pg_catalog.pg_class c ON r.kind = 'table' AND c.oid = r.oid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> ALL ($1::text[])`,
    [[ledgerSchema, archiveSchema]],
  );
  return found.map(({ oid }) => oid);
}
