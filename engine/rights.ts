import { first, rows, type Queryable } from "./base/sql";

/** A table that not every v6 has. */
export const profiles = "public.user_profiles";

/** Tables of v6 that modules lock (module.yaml, locks; a test keeps the two in step): foreign keys and triggers need more than SELECT. */
export const lockedTables: readonly string[] = [
  "auth.users",
  "public.documents",
  "public.patient_lab_results",
  "public.patient_medications",
  "public.patient_vitals",
];

/** Tables of v6 that data migrations follow while they run (migration.yaml, follows): their triggers need locks and TRIGGER. */
export const followedTables: readonly string[] = ["auth.users", profiles];

/** One right that the migration's role needs. */
interface Right {
  kind: "database" | "schema" | "table" | "role";
  /** The object, as `schema.name`. */
  name: string;
  privilege: string;
  why: string;
  /** False for a table that not every v6 has. */
  always: boolean;
}

/** Who asks for a script, and where: names as SQL has them, quoted where they must be. */
export interface Grantee {
  role: string;
  database: string;
  /** The server's major version. */
  major: number;
}

/**
 * Every right that DDL, foreign keys with their locks, and set-based reading need; with these, and no more, everything goes up and
 * down (a test does so).
 * @param read the tables of v6 that are read
 */
function rightsNeeded(major: number, read: readonly string[]): Right[] {
  const table = (name: string, privilege: string, why: string): Right => {
    return { kind: "table", name, privilege, why, always: name !== profiles };
  };
  const touched = [...new Set([...lockedTables, ...followedTables])].sort();
  // LOCK TABLE in these modes wants UPDATE, DELETE or TRUNCATE, and from PostgreSQL 17 on MAINTAIN (manual, LOCK).
  const lock = major >= 17 ? "MAINTAIN" : "DELETE";
  return [
    {
      ...{ kind: "database", name: "", privilege: "CREATE", always: true },
      why: "the ledger's and the archive's schemas are made",
    },
    {
      ...{ kind: "schema", name: "public", privilege: "CREATE, USAGE", always: true },
      why: "v7's tables and functions are made there",
    },
    { kind: "schema", name: "auth", privilege: "USAGE", always: true, why: "accounts are read, and referred to" },
    {
      ...{ kind: "role", name: "", privilege: "BYPASSRLS", always: true },
      why: "under row security a backup or a migration would be silently partial",
    },
    ...[...read, profiles].map((name) => table(name, "SELECT", "it is read")),
    ...lockedTables.map((name) => table(name, "REFERENCES", "foreign keys of v7's tables refer to it")),
    ...followedTables.map((name) => table(name, "TRIGGER", "triggers on it follow what v6 writes while rows move")),
    ...touched.map((name) =>
      table(name, lock, `LOCK TABLE asks for it${lock === "DELETE" ? " before PostgreSQL 17; no row is deleted" : ""}`),
    ),
  ];
}

function statementOf({ kind, name, privilege }: Right, { role, database }: Grantee): string {
  if (kind === "role") return `ALTER ROLE ${role} ${privilege};`;
  const on = kind === "database" ? `DATABASE ${database}` : kind === "schema" ? `SCHEMA ${name}` : name;
  return `GRANT ${privilege} ON ${on} TO ${role};`;
}

/** A statement that gives a right, and why it is needed. */
export interface Grant {
  statement: string;
  why: string;
  always: boolean;
}

/** @returns the whole script for a role: what the migration needs, and what the backup reads besides */
export function grantsFor(grantee: Grantee, read: readonly string[]): Grant[] {
  const all = rightsNeeded(grantee.major, read).map((right) => {
    return { statement: statementOf(right, grantee), why: right.why, always: right.always };
  });
  const why = "the backup holds every table and sequence of every schema; nothing else needs it";
  return [...all, { statement: `GRANT pg_read_all_data TO ${grantee.role};`, why, always: true }];
}

/** A statement that gives a right that is missing. */
export interface Missing {
  statement: string;
  /** True if a preview needs it too, which only reads. */
  toRead: boolean;
}

/** Without these nothing can be read, or not all of it. */
const reading = ["SELECT", "USAGE", "BYPASSRLS"];

/** @returns what gives this session's role what it lacks, in order; empty if it lacks nothing */
export async function missingRights(db: Queryable, read: readonly string[]): Promise<Missing[]> {
  const grantee = await first<Grantee & Record<string, unknown>>(
    db,
    `SELECT pg_catalog.quote_ident(current_user) AS role, pg_catalog.quote_ident(pg_catalog.current_database()) AS database,
       pg_catalog.current_setting('server_version_num')::int / 10000 AS major`,
  );
  if (!grantee) return [];
  const needed = rightsNeeded(grantee.major, read);
  const missing = await rows<{ i: string }>(
    db,
    `SELECT w.i FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY w(kind, name, privilege, i)
     LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
       ON w.kind = 'table' AND n.nspname = pg_catalog.split_part(w.name, '.', 1) AND c.relname = pg_catalog.split_part(w.name, '.', 2)
     WHERE NOT CASE w.kind
       WHEN 'database' THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), w.privilege)
       WHEN 'schema' THEN pg_catalog.has_schema_privilege(w.name, pg_catalog.split_part(w.privilege, ',', 1))
       WHEN 'role' THEN (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
       ELSE c.oid IS NULL OR pg_catalog.has_table_privilege(c.oid, w.privilege)
         OR w.privilege = 'MAINTAIN' AND pg_catalog.has_table_privilege(c.oid, 'DELETE') END
     ORDER BY w.i`,
    [needed.map(({ kind }) => kind), needed.map(({ name }) => name), needed.map(({ privilege }) => privilege)],
  );
  return missing.flatMap(({ i }) => {
    const right = needed[Number(i) - 1];
    return right ? [{ statement: statementOf(right, grantee), toRead: reading.includes(right.privilege) }] : [];
  });
}
