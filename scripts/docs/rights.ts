import { grantsOf, script } from "../grants";
import { table } from "./pages";

/** @returns docs/rights.md: what the migration's role needs, and why */
export function rightsPage(): string {
  const grants = grantsOf({ role: "guardian_migrator", database: "guardian", major: 17 });
  const older = grantsOf({ role: "guardian_migrator", database: "guardian", major: 15 });
  const differs = older.filter(({ statement }) => !grants.some((grant) => grant.statement === statement));
  return [
    "<!-- Made by `npm run docs` from spec/roles.ts. -->",
    "# Rights of the migration's role",
    "The role needs no superuser and owns nothing of v6. A test gives a new role these rights and no more, and takes everything up and " +
      "down with them; take one away, and the assessment names it. foundation/ gives them to guardian_migrator, one of " +
      "[the four roles](roles.md); `npm run grants -- --role NAME --database NAME --server 15` prints the script for a role of yours.",
    `\`\`\`sql\n${script(grants)}\n\`\`\``,
    "Before PostgreSQL 17, MAINTAIN is not there, and instead of it:",
    `\`\`\`sql\n${script(differs)}\n\`\`\``,
    "What else may be wanted, and is not the migration's:",
    table(
      ["Right", "For what"],
      [
        ["LOGIN, and a line in pg_hba.conf", "to connect"],
        ["SELECT on large objects that others own", "the backup holds them; its error names their oids"],
        [
          "membership in the owner of a v6 table",
          "only where `session_replication_role = replica` writes are to be followed",
        ],
      ],
    ),
  ].join("\n\n");
}
