import { shown, sqlName } from "../base/names";
import { rows, type Queryable } from "../base/sql";
import { countsRows } from "../connect";
import { readDefiners } from "./definers";
import type { Meant, Neighbour } from "./neighbour";
import { isOpen, readPublications, scopeOf } from "./publications";
import { readSecurity } from "./security";

/** The roles of the API, from which modules take all rights that they do not give. */
export const apiRoles = ["anon", "authenticated", "service_role"];

/** A relation's name with its schema, as one writes it. */
const relation = ({ schema, name }: { schema: string; name: string }): string => `${sqlName(schema)}.${sqlName(name)}`;

/**
 * @param v6 tables of v6, as `schema.name`
 */
export async function readNeighbours(db: Queryable, v6: readonly string[], meant: Meant): Promise<Neighbour[]> {
  return [
    ...(await publications(db, meant.publications)),
    ...(await eventTriggers(db)),
    ...(await children(db, v6)),
    ...(await defaultRights(db)),
    ...(await rightsOfAnon(db, v6)),
    ...(await readSecurity(db, v6, meant.operators)),
    ...(await readDefiners(db)),
    ...(await counting(db)),
  ];
}

/** By what the server counts, a transaction of the migration that wrote to v6 is rolled back, and deleted rows are told from lost ones. */
const counting = async (db: Queryable): Promise<Neighbour[]> =>
  (await countsRows(db))
    ? []
    : [
        {
          item: "Statistics",
          status:
            "track_counts is off: nobody will know whether the migration wrote to v6, and autovacuum does nothing",
          readiness: "Warning",
          action: "SET track_counts = on, of the server, this database and this role",
        },
      ];

async function publications(db: Queryable, accepted: readonly string[]): Promise<Neighbour[]> {
  return (await readPublications(db)).map((publication) => {
    const item = "Publication";
    const status = `${sqlName(publication.name)}: ${scopeOf(publication)}`;
    if (!isOpen(publication)) return { item, status, readiness: "Note", action: "None" };
    if (accepted.includes(publication.name))
      return { item, status: `${status}, accepted: new tables join it`, readiness: "Note", action: "None" };
    const action = "Turn it into a list of tables, or accept it: guardian:publications";
    return { item, status: `${status}: new tables would join it`, readiness: "Not ready", action };
  });
}

/** They run at every CREATE and DROP of ours, as whoever they please. */
async function eventTriggers(db: Queryable): Promise<Neighbour[]> {
  const found = await rows<{ name: string; owner: string; event: string; fires: string }>(
    db,
    `SELECT e.evtname AS name, pg_catalog.pg_get_userbyid(e.evtowner) AS owner, e.evtevent AS event,
       CASE e.evtenabled WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always' WHEN 'R' THEN 'enabled for replicas' ELSE 'disabled' END AS fires
     FROM pg_catalog.pg_event_trigger e ORDER BY e.evtname`,
  );
  return found.map(({ name, owner, event, fires }) => ({
    item: "Event Trigger",
    status: `${sqlName(name)} on ${event}, owner ${sqlName(owner)}, ${fires}`,
    readiness: "Note",
    action: "See what it does when tables are made",
  }));
}

async function children(db: Queryable, v6: readonly string[]): Promise<Neighbour[]> {
  const found = await rows<{ schema: string; name: string; parent: string }>(
    db,
    `SELECT n.nspname AS schema, c.relname AS name, p.relnamespace::regnamespace::text || '.' || p.relname AS parent
     FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
     WHERE pn.nspname || '.' || p.relname = ANY ($1) ORDER BY 1, 2`,
    [v6],
  );
  return found.map((child) => ({
    item: "Inheritance",
    status: `${relation(child)} inherits from ${child.parent}`,
    readiness: "Note",
    action: "None: its rows have no foreign keys of v7",
  }));
}

const kinds: Readonly<Record<string, string>> = { r: "tables", S: "sequences", f: "functions", n: "schemas" };

