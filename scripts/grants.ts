import { join, resolve } from "node:path";
import { escapeIdentifier } from "pg";
import { resolveConnection } from "../engine/connect";
import { gateGrantsFor, grantsFor, roleScripts, type Grant, type Grantee } from "../engine/rights";
import * as commands from "./command";
import { usage } from "./command/parse";
import { readStack, selectedHere } from "./purge/stack";
import { roleNames } from "../spec/roles";

const options = {
  role: {
    value: "NAME",
    about: "only the rights of the migration, for a role of yours that is there already, with LOGIN",
  },
  undo: {
    about: "prints what takes the roles away again: it stops at one that owns anything, or has a right of others'",
  },
  gates: {
    about:
      "gives the migration's role also what the gates need that ask as the API's roles do; else these lines are comments",
  },
  database: { value: "NAME", about: "the database of Guardian (default: that of the stack)" },
  stack: { value: "NAME", about: "whose database is meant (default: the stack that is selected)" },
  cwd: { value: "FOLDER", short: "C", about: "the project's folder, which has Pulumi.NAME.yaml (default: this clone)" },
  "without-profiles": {
    about: "leaves user_profiles out, which v6 shipped without: a grant on a table that is not there fails",
  },
  server: { least: 15, default: 17, about: "the server's major version: from 17 on a lock needs less" },
} as const;

const command = {
  name: "npm run grants",
  purpose: "prints the SQL that makes the four roles of Guardian, and why each right is needed",
  about: `Without a plugin of PostgreSQL's for Pulumi it does what foundation/ does, from the same data. It connects to nothing. Run
what it prints as a superuser, or as whoever may grant it: npm run --silent grants | psql -v ON_ERROR_STOP=1 --single-transaction
docs/rights.md and docs/roles.md have the same.`,
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

const quoted = (database: string, major: number, profiles: boolean) => ({
  database: escapeIdentifier(database),
  major,
  profiles,
});

/** @returns the rights of a role, with its names quoted */
export const grantsOf = ({ role, database, major, profiles = true }: Grantee): Grant[] =>
  grantsFor({ ...quoted(database, major, profiles), role: escapeIdentifier(role) });

/** @returns the membership by which a role asks as the API's roles do, for the gates that prove row security so */
export const gateGrantsOf = ({ role, database, major }: Grantee): Grant[] =>
  gateGrantsFor({ ...quoted(database, major, true), role: escapeIdentifier(role) });

/** As a comment, unless it is to be given: the migration needs none of it. */
function forGates(on: Grantee, given: boolean): string {
  const lines = script(gateGrantsOf(on));
  const head = "-- for the gates that ask as the API's roles do; the migration does not need it";
  if (given) return `${head}\n${lines}`;
  return `${head} (to be run with --gates)\n${lines.replaceAll(/^/gm, "-- ")}`;
}

/**
 * @param profiles whether v6 has the table user_profiles
 * @returns the SQL that makes the four roles and gives them their rights, one statement a line
 */
export const makeRoles = (database: string, major: number, profiles = true): string =>
  roleScripts(quoted(database, major, profiles))
    .map(({ name, what, make }) => `-- ${name}: ${what}\n${script(make)}`)
    .join("\n\n");

/** @returns the SQL that takes them away */
export const dropRoles = (database: string, major: number, profiles = true): string =>
  roleScripts(quoted(database, major, profiles))
    .reverse()
    .flatMap(({ take }) => take)
    .join("\n");

/** Where the command works and speaks; tests have their own. */
interface Surroundings extends commands.Surroundings {
  /** The project whose stack it is, unless --cwd names another. */
  clone?: string;
  env?: NodeJS.ProcessEnv;
}

/** Runs the command; returns the exit code. */
export function main(args: readonly string[], surroundings: Surroundings = commands.terminal): Promise<number> {
  const { clone = join(__dirname, ".."), env = process.env, say, print } = surroundings;
  return commands.run(command, args, surroundings, (given) => {
    const { role, undo, database: named, server, stack, cwd } = given;
    const profiles = !given["without-profiles"];
    if (role === "") throw usage(command, "--role has no name");
    if (role !== undefined && undo) throw usage(command, "--undo takes no --role: a role of yours is yours to drop");
    if (role !== undefined && role !== "guardian_migrator" && (roleNames as readonly string[]).includes(role)) {
      const what = `--role ${role} would give that role all that the migration may, and ${role} is there so that somebody may not`;
      throw usage(command, `${what}: its own rights are in what is printed without --role`);
    }
    const database = named ?? databaseOf(stack, cwd === undefined ? clone : resolve(cwd), env, say);
    const all = undo ? dropRoles : makeRoles;
    const gates = undo
      ? ""
      : `\n\n${forGates({ role: role ?? "guardian_migrator", database, major: server }, given.gates)}`;
    print(
      (undo ? "" : `-- for PostgreSQL ${server}: --server N is for another version\n\n`) +
        (role === undefined
          ? all(database, server, profiles)
          : script(grantsOf({ role, database, major: server, profiles }))) +
        gates,
    );
    return Promise.resolve(0);
  });
}

/** The database that the stack would migrate: a right on another one would be a right too many, and one too few. */
function databaseOf(
  named: string | undefined,
  folder: string,
  env: NodeJS.ProcessEnv,
  say: (line: string) => void,
): string {
  if (named !== undefined && !/^[\w.-]+$/.test(named)) throw usage(command, "--stack must be a stack's name");
  const stack = named ?? selectedHere(folder, env);
  // Nobody connects: where the password is, and whether it is there, is not asked.
  const where = { ...readStack(folder, stack) };
  delete where.passwordFrom;
  const { database } = resolveConnection(where, env).fields;
  say(`the database is ${database}, of the stack ${stack}${named === undefined ? ", which is selected" : ""}`);
  return database;
}

if (require.main === module) commands.endWith(main(process.argv.slice(2)));
