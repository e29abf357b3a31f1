import type { Client } from "pg";
import type { Permitted } from "../../engine/gates/security/permitted";
import type { Module } from "../../engine/module/files/manifest";
import { listed } from "./catalogue";

interface Given {
  object: string;
  who: string;
  privilege: string;
  column: string | null;
}

/** @returns sql/permissions.json: what the modules give to whom, by the catalogue from which docs/permissions.md is made */
export async function permittedText(client: Client, modules: readonly Module[]): Promise<string> {
  const { rows } = await client.query<Given>(
    `WITH given AS (
       SELECT r.name AS object, c.relowner AS owner, NULL AS column, a.grantee, a.privilege_type AS privilege
       FROM unnest($1::text[]) AS r(name) JOIN pg_class c ON c.oid = r.name::regclass, aclexplode(c.relacl) a
       UNION ALL SELECT r.name, c.relowner, t.attname, a.grantee, a.privilege_type
       FROM unnest($1::text[]) AS r(name) JOIN pg_class c ON c.oid = r.name::regclass JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
       UNION ALL SELECT f.name, p.proowner, NULL, a.grantee, a.privilege_type
       FROM unnest($2::text[]) AS f(name) JOIN pg_proc p ON p.oid = to_regprocedure(f.name), aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a)
     SELECT g.* FROM (SELECT object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END AS who, privilege, "column"
       FROM given WHERE grantee <> owner) g
     ORDER BY object COLLATE "C", who COLLATE "C", privilege COLLATE "C", "column" COLLATE "C"`,
    [[...listed(modules, "table"), ...listed(modules, "view")], listed(modules, "function")],
  );
  const permitted: Permitted = {};
  for (const { object, who, privilege, column } of rows) {
    const of = ((permitted[object] ??= {})[who] ??= {});
    const before = of[privilege];
    if (column === null) of[privilege] = true;
    else if (before !== true) of[privilege] = [...(before ?? []), column];
  }
  return JSON.stringify(permitted);
}