/** Of this role, which makes what the migration makes (ALTER DEFAULT PRIVILEGES). */
async function defaultRights(db: Queryable): Promise<Neighbour[]> {
  const found = await rows<{ kind: string; everywhere: boolean; grantees: string[]; api: boolean }>(
    db,
    `SELECT d.defaclobjtype AS kind, d.defaclnamespace = 0 AS everywhere, g.api,
       pg_catalog.array_agg(DISTINCT g.name ORDER BY g.name) AS grantees
     FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace,
       LATERAL pg_catalog.aclexplode(d.defaclacl) a,
       LATERAL (SELECT w.name, w.name = ANY ($1) OR a.grantee = 0 AS api
         FROM (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END) w(name)) g
     WHERE pg_catalog.pg_get_userbyid(d.defaclrole) = current_user AND a.grantee <> d.defaclrole
       AND (d.defaclnamespace = 0 OR n.nspname = 'public') AND d.defaclobjtype IN ('r', 'S', 'f', 'n')
       AND NOT (d.defaclobjtype = 'f' AND a.grantee = 0)
     GROUP BY 1, 2, 3 ORDER BY 2, 3 DESC, 1`,
    [apiRoles],
  );
  const sets = new Map<string, { kinds: string[]; open: boolean; where: string; grantees: string[] }>();
  for (const { kind, everywhere, grantees, api } of found) {
    const where = kind === "n" ? "" : everywhere ? " in every schema" : " in schema public";
    // The ledger's schemas, and what is in them, are closed to everybody as soon as they are made.
    const open = !api && kind !== "n";
    const key = [where, open, ...grantees].join("\n");
    const set = sets.get(key) ?? { kinds: [], open, where, grantees };
    set.kinds.push(kinds[kind] ?? kind);
    sets.set(key, set);
  }
  return [...sets.values()].map(({ kinds: of, open, where, grantees }) => ({
    item: "Default Rights",
    status: `new ${of.sort().join(", ")}${where} are opened to ${grantees.map(sqlName).join(", ")}${open ? "" : "; the migration takes that back from its own"}`,
    readiness: open ? "Not ready" : "Note",
    action: open ? "ALTER DEFAULT PRIVILEGES … REVOKE: the modules' verification refuses such rights" : "None",
  }));
}

/** TRUNCATE asks no policy (PostgreSQL manual, 5.9); a lock needs no more than a right to write (LOCK). */
async function rightsOfAnon(db: Queryable, v6: readonly string[]): Promise<Neighbour[]> {
  const found = await rows<{ name: string; may: string }>(
    db,
    `SELECT t.name, t.may FROM (
       SELECT n.nspname || '.' || c.relname AS name, pg_catalog.concat_ws(', ',
         CASE WHEN pg_catalog.has_table_privilege('anon', c.oid, 'TRUNCATE') THEN 'TRUNCATE' END,
         CASE WHEN pg_catalog.has_table_privilege('anon', c.oid, 'TRIGGER') THEN 'TRIGGER' END,
         CASE WHEN pg_catalog.has_table_privilege('anon', c.oid, 'UPDATE, DELETE, TRUNCATE')
           OR CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 170000 THEN pg_catalog.has_table_privilege('anon', c.oid, 'MAINTAIN') END
           THEN 'LOCK' END) AS may
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname || '.' || c.relname = ANY ($1)) t
     WHERE t.may <> '' ORDER BY 1`,
    [v6],
  );
  const byRights = new Map<string, string[]>();
  for (const { name, may } of found) byRights.set(may, [...(byRights.get(may) ?? []), name]);
  return [...byRights].map(([may, tables]) => ({
    item: "Rights of anon",
    status: `${may} on ${tables.map(shown).join(", ")}: whoever is not logged in may, whatever the policies say`,
    readiness: "Warning",
    action:
      "REVOKE TRUNCATE, TRIGGER ON these FROM anon; who may UPDATE or DELETE may LOCK. It is v6's own fault, and left as it is",
  }));
}
