import { startServer } from "../../engine/server/server";
import { roleNames, rolesOf } from "../../spec/roles";
import { addRoles, createOwned } from "../roles/database";
import { tryRoles, type Section } from "../roles/matrix";
import { applyAll } from "../v6/operator";
import { table } from "./pages";

/** Production's. */
const major = 17;

/** Tries the four roles on a migrated v6 of a server of its own, which is gone afterwards. */
export async function triedRoles(): Promise<Section[]> {
  const server = await startServer({ major, inMemory: true });
  try {
    const database = await addRoles(server, await createOwned(server, "roles", 20));
    return await tryRoles(database, await applyAll(database.as.guardian_migrator));
  } finally {
    await server.stop();
  }
}

/** @returns docs/roles.md: what the four roles may and may not do, as tried */
export function rolesPage(sections: readonly Section[]): string {
  return [
    "<!-- Made by `npm run docs` from what each role may really do in a migrated database; the rights are in spec/roles.ts. -->",
    "# The four roles",
    "foundation/ makes them, or the script that `npm run grants` prints, from the same data; of them [rights.md](rights.md) has the " +
      `migrator's, each with its reason. Every cell was tried on PostgreSQL ${major}, logged in as the role (as a member of ` +
      "guardian_operator, who has no other right) and taken back.",
    table(
      ["Role", "What it is for", "Logs in", "Rights"],
      rolesOf(major).map(({ name, what, login, rights }) => [
        `\`${name}\``,
        what,
        login ? "yes" : "people are members",
        name === "guardian_migrator"
          ? "[rights.md](rights.md)"
          : rights
              .map((it) => [it.privilege, it.kind === "member" ? `member of ${it.name}` : it.name])
              .map((words) => words.filter(Boolean).join(" on "))
              .join(", "),
      ]),
    ),
    "No role owns anything of v6, none is a superuser, none may make roles. A password is given by reference; state and server get its " +
      "SCRAM verifier. A temporary table and a large object of its own anybody may make: PostgreSQL gives that to PUBLIC.",
    "`pg_read_all_data` reads pg_authid as well: the verifiers of all roles' passwords, the administrator's among them. Nobody logs in " +
      "with one, and a long password is not found from it; a short one is. PostgreSQL has no narrower right for a dump of everything. " +
      "`pg_read_all_stats` shows the migrator and the auditor what others run at the moment, with the values in it. What a gate asks by " +
      "putting on the API's roles the auditor cannot: who may do that may write as any patient.",
    "(read) means: only what row security shows. Of fewer than all of v7's tables and views: the rest is refused by a trigger of the " +
      "table, or by a function that the view calls. Whoever reads v6 reads patients' data: the auditor and the backup do, all of it.",
    ...sections.flatMap(({ title, of, rows }) => [
      `## ${title}`,
      table(
        [of, ...roleNames.map((role) => role.replace("guardian_", ""))],
        rows.map(({ name, cells }) => [name, ...roleNames.map((role) => cells[role])]),
      ),
    ]),
  ].join("\n\n");
}
