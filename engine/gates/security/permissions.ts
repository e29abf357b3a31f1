import { quoteName, rows } from "../../base/sql";
import { readStanding } from "../../ledger/objects";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";
import { isPermitted } from "./permitted";

/** Whom docs/permissions.md has columns for. */
const roles = ["anon", "authenticated", "service_role", "guardian_operator"];

/** Privileges that are given on columns too, and those on the whole of a table; MAINTAIN is of PostgreSQL 17 and later. */
const [onColumns, onTables] = [
  ["SELECT", "INSERT", "UPDATE", "REFERENCES"],
  ["DELETE", "TRUNCATE", "TRIGGER"],
];

interface May extends Record<string, unknown> {
  object: string;
  who: string;
  privilege: string;
  column: string | null;
  may: boolean;
}

/** What a role may do by whatever way: its own rights, everybody's, and those of roles that it is a member of. */
const effective = `SELECT r.object, w.who, p.privilege, a.attname AS column, pg_catalog.has_column_privilege(w.who, r.oid, a.attnum, p.privilege) AS may
  FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped, api w, unnest($4::text[]) AS p(privilege)
  UNION ALL SELECT r.object, w.who, p.privilege, NULL, pg_catalog.has_table_privilege(w.who, r.oid, p.privilege)
  FROM relations r, api w, unnest($5::text[]) AS p(privilege)
  UNION ALL SELECT f.object, w.who, 'EXECUTE', NULL, pg_catalog.has_function_privilege(w.who, f.oid, 'EXECUTE') FROM functions f, api w`;

/** What anybody else was given, by name. */
const others = `SELECT g.object, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(g.grantee) END, g.privilege, g.column, true
  FROM (SELECT r.object, r.owner, a.grantee, a.privilege_type AS privilege, NULL AS column FROM relations r, pg_catalog.aclexplode(r.acl) a
    UNION ALL SELECT r.object, r.owner, a.grantee, a.privilege_type, t.attname FROM relations r JOIN pg_catalog.pg_attribute t ON t.attrelid = r.oid, pg_catalog.aclexplode(t.attacl) a
    UNION ALL SELECT f.object, f.owner, a.grantee, a.privilege_type, NULL FROM functions f, pg_catalog.aclexplode(f.acl) a) g
  WHERE g.grantee <> g.owner AND g.grantee NOT IN (SELECT w.oid FROM api w)`;

/** No right beyond docs/permissions.md, whose data (sql/permissions.json) it reads; and no role of the API past row security. */
export const permissions: Check = {
  name: "permissions",
  asks: "whether anybody may do more with v7's tables, views and functions than docs/permissions.md says, or a role of the API passes row security",
  cost: "catalogue",
  async run({ db, host }) {
    const standing = await readStanding(db);
    const relations = [...standing("table"), ...standing("view")];
    if (relations.length === 0) return notApplicable("no module is applied");
    const whole = [...onTables, ...((await host.server()).major >= 17 ? ["MAINTAIN"] : [])];
    const found = await rows<May>(
      db,
      `WITH relations AS (
         SELECT n.nspname || '.' || c.relname AS object, c.oid, c.relowner AS owner, c.relacl AS acl
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY ($1)),
       functions AS (
         SELECT o.object, p.oid, p.proowner AS owner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl
         FROM unnest($2::text[]) AS o(object) JOIN pg_catalog.pg_proc p ON p.oid = pg_catalog.to_regprocedure(o.object)),
       api AS (SELECT o.oid, o.rolname AS who FROM pg_catalog.pg_roles o WHERE o.rolname = ANY ($3))
       ${effective} UNION ALL ${others}`,
      [relations, standing("function"), roles, onColumns, whole],
    );
    const allowed = ({ object, who, privilege, column }: May): boolean =>
      isPermitted(object, who, privilege, column ?? undefined);
    const tooMuch = found.filter((one) => one.may && !allowed(one));
    const beyond = grouped(tooMuch);
    const lacking = grouped(found.filter((one) => !one.may && allowed(one)));
    const passing = await rows<{ line: string }>(
      db,
      `SELECT w.rolname || CASE WHEN w.rolsuper THEN ' is a superuser' WHEN w.rolbypassrls THEN ' has BYPASSRLS' ELSE ' is a member of ' || o.rolname END AS line
       FROM pg_catalog.pg_roles w LEFT JOIN pg_catalog.pg_roles o ON o.oid <> w.oid AND (o.rolsuper OR o.rolbypassrls) AND pg_catalog.pg_has_role(w.oid, o.oid, 'MEMBER')
       WHERE w.rolname = ANY ($1) AND (w.rolsuper OR w.rolbypassrls OR o.oid IS NOT NULL) ORDER BY 1`,
      [["anon", "authenticated", "guardian_operator"]],
    );
    const faults = [
      ...passing.map(({ line }) => `${line}: row security does not stop it`),
      ...beyond.map((line) => `${line}, which docs/permissions.md does not give`),
    ];
    const figures = { rights: found.filter(({ may }) => may).length, beyond: faults.length, lacking: lacking.length };
    if (faults.length > 0)
      return {
        verdict: "failed",
        evidence: some(faults),
        figures,
        ...faultsNamed("permissions", [
          ...passing.map(({ line }) => line),
          // Column by column: a line of the evidence has some of them.
          ...tooMuch.flatMap((one) => grouped([one])).sort(),
        ]),
        mend: ["REVOKE what is too much; ALTER ROLE … NOBYPASSRLS, or REVOKE the membership"],
      };
    if (lacking.length > 0)
      return {
        verdict: "warned",
        evidence: some(lacking.map((line) => `${line.replace(" may ", " may not ")}, which docs/permissions.md gives`)),
        figures,
        mend: [
          "GRANT it; where guardian_operator was made after the modules were applied, roll back and apply them anew",
        ],
      };
    return { verdict: "passed", evidence: [`${relations.length} tables and views, no right beyond the page`], figures };
  },
};

/** @returns a line for each object, role and privilege, with the columns that are meant */
function grouped(rights: readonly May[]): string[] {
  const lines = new Map<string, string[]>();
  for (const { object, who, privilege, column } of rights) {
    const key = `${who} may ${privilege} ${object.endsWith(")") ? object : quoteName(object)}`;
    lines.set(key, [...(lines.get(key) ?? []), ...(column === null ? [] : [column])]);
  }
  return [...lines].map(([key, columns]) => (columns.length > 0 ? `${key} (${some(columns).join(", ")})` : key)).sort();
}
