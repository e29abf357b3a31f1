import type { Askable } from "../base/sql";
import { rows } from "../base/sql";
import { couldNotRun, type Finding } from "./check";

/** The roles that the API of a Supabase project becomes for a request, as PostgREST does. */
export const apiRoles = ["anon", "authenticated"] as const;
export type ApiRole = (typeof apiRoles)[number];

/** @returns those of the API's roles that this session may not become */
export async function lackingRoles(db: Askable): Promise<string[]> {
  const found = await rows<{ role: string }>(
    db,
    `SELECT r.rolname AS role FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1)
       AND NOT pg_catalog.pg_has_role(current_user, r.oid,
         CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END) ORDER BY 1`,
    [apiRoles],
  );
  return found.map(({ role }) => role);
}

/** @returns what a check says that must ask as the API's roles, and may not become them; undefined where it may */
export async function notAMember(db: Askable): Promise<Finding | undefined> {
  const lacking = await lackingRoles(db);
  if (lacking.length === 0) return undefined;
  return couldNotRun(
    `this role is no member of ${lacking.join(", ")}`,
    "npm run grants -- --gates prints the GRANTs that are missing, and what they open",
  );
}

/**
 * Asks as the API does for a request, until the end of the transaction or savepoint: with the claims of a token, in the form of
 * either of its releases. Who is not logged in has no account.
 * @param role undefined: the claims alone, and the rights of this session
 */
export async function become(db: Askable, role: ApiRole | undefined, account: string | undefined): Promise<void> {
  const token = JSON.stringify({ ...(account === undefined ? {} : { sub: account }), role: role ?? "authenticated" });
  const claims =
    "SELECT pg_catalog.set_config('request.jwt.claims', $1, true), pg_catalog.set_config('request.jwt.claim.sub', $2, true)";
  // The role is set as SET LOCAL ROLE does, in the round trip of the claims: a gate changes both some thousand times.
  if (role === undefined) await db.query(claims, [token, account ?? ""]);
  else await db.query(`${claims}, pg_catalog.set_config('role', $3, true)`, [token, account ?? "", role]);
}
