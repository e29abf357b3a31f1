import { GuardianError } from "../../base/errors";
import { quoteName, rows, type Queryable } from "../../base/sql";
import { isOurs } from "../../ledger/objects";
import { archiveSchema, ledgerSchema } from "../../ledger/schema";

/** Modes that stand in the way of whoever reads or writes a table (PostgreSQL manual, 13.3.1, table 13.2). */
const strong = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"];

/** Where v6 keeps its tables (facts of the assessment: Supabase's auth, the application's public). */
const v6Schemas = ["auth", "public"];

/** What a transaction says that it locks. */
export interface Said {
  /** v6 relations. */
  relations: readonly string[];
  /** Objects of ours, as module.yaml lists them. */
  own: readonly string[];
  /** The SQL that runs: a table outside of v6's schemas counts if it is named there. */
  sql?: string;
}

/**
 * A module's author may err: v6 relations that are locked against others outside the time that is bounded, or that
 * module.yaml does not list, are found by what the transaction really holds. What stops nobody is nobody's business, nor is
 * what other people's event triggers do to tables of their own; children of what is listed are listed with it.
 * @throws GuardianError naming the relations and modes
 */
export async function refuseStray(db: Queryable, said: Said): Promise<void> {
  const name = "n.nspname || '.' || c.relname";
  const stray = await rows<{ name: string; mode: string }>(
    db,
    `WITH RECURSIVE kin (oid) AS (
       SELECT pg_catalog.to_regclass(r)::pg_catalog.oid FROM pg_catalog.unnest($4::text[]) r
       UNION SELECT i.inhrelid FROM kin JOIN pg_catalog.pg_inherits i ON i.inhparent = kin.oid
     )
     SELECT DISTINCT ${name} AS name, l.mode FROM pg_catalog.pg_locks l
     JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid() AND c.relkind IN ('r', 'p')
       AND l.mode = ANY ($1)
       AND n.nspname <> ALL ($2) AND n.nspname !~ '^pg_(catalog|toast|temp)'
       AND (n.nspname = ANY ($3) OR $6 ~ ('\\m' || pg_catalog.regexp_replace(c.relname, '\\W', '.', 'g') || '\\M'))
       AND NOT EXISTS (SELECT FROM kin WHERE kin.oid = c.oid) AND 'table ' || ${name} <> ALL ($5)
       AND NOT ${isOurs(`'table ' || ${name}`)}
     ORDER BY 1, 2`,
    [strong, [ledgerSchema, archiveSchema], v6Schemas, said.relations.map(quoteName), said.own, said.sql ?? ""],
  );
  if (stray.length === 0) return;
  const listed = said.relations.length > 0;
  throw new GuardianError("manifest-differs", {
    what: listed
      ? "v6 relations are locked that module.yaml does not list under locks"
      : "v6 relations are locked before the time that is bounded",
    where: stray.map(({ name, mode }) => `${name} (${mode})`).join(", "),
    todo: "list them under locks in module.yaml, and put what touches them at the end of the file",
  });
}
