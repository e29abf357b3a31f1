/** Tables of v6 that are read (engine/assess.ts tells each by its columns). */
export const readTables = [
  "auth.users",
  "public.documents",
  "public.patient_medications",
  "public.patient_allergies",
  "public.patient_conditions",
  "public.patient_lab_results",
  "public.patient_vitals",
  "public.patient_providers",
] as const;

/** A table that not every v6 has. */
export const profiles = "public.user_profiles";

/** All of v6 that the migration reads, where it is. */
export const v6Tables: readonly string[] = [...readTables, profiles];

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

/** One right that a role needs. */
export interface Right {
  /** `role`: what the role itself may, such as BYPASSRLS; `member`: a role that it is a member of. */
  kind: "database" | "schema" | "table" | "role" | "member";
  /** The object, as `schema.name`; empty for the database and the role itself. */
  name: string;
  /** Of a membership: its options, if any. */
  privilege: string;
  why: string;
  /** False for a table that not every v6 has. */
  always: boolean;
}

const right = (kind: Right["kind"], name: string, privilege: string, why: string): Right => {
  return { kind, name, privilege, why, always: name !== profiles };
};

/**
 * Every right that DDL, foreign keys with their locks, and set-based reading need; with these, and no more, everything goes up and
 * down (a test does so).
 * @param major the server's major version
 */
export function migrationRights(major: number): Right[] {
  const touched = [...new Set([...lockedTables, ...followedTables])].sort();
  // LOCK TABLE in these modes wants UPDATE, DELETE or TRUNCATE, and from PostgreSQL 17 on MAINTAIN (manual, LOCK).
  const lock = major >= 17 ? "MAINTAIN" : "DELETE";
  const locks = `LOCK TABLE asks for it${lock === "DELETE" ? " before PostgreSQL 17; no row is deleted" : ""}`;
  return [
    right("database", "", "CREATE", "the ledger's and the archive's schemas are made"),
    right("schema", "public", "CREATE, USAGE", "v7's tables and functions are made there"),
    right("schema", "auth", "USAGE", "accounts are read, and referred to"),
    right("role", "", "BYPASSRLS", "under row security a backup or a migration would be silently partial"),
    ...v6Tables.map((name) => right("table", name, "SELECT", "it is read")),
    ...lockedTables.map((name) => right("table", name, "REFERENCES", "foreign keys of v7's tables refer to it")),
    ...followedTables.map((name) =>
      right("table", name, "TRIGGER", "triggers on it follow what v6 writes while rows move"),
    ),
    ...touched.map((name) => right("table", name, lock, locks)),
  ];
}

/** What the migration reads besides, for its backups. */
export const backupRight = right(
  "member",
  "pg_read_all_data",
  "",
  "the backup holds every table and sequence of every schema; nothing else needs it",
);

/** What a gate reads besides: the auditor, who previews it, has it too. */
export const statsRight = right(
  "member",
  "pg_read_all_stats",
  "",
  "a gate sees since when transactions of others are open; nothing else needs it",
);

/**
 * What the gates want that ask as the API's roles do, whether row security holds (strangers, sampled-users): without it they could
 * not run. The migration needs none of it, and foundation/ does not give it.
 * @param major the server's major version
 */
export function gateRights(major: number): Right[] {
  // From 16 on a membership says whether its rights are inherited; before that the role does, which inherits pg_read_all_data.
  const how = major >= 16 ? "INHERIT FALSE, SET TRUE" : "";
  const why = `gates ask as ${major >= 16 ? "it, and inherit nothing" : "it; before PostgreSQL 16 what it may write is inherited: REVOKE it after the gate"}`;
  return ["anon", "authenticated"].map((name) => right("member", name, how, why));
}

export const roleNames = ["guardian_migrator", "guardian_operator", "guardian_auditor", "guardian_backup"] as const;
export type RoleName = (typeof roleNames)[number];

/** A role that the product knows by its name. */
export interface Role {
  name: RoleName;
  what: string;
  /** False for one that people are members of. */
  login: boolean;
  rights: Right[];
}

/**
 * The four roles, each with all that it has; the rest is PUBLIC's. None has default privileges: what the migrator makes later is
 * read by pg_read_all_data, its modules grant to guardian_operator by name, and verify.sql refuses what else stands in a table's rights.
 * @param major the server's major version
 */
export function rolesOf(major: number): Role[] {
  const connect = right("database", "", "CONNECT", "it connects, also where PUBLIC may not");
  const all = right("role", "", "BYPASSRLS", "under row security it would see, and say, less than there is");
  const reads = (why: string): Right => right("member", "pg_read_all_data", "", why);
  return [
    {
      name: "guardian_migrator",
      what: "runs the migration: preview, up, refresh, destroy",
      login: true,
      rights: [connect, ...migrationRights(major), backupRight, statsRight],
    },
    {
      name: "guardian_operator",
      what: "whom the modules grant to: what 009 is for; people are members of it",
      login: false,
      rights: [connect, right("schema", "public", "USAGE", "the functions that the modules grant to it are there")],
    },
    {
      name: "guardian_auditor",
      what: "previews, and reads everything; changes nothing",
      login: true,
      rights: [
        connect,
        all,
        reads("a preview reads v6, the ledger and v7's tables, those that are made later too"),
        statsRight,
      ],
    },
    {
      name: "guardian_backup",
      what: "dumps, from outside of the migration",
      login: true,
      rights: [
        connect,
        all,
        reads("a dump holds every table and sequence of every schema, those that are made later too"),
      ],
    },
  ];
}
