import { escapeIdentifier } from "pg";
import { readTables } from "../engine/assess";
import { grantsFor, type Grant, type Grantee } from "../engine/rights";
import * as commands from "./command";
import { usage } from "./command/parse";

const options = {
  role: { value: "NAME", about: "the role that runs the migration; it must be there, with LOGIN" },
  database: { value: "NAME", default: "postgres", about: "the database of Guardian" },
  server: { least: 15, default: 17, about: "the server's major version: from 17 on a lock needs less" },
} as const;

const command = {
  name: "npm run grants",
  purpose: "prints the SQL that gives a role what the migration needs, and why each right is needed",
  about: `It connects to nothing. Run what it prints as a superuser, or as whoever may grant it; docs/rights.md has the same.`,
  options,
  exits: { "0": "printed", "1": "it failed" },
};

/** @returns the script, one right a line */
export function script(grants: readonly Grant[]): string {
  const wide = Math.max(...grants.map(({ statement }) => statement.length));
  const line = ({ statement, why, always }: Grant): string =>
    `${statement.padEnd(wide)}  -- ${why}${always ? "" : " (only where v6 has it)"}`;
  return grants.map(line).join("\n");
}

/** @returns the rights of a role, with its names quoted */
export function grantsOf({ role, database, major }: Grantee): Grant[] {
  const quoted = { role: escapeIdentifier(role), database: escapeIdentifier(database), major };
  return grantsFor(quoted, readTables);
}

/** Runs the command; returns the exit code. */
export function main(
  args: readonly string[],
  surroundings: commands.Surroundings = commands.terminal,
): Promise<number> {
  return commands.run(command, args, surroundings, ({ role, database, server }) => {
    if (role === undefined) throw usage(command, "Name the role: --role NAME");
    surroundings.print(script(grantsOf({ role, database, major: server })));
    return Promise.resolve(0);
  });
}

if (require.main === module) commands.endWith(main(process.argv.slice(2)));
