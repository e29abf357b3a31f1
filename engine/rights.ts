import {
  backupRight,
  gateRights,
  migrationRights,
  rolesOf,
  statsRight,
  type Right,
  type RoleName,
} from "../spec/roles";
import { first, rows, type Queryable } from "./base/sql";

/** Who asks for a script, and where: names as SQL has them, quoted where they must be. */
export interface Grantee {
  role: string;
  database: string;
  /** The server's major version. */
  major: number;
  /** Whether v6 has the table user_profiles; absent: it has. */
  profiles?: boolean;
}

/** A statement that gives a right, and why it is needed. */
export interface Grant {
  statement: string;
  why: string;
  always: boolean;
}

function statementOf({ kind, name, privilege }: Right, { role, database }: Grantee): string {
  if (kind === "role") return `ALTER ROLE ${role} ${privilege};`;
  if (kind === "member") return `GRANT ${name} TO ${role}${privilege === "" ? "" : ` WITH ${privilege}`};`;
  const on = kind === "database" ? `DATABASE ${database}` : kind === "schema" ? `SCHEMA ${name}` : name;
  return `GRANT ${privilege} ON ${on} TO ${role};`;
}

const grant = (right: Right, grantee: Grantee): Grant => {
  return { statement: statementOf(right, grantee), why: right.why, always: right.always };
};

/** @returns the whole script for a role: what the migration needs, and what the backup and a gate read besides */
export const grantsFor = (grantee: Grantee): Grant[] =>
  onWhatIsThere([...migrationRights(grantee.major), backupRight, statsRight], grantee).map((right) =>
    grant(right, grantee),
  );

/** @returns what a role lacks besides for the gates that ask as the API's roles; the migration does not need it */
export const gateGrantsFor = (grantee: Grantee): Grant[] =>
  gateRights(grantee.major).map((right) => grant(right, grantee));

const onWhatIsThere = (rights: readonly Right[], { profiles = true }: Pick<Grantee, "profiles">): Right[] =>
  rights.filter(({ always }) => always || profiles);

/** One of the four roles in SQL: how it is made, what it is given, and how all of that is taken back. */
export interface RoleScript {
  name: RoleName;
  what: string;
  make: Grant[];
  /** In the order in which it runs. */
  take: string[];
}

/** @param on the database, its name quoted where it must be, and the server's major version */
export function roleScripts(on: Omit<Grantee, "role">): RoleScript[] {
  return rolesOf(on.major).map(({ name, what, login, rights: all }) => {
    const rights = onWhatIsThere(all, on);
    const grantee = { ...on, role: name };
    const create = `CREATE ROLE ${name} ${login ? "LOGIN" : "NOLOGIN"};`;
    const why = login ? "its password: \\password in psql, which sends no clear text" : "people are members of it";
    const given = rights.filter(({ kind }) => kind !== "role" && kind !== "member");
    const revoke = given.map((right) =>
      statementOf(right, grantee)
        .replace(/^GRANT/, "REVOKE")
        .replace(/ TO (\S+;)$/, " FROM $1"),
    );
    return {
      name,
      what,
      make: [{ statement: create, why, always: true }, ...rights.map((right) => grant(right, grantee))],
      // Never DROP OWNED: what the role owns, and what others granted to it, is a reason to stop.
      take: [...revoke.reverse(), `DROP ROLE ${name};`],
    };
  });
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
export async function missingRights(db: Queryable): Promise<Missing[]> {
  const grantee = await first<Grantee & Record<string, unknown>>(
    db,
    `SELECT pg_catalog.quote_ident(current_user) AS role, pg_catalog.quote_ident(pg_catalog.current_database()) AS database,
       pg_catalog.current_setting('server_version_num')::int / 10000 AS major`,
  );
  if (!grantee) return [];
  const needed = migrationRights(grantee.major);
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
