import { escapeIdentifier, escapeLiteral } from "pg";
import type { Server } from "../../engine/server/server";
import { roleNames, type RoleName } from "../../spec/roles";
import { makeRoles } from "../grants";
import { createV6, withClient, type Login } from "../v6/database";

/** Who owns v6 here: none of the four roles. */
export const v6Owner = "v6_owner";

/** Somebody who logs in as himself and is a member of guardian_operator. */
const person = "guardian_operator_person";

/** A v6 with the four roles, made as `npm run grants` prints it, and how to log in as each. */
export interface RolesDatabase {
  admin: Login;
  as: Readonly<Record<RoleName, Login>>;
}

/**
 * Makes a v6 on a server of one's own, since roles are the server's: the fixture's owner of v6 has the name of the migration's role,
 * and gives it up.
 * @returns the superuser's login
 */
export async function createOwned(server: Server, name: string, users: number): Promise<Login> {
  const { admin } = await createV6(server, name, { users });
  await withClient(admin, (client) =>
    client.query(`ALTER ROLE guardian_migrator RENAME TO ${v6Owner}; DROP ROLE guardian_operator`),
  );
  return admin;
}

/** Makes the four roles, and somebody who is a member of guardian_operator; all have the superuser's password. */
export async function addRoles(server: Server, admin: Login): Promise<RolesDatabase> {
  await withClient(admin, async (client) => {
    await client.query(makeRoles(admin.database, server.major));
    await client.query(`CREATE ROLE ${person} LOGIN IN ROLE guardian_operator`);
    for (const role of Object.values(loginNames)) {
      await client.query(`ALTER ROLE ${escapeIdentifier(role)} PASSWORD ${escapeLiteral(server.password)}`);
    }
  });
  const logins = Object.entries(loginNames).map(([role, user]) => [role, { ...admin, user }] as const);
  return { admin, as: Object.fromEntries(logins) as Record<RoleName, Login> };
}

const loginNames = Object.fromEntries(
  roleNames.map((role) => [role, role === "guardian_operator" ? person : role]),
) as Record<RoleName, string>;
