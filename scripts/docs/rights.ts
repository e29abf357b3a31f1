import { gateGrantsOf, grantsOf, script } from "../grants";
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
    "The gates `strangers` and `sampled-users` prove row security by asking as the API's roles do; without membership in these they " +
      "could not run, which is a warning. The migration does not need it, foundation/ does not give it, and takes it away with each " +
      "change of the role, a new password too; `npm run grants -- --gates` gives it:",
    `\`\`\`sql\n${script(gateGrantsOf({ role: "guardian_migrator", database: "guardian", major: 17 }))}\n\`\`\``,
    "Whoever may become `authenticated` may act as any patient by the API's own rights, under row security. Before PostgreSQL 16 a " +
      "membership is inherited too, and with BYPASSRLS what `authenticated` may write in v6 is no longer under row security: give it " +
      "for the gate, and take it back.",
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
