import { shown, sqlName } from "../base/names";
import { rows, type Askable } from "../base/sql";
import type { Neighbour } from "./neighbour";

/*
 * What the security of v6 and of v7 rests on, and is set outside of both: the roles of the API, the schema that everything is
 * in, and what happens to a statement on v6's tables.
 */

/**
 * @param v6 tables of v6, as `schema.name`
 * @param operators members of guardian_operator that are meant
 */
export async function readSecurity(
  db: Askable,
  v6: readonly string[],
  operators: readonly string[],
): Promise<Neighbour[]> {
  return [
    ...(await passingRoles(db)),
    ...(await makersInPublic(db)),
    ...(await rules(db, v6)),
    ...(await undeclaredOperators(db, operators)),
  ];
}

/**
 * Members of guardian_operator, of a member that nobody declared too; whom a declared one took in is its own matter, but for the
 * roles of the API. Who makes a role has it from 16 on with neither INHERIT nor SET (PostgreSQL manual, CREATE ROLE): not told.
 */
async function undeclaredOperators(db: Askable, declared: readonly string[]): Promise<Neighbour[]> {
  const found = await rows<{ name: string }>(
    db,
    `WITH RECURSIVE usable AS (
       SELECT m.roleid, m.member FROM pg_catalog.pg_auth_members m, LATERAL (SELECT pg_catalog.to_jsonb(m)) j(m)
       WHERE coalesce((j.m->>'inherit_option')::boolean, true) OR coalesce((j.m->>'set_option')::boolean, true)),
     member (oid) AS (
       SELECT u.member FROM usable u WHERE u.roleid = pg_catalog.to_regrole('guardian_operator')
       UNION SELECT u.member FROM member b JOIN usable u ON u.roleid = b.oid WHERE pg_catalog.pg_get_userbyid(b.oid) <> ALL ($1))
     SELECT r.rolname AS name FROM pg_catalog.pg_roles r
     WHERE r.oid IN (SELECT oid FROM member) AND r.rolname <> ALL ($1)
       OR r.rolname = ANY ('{anon,authenticated,service_role}') AND NOT r.rolsuper
         AND pg_catalog.pg_has_role(r.oid, pg_catalog.to_regrole('guardian_operator'), 'MEMBER')
     ORDER BY 1`,
    [declared],
  );
  if (found.length === 0) return [];
  const names = found.map(({ name }) => sqlName(name)).join(", ");
  return [
    {
      item: "Operators",
      status: `${names} ${found.length === 1 ? "is" : "are"} in guardian_operator, and not in guardian:operators: may run and undo what module 009 is for`,
      readiness: "Warning",
      action: `Accept those that are meant: guardian:operators; REVOKE guardian_operator FROM ${names}`,
    },
  ];
}

/** Drift tells it of every table as soon as it changes; here it is told as long as it is so. */
async function passingRoles(db: Askable): Promise<Neighbour[]> {
  const found = await rows<{ name: string; by: string[] }>(
    db,
    `SELECT r.rolname AS name, pg_catalog.array_agg(CASE WHEN m.rolsuper THEN 'SUPERUSER' ELSE 'BYPASSRLS' END
         || CASE WHEN m.oid = r.oid THEN '' ELSE ' of ' || m.rolname END ORDER BY m.oid <> r.oid, m.rolname) AS by
     FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_roles m ON (m.rolsuper OR m.rolbypassrls)
       AND (m.oid = r.oid OR NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER'))
     WHERE r.rolname IN ('anon', 'authenticated') GROUP BY 1 ORDER BY 1`,
  );
  return found.map(({ name, by }) => ({
    item: "Row Security",
    status: `${name} passes it (${by.map(shown).join(", ")}): every user sees and changes everybody's rows`,
    readiness: "Warning",
    action: `ALTER ROLE ${name} NOSUPERUSER NOBYPASSRLS, or REVOKE the other role FROM ${name}`,
  }));
}

/** Whoever makes objects in public can make a function that is called instead of another of its name. */
async function makersInPublic(db: Askable): Promise<Neighbour[]> {
  const found = await rows<{ name: string }>(
    db,
    `SELECT w.name FROM (SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee) END AS name
       FROM pg_catalog.pg_namespace n, LATERAL pg_catalog.aclexplode(n.nspacl) a
       WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE') w
     WHERE w.name IN ('PUBLIC', 'anon', 'authenticated') ORDER BY 1`,
  );
  if (found.length === 0) return [];
  const who = found.map(({ name }) => name).join(", ");
  const status = `${who} may make objects in schema public, functions that are called instead of others included`;
  return [
    { item: "Schema Rights", status, readiness: "Warning", action: `REVOKE CREATE ON SCHEMA public FROM ${who}` },
  ];
}

async function rules(db: Askable, v6: readonly string[]): Promise<Neighbour[]> {
  const found = await rows<{ name: string; of: string; event: string; instead: boolean }>(
    db,
    `SELECT w.rulename AS name, n.nspname || '.' || c.relname AS of, w.is_instead AS instead,
       CASE w.ev_type WHEN '1' THEN 'SELECT' WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END AS event
     FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND w.ev_enabled <> 'D' AND n.nspname || '.' || c.relname = ANY ($1) ORDER BY 2, 1`,
    [v6],
  );
  return found.map(({ name, of, event, instead }) => ({
    item: "Rule",
    status: `${sqlName(name)} on ${event} to ${shown(of)}${instead ? ", instead of it" : ""}: foreign keys that end at it, v7's too, may not do what they say`,
    readiness: "Warning",
    action: "See what it does; an account that is deleted must take its rows along",
  }));
}
